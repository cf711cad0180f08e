"""A sign of life that a health check can read without speaking any protocol: the age of a file."""

from __future__ import annotations

from pathlib import Path


class ReadyFile:
    """Touch a file while the service is ready; its age tells the rest. An empty path does nothing."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def beat(self, ready: bool) -> None:
        """Call about once a second; `ready` false removes the file."""
        if self._path is None:
            return
        if ready:
            self._path.touch()
        else:
            self._path.unlink(missing_ok=True)
