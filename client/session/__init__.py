"""Speaking SMTP to a server: the connection, the session that a person types, the delivery of one mail.

Nothing here reads a mailbox file, or starts a server.
"""
