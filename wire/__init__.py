"""The contract between the services: the messages, what the store can answer, the limits of both, and their codec.

`SPEC.md` beside this file is the contract in words. Here are imported msgpack, msgspec and the standard library only.
"""
