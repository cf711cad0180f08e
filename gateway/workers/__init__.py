"""The side of the workers: who is alive, which one gets which step, and what need not be asked again.

Nothing here knows a client's connection.
"""
