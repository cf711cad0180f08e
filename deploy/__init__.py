"""The tool behind `make up`, `down`, `status` and `logs`: one stack, as containers or as plain processes.

It knows the services by their names, their settings and their log lines, never by their insides.
"""
