"""Failures on cue: what shall go wrong, and how it takes the place of what the dialogue would have answered.

Pure, as the dialogue is; without FAULTS=on nothing in here is run.
"""
