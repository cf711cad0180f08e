"""The name of the running kernel's boot: marks in the journal that lean on its memory count within it alone.

Limits: where the kernel does not tell it, each call gives another name, so that no mark of an earlier run counts.
"""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_boot() -> str:
    """The kernel's own name for it, else a new one. Never empty: that is a journal's word for no boot at all."""
    try:
        boot, reason = _BOOT_ID.read_text().strip(), "is empty"
    except OSError as error:
        boot, reason = "", error.strerror or str(error)
    if not boot:
        log.warning("! %s: %s; this start counts as one after a new boot", _BOOT_ID, reason)
    return boot or str(uuid.uuid4())
