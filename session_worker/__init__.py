"""The session worker: the SMTP dialogue (`dialogue/`) and failures on cue (`faults/`), both pure, and what runs them.

On top are the process (`worker.py`), the steps under way (`service.py`), what they ask the store (`store_calls.py`),
settings and numbers. A worker remembers nothing of a session between two steps: all of it travels with the step.
"""
