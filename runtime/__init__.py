"""What every service needs around its work: settings, logs, a place on the bus, a sign that it is ready.

Services import this and `wire`, never each other. Nothing in here knows SMTP, sessions or mail.
"""

# The release, as `pyproject.toml` has it (a test holds them together).
VERSION = "0.1.0"
