"""Who has a mailbox, and what is said of addresses. Nothing here writes mail."""
