"""The mailbox store: users, the journal and the mailbox files. It gives outcomes, never SMTP replies.

*A delivery is acknowledged once the journal has it; mailboxes are a projection of the journal.* `journal/journal.py`
has the promise that all else leans on. `store.py` is the way of a batch of questions across the commit, `batch.py`
what comes before it, `mailboxes/plan.py` what comes after, `checkpoint.py` what ends it, and `recovery.py` what makes
the promise hold after a crash. What is only asked about is answered beside them (`users/directory.py`).
"""
