"""What `dist/correio.pyz` does before all else: a Python that is too old for it is told so, in words that it has."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - it is for those that are older
    sys.exit("correio needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031
