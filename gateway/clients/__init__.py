"""The side of the clients: connections, what they send cut into steps, memory for it, and how they end.

Nothing here knows which workers there are.
"""
