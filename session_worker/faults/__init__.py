"""Failures on cue: what shall go wrong, and how it replaces the answer of the dialogue.

Pure, as the dialogue is; without FAULTS=on nothing in here is run.
"""
