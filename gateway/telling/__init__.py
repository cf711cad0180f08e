"""What the gateway tells: its own words to clients, conversations on the log and the feed, and numbers.

Nothing here changes what a client or a worker gets.
"""
