"""What every part of the house knows about mail: addresses, ids, the trace, mailbox files, and what a message says.

Pure, and the floor of the house: it imports the standard library and libraries, never another package of ours.
`client/mail` is a link to this folder, because the client is installed as the package `correio` and takes with it
what it imports (`correio.mail`): hence the relative imports.

`address`, `ids`, `users`, `trace`, `mbox` and `steering` need nothing else. `view`, and what it is made of (`parts`,
`fields`, `values`, `charset`), needs webencodings, which no service requires so far.
"""
