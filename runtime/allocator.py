"""How the C library's allocator treats memory that is freed, in processes through which messages of any size pass.

By itself glibc gives the end of its heap back to the kernel as soon as 128 KiB or some more are free there, and takes
large blocks from the kernel one by one: each message of that size is paid for with a page fault, and an empty page,
for every 4 KiB of it, in every process and several times. Kept for the next one, that memory costs nothing: messages
of 100 KiB cost a fifth less.
Fails: never; with another C library nothing is changed.
Limits: up to KEPT octets stay with each process after its largest message, and a block under KEPT is never a mapping
of its own.
"""

from __future__ import annotations

import ctypes

# More than the pieces of messages that are in one process at a time, mostly: two for each of some eight sessions.
KEPT = 4 * 1024 * 1024
# <malloc.h>, mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_freed() -> bool:
    """Call it early.

    :returns: whether the allocator has taken it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT)) and bool(mallopt(_M_MMAP_THRESHOLD, KEPT))
