"""The SMTP dialogue: a pure step function (`dialogue/steps.py`) and the small service around it (`service.py`).

A worker remembers nothing of a session between two steps: all of it travels in the state (`dialogue/state.py`).
"""
