"""Who has a mailbox, and what the store says about addresses. Nothing here writes mail."""
