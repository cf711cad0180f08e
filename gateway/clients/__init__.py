"""The side of the clients: connections, cutting what they send into steps, memory for it, and how they end.

Nothing here knows which workers there are.
"""
