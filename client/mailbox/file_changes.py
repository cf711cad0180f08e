"""Sleep until one of some files of a folder changes; the kernel says when (inotify; kqueue and FSEvents elsewhere).

Gives: `Changes`. The house has no other watcher: the store's users file must be found at rest by two looks anyway.
Fails: never; where the kernel tells nothing, for the folder is not there yet, lies on a network or every watch is
taken, `wait` returns every `_LOOK` seconds and the caller looks for itself.
Limits: one thread of the library `watchdog` for each. It may wake without a change, and never misses one for longer
than `_CHECK` seconds.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

# Without word from the kernel; ten looks a second cost nothing that can be measured.
_LOOK = 0.1
# With it: for folders that were replaced, and for file systems that tell only of this machine's changes.
_CHECK = 1.0
# Opening and closing for reading are not among them: whoever reads at each change would wake itself.
_KINDS: list[type[FileSystemEvent]] = [FileClosedEvent, FileCreatedEvent, FileModifiedEvent, FileMovedEvent]


def _is_worth_telling(record: logging.LogRecord) -> bool:
    # A watch that is stopped while it reads calls this an error; it is how each of ours ends.
    return "called when the thread is inactive" not in record.getMessage()


logging.getLogger("watchdog.observers.inotify").addFilter(_is_worth_telling)


class Changes(FileSystemEventHandler):
    """Changes of some files, to be used in a with block.

    :param folder: in which they are; neither it nor they need exist yet.
    :param names: of the files.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._folder = folder.absolute()
        self._names = frozenset(names)
        self._changed = threading.Event()
        self._observer = Observer()
        self._watched = (0, 0)

    def __enter__(self) -> Changes:
        self._observer.start()
        self._follow()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Stopping it takes up to 30 ms, which the one who has waited long enough is not to wait as well.
        threading.Thread(target=self._observer.stop).start()

    def wait(self, seconds: float) -> None:
        """Return when a file may have changed since the last call, at the latest after `seconds`."""
        if self._changed.wait(max(0.0, min(seconds, _CHECK if self._watched != (0, 0) else _LOOK))):
            self._changed.clear()
        self._follow()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by the observer, in its thread."""
        if any(Path(os.fsdecode(path)).name in self._names for path in (event.src_path, event.dest_path)):
            self._changed.set()

    def _follow(self) -> None:
        """Watch the folder that has the name now."""
        try:
            status = self._folder.stat()
        except OSError:
            self._watched = (0, 0)
            return
        if self._watched != (status.st_dev, status.st_ino):
            self._observer.unschedule_all()
            self._watched = (0, 0)
            with suppress(OSError):  # ENOSPC, EMFILE: the kernel's watches are used up
                self._observer.schedule(self, str(self._folder), event_filter=_KINDS)
                self._watched = (status.st_dev, status.st_ino)
            # What came before the watch was set is to be looked for.
            self._changed.set()
