"""The commands of the program: a module for each, and `session.py` for the program without a command.

A command reads its options, has the other folders do the work, and tells how that ended. None imports another one.
The exit statuses of each are in its help; an error that ends one has its own as `exit_code`, where it is defined.
"""
