"""Log lines on standard output, one event each, flushed at once so that a conversation can be watched live."""

from __future__ import annotations

import logging
import sys


def configure(service: str, level: str) -> None:
    """Send this process's log to standard output.

    :param service: the name each line carries.
    :param level: a level name of the logging module, such as "INFO".
    """
    logging.basicConfig(
        stream=sys.stdout,
        level=level,
        format=f"%(asctime)s.%(msecs)03d {service}[%(process)d] %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        force=True,
    )
