"""The mailbox files: planning, appending, and what is made of entries in doubt. Whose they are is not known here."""
