"""What asks a program in the foreground for its end is heard once each, when it may be."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from client.stack import foreground
from client.stack.foreground import StopRequests

ASKING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """As they were before, whatever a test that fails leaves."""
    before = {number: signal.getsignal(number) for number in ASKING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, of which the program sees the last."""
    now = [100.0]
    monkeypatch.setattr(foreground.time, "monotonic", lambda: now[-1])
    return now


def _ask(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ASKING)
def test_it_is_heard_at_once_where_it_may_be(number: int) -> None:
    with StopRequests() as requests, pytest.raises(KeyboardInterrupt), requests.interruptible():
        _ask(number)


def test_what_comes_before_is_heard_at_the_next_begin_and_once() -> None:
    with StopRequests() as requests:
        _ask(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), requests.interruptible():
            pytest.fail("it had been asked before")
        with requests.interruptible():
            pass


def test_the_same_signal_twice_at_once_is_one_request(clock: list[float]) -> None:
    with StopRequests() as requests:
        _ask(signal.SIGINT)
        clock.append(100.1)
        _ask(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), requests.interruptible():
            pass
        with requests.interruptible():
            pass


@pytest.mark.parametrize(("second", "later"), [(signal.SIGINT, 1.0), (signal.SIGTERM, 0.0)])
def test_a_second_press_and_another_signal_are_a_second_request(
    clock: list[float], second: int, later: float
) -> None:
    with StopRequests() as requests:
        _ask(signal.SIGINT)
        clock.append(100.0 + later)
        _ask(second)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt), requests.interruptible():
                pass


def test_what_was_ignored_stays_so_and_all_is_as_before_afterwards() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = [signal.getsignal(number) for number in ASKING]
    with StopRequests() as requests, requests.interruptible():
        _ask(signal.SIGHUP)
    assert [signal.getsignal(number) for number in ASKING] == before
