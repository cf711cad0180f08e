"""Which worker has room for a step, and which of them gets it."""

from __future__ import annotations

from gateway.workers.members import Member, Task
from gateway.workers.pool import ITSELF, LARGE, SMALL, least_loaded, with_room
from wire.limits import IN_FLIGHT
from wire.messages import Lines, Step


def a_task() -> Task:
    return Task(Step("s", 0, 0, b"", Lines((b"NOOP",))), 0, ITSELF, SMALL)


def test_a_worker_with_much_of_one_size_has_room_for_the_other() -> None:
    full = Member(0)
    full.octets[LARGE] = IN_FLIGHT
    assert list(with_room({b"w": full}, SMALL)) == [b"w"]
    assert list(with_room({b"w": full}, LARGE)) == []


def test_one_that_drains_or_is_kept_free_gets_nothing() -> None:
    kept = Member(0, reserved=a_task())
    assert with_room({b"draining": Member(0, draining=True), b"kept": kept}, SMALL) == {}


def test_the_one_with_the_fewest_steps_is_next_and_of_equals_the_one_that_waited_longest() -> None:
    busy, older, newer = Member(0, turn=9), Member(0, turn=3), Member(0, turn=5)
    busy.tasks["s"] = a_task()
    members = {b"busy": busy, b"newer": newer, b"older": older}
    assert least_loaded(members, ()) == b"older"
    assert least_loaded(members, (b"older",)) == b"newer"
    assert least_loaded(members, tuple(members)) is None
