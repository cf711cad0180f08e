"""Fixtures for every test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: sockets live in it, and their paths end at 107 octets."""
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        yield Path(name)
