"""For tests of programs that send mail: a server of a test's own, and its mailboxes. `pytest_plugin.py` gives both.

No command of the program needs anything from here.
"""
