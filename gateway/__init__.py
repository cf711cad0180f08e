"""The gateway: sockets of clients, framing, timers, and which worker gets which step.

It knows no SMTP verb, no user and no mailbox; a session's state is octets to it.
"""
