"""The SMTP dialogue: a pure step function (`dialogue.py`) and the small service around it (`service.py`).

A worker remembers nothing of a session between two steps: all of it travels in the state (`state.py`).
"""
