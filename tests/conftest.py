"""Fixtures for every test."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from deploy import engine
from tests.stack import Stack

# A shell has what it starts in the background ignore Ctrl-C, and nohup the end of the terminal; all that tests start
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A busy machine is slow, not wrong: no property test is judged by time.
settings.register_profile("correio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("correio")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: sockets live in it, and their paths end at 107 octets."""
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def running_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    settings = getattr(request.module, "SETTINGS", {})
    with tempfile.TemporaryDirectory(prefix="correio-") as name, Stack(Path(name), **settings) as stack:
        yield stack


@pytest.fixture
def stack(running_stack: Stack) -> Iterator[Stack]:
    """A stack with the SETTINGS of the module, which its tests share; each has empty mailboxes and logs."""
    running_stack.clear()
    yield running_stack
    # Shown only where the test has failed.
    print(running_stack.logs())


@pytest.fixture(scope="session")
def engine_answers() -> None:
    """A Docker engine; where none answers the test is skipped, except in CI, where that is a failure."""
    reason = engine.why_not()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true, and {reason}")
        pytest.skip(reason)
