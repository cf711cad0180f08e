"""The interpreter's garbage collector, set for a service that makes and drops thousands of small objects a second.

Nearly all of them are freed by their reference counts at once; the collector is for the rare cycle, and by its own
settings looks for one so often that it takes several percent of the time.
Limits: a cycle lives until ten thousand objects were made after it, a few MiB; one that is old by then, until 200,000
or four million were (measured on 3.11 to 3.14: the thresholds mean the same on all of them).
"""

from __future__ import annotations

import gc

# Objects made and not dropped before the youngest are looked at; the interpreter's own number is 700 (3.13: 2,000).
_YOUNGEST = 10_000


def tune() -> None:
    """Call once a service has been set up: what there is by then stays, and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, 20, 20)
