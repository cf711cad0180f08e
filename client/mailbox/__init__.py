"""Mailbox files on this machine: finding one, waiting for what comes into it, parts of its messages as files.

Nothing here speaks to a server; what a message says is for `mail/` to tell.
"""
