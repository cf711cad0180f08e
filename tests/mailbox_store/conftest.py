"""Databases that a test leaves open, as a process that is killed does, are closed when nothing holds them any more.

Python 3.13 and newer warn of each that is not, and a warning is an error here.
"""

from __future__ import annotations

import sqlite3
from functools import partial

import pytest


class _Abandoned(sqlite3.Connection):
    """Closes itself."""

    def __del__(self) -> None:
        self.close()


@pytest.fixture(autouse=True)
def databases_close_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=_Abandoned))
