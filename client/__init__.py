"""Correio's command line client: it speaks SMTP and reads mailbox files, and knows nothing of the services' insides.

Installed, this folder is the package `correio`, hence its relative imports. `smtp.py` and `message.py` are pure; the
other modules are thin shells around them. Each command of the program is a module with a `command` that `__main__.py`
lists.
"""

# The release, as `pyproject.toml` has it (a test holds them together).
VERSION = "0.1.0"
