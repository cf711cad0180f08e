"""Servers to compare with, each a small program that appends to a mailbox file and syncs it before it says 250."""
