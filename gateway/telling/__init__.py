"""What the gateway tells: its own words to clients, conversations on the log and the feed, and numbers.

Nothing here decides what happens.
"""
