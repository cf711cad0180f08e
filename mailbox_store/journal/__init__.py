"""The journal, which makes "250 means it is safe" true, and what reaches the disk for it. It knows no mailbox."""
