"""The SMTP dialogue: what each line and message of a client leads to, as pure functions of a session's state.

No socket, file, clock or log, and nothing of the service around it (`session_worker/service.py`), lives here.
"""
