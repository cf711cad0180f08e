"""The mailbox store: users, the journal and the mailbox files. It gives outcomes, never SMTP replies.

*A delivery is acknowledged once the journal has it; mailboxes are a projection of the journal.* `store.py` is the way
of a batch of questions, `journal.py` the promise that all else leans on, `recovery.py` what makes it hold.
"""
