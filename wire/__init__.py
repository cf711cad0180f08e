"""The contract between the services: messages, their codec and the form of an address.

`SPEC.md` beside this file is the contract in words. This package imports msgpack and the standard library only.
"""
