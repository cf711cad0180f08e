"""What a service does with its own process: memory, processors, garbage, its end.

A service makes and drops thousands of small objects a second, and blocks of some 100 KiB, and wakes its neighbours as
often. The defaults of the C library, the kernel and the interpreter suit other programs.

Gives: `begin` and `settled`, by which messages cost less; `heed_no_more`, for an ordered stop; `end_if_stuck`.
Fails: never; with another C library, or a kernel that refuses, all stays as it was.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import signal

STOP = (signal.SIGTERM, signal.SIGINT)
# Octets of freed memory that a process keeps. More than the pieces of messages that are in one process at a time,
# mostly: two for each of some eight sessions.
KEPT = 4 * 1024 * 1024
# <malloc.h>, mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# Objects made and not dropped before the youngest are looked at; the interpreter's own number is 700 (3.13: 2,000).
_YOUNGEST = 10_000


def begin() -> None:
    """Call it early, before any thread is started: threads have the policy of the one that started them."""
    keep_freed()
    take_turns()


def keep_freed() -> bool:
    """Have the C library keep memory that is freed, up to KEPT octets, for the next message.

    By itself glibc gives the end of its heap back to the kernel as soon as 128 KiB or some more are free there, and
    takes large blocks from the kernel one by one: each message of that size is paid for with a page fault, and an
    empty page, for every 4 KiB of it, in every process and several times. So messages of 100 KiB cost a fifth less.

    :returns: whether the library has taken it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT)) and bool(mallopt(_M_MMAP_THRESHOLD, KEPT))


def take_turns() -> bool:
    """Have the kernel let this process finish its turn before it runs the one that was woken by it.

    With the normal policy a message for another process mostly takes the processor away from the one that sent it, in
    the middle of its turn: the other does one message and sleeps again. With SCHED_BATCH (sched(7)) turns are done
    whole, what came in meanwhile is done as one batch, and a message costs a tenth to a fifth less. No right is
    needed for it, and no other process gets less. Where all processors are busy, a single message may wait longer, by
    a turn of another service.

    :returns: whether this process has the policy now.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except (AttributeError, OSError):
        return False
    return True


def settled() -> None:
    """Call it once a service has been set up: what there is by then stays, and no garbage is looked for in it again.

    Nearly all objects are freed by their reference counts at once; the collector is for the rare cycle, and by its
    own settings looks for one so often that it takes several percent of the time. A cycle lives until ten thousand
    objects were made after it, a few MiB; one that is old by then, until 200,000 or four million were (measured on
    3.11 to 3.14: the thresholds mean the same on all of them).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, 20, 20)


def heed_no_more() -> None:
    """Ignore what would stop this process, which is about to end by itself. To be called in the main thread.

    The interpreter takes its signal handlers down before it ends: a second SIGTERM in that moment would make a
    signal's death of an ordered stop, and a supervisor would take it for a crash.
    """
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)


def end_if_stuck(seconds: float) -> None:
    """End this process, with status 1, unless this is called again within so many seconds. 0: do so no longer.

    Others see a process whose loop is stuck only as a silent one, and can do nothing for it; its supervisor does not
    see it at all, and starts another once it has ended. For services only whose sudden end costs no more than their
    standing still does: a session worker. What ends it is a thread of the interpreter's own, which needs neither the
    loop nor the interpreter's lock; it writes to standard error where each thread stands. A process that was stopped
    for longer (SIGSTOP, a frozen container) ends when it goes on.
    """
    if seconds:
        faulthandler.dump_traceback_later(seconds, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()
