"""Correio's command line client: it speaks SMTP and reads mailbox files, and knows nothing of the services' insides.

Here stand the program (`__main__.py`, `pytest_plugin.py`) and what every folder uses: options, output, the terminal,
the two languages, RUN. A command is in `commands/`; the work is done in `session/` (SMTP), `mailbox/` (files),
`stack/` (a server that runs) and `testing/`. Installed, this folder is the package `correio`: hence relative imports.
"""

# The release, as `pyproject.toml` has it (a test holds them together).
VERSION = "0.1.0"
