"""The pool: no step is lost or with two workers, none stays with a dead one, and poison takes no innocents along."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.blame import MAX_TRIES
from gateway.worker_pool import SILENCE, WorkerPool
from tests.gateway.pool_machine import PoolMachine, pool_of, send, step


def test_a_step_waits_until_there_is_a_worker() -> None:
    pool = pool_of()
    assert send(pool, "s") == {}
    assert pool.waiting == 1
    pool.alive(b"w", draining=False, now=1)
    assert pool.assign(0) == [(b"w", step("s"))]
    assert (pool.waiting, pool.pending, pool.workers) == (0, 1, 1)


def test_steps_that_wait_are_sent_in_the_order_they_came() -> None:
    pool = pool_of()
    send(pool, "a", "b", "c")
    pool.alive(b"w", draining=False, now=0)
    assert [sent.session for _, sent in pool.assign(0)] == ["a", "b", "c"]


def test_an_opening_counts_while_all_workers_that_take_steps_offer_the_same() -> None:
    pool = WorkerPool()
    assert pool.opening == b""
    pool.alive(b"w1", draining=False, now=0, opening=b"220 a")
    assert pool.opening == b"220 a"
    pool.alive(b"w2", draining=False, now=0, opening=b"220 a")
    pool.alive(b"leaves", draining=True, now=0)
    assert pool.opening == b"220 a"
    pool.alive(b"older", draining=False, now=0)
    assert pool.opening == b""
    pool.lose(b"older", 0)
    pool.alive(b"w2", draining=False, now=0, opening=b"220 b")
    assert pool.opening == b""


def test_steps_that_wait_together_go_to_one_worker_up_to_a_number() -> None:
    pool = pool_of(b"w1", b"w2", b"w3")
    assert set(send(pool, *"abc").values()) == {b"w1"}
    many = [f"s{number}" for number in range(40)]
    assert sorted(Counter(send(pool, *many).values()).values()) == [8, 16, 16]


def test_a_step_that_a_worker_refused_goes_to_another_one_than_those_it_waits_with() -> None:
    pool = pool_of(b"w1", b"w2")
    first = send(pool, "a")["a"]
    pool.hand_back("a", 0, for_good=True)
    sent = send(pool, "b", "c")
    assert sent.pop("a") != first
    assert set(sent) == {"b", "c"}


def test_the_worker_with_the_fewest_steps_gets_the_next_one() -> None:
    pool = pool_of(b"w1", b"w2", b"w3")
    sent = {each: send(pool, each)[each] for each in "abcdef"}
    assert Counter(sent.values()) == {b"w1": 2, b"w2": 2, b"w3": 2}
    for session in "abcdef":
        if pool.holds(b"w2", session, 0):
            pool.finish(session)
    assert send(pool, "g") == {"g": b"w2"}


def test_idle_workers_take_turns() -> None:
    pool = pool_of(b"w1", b"w2")
    turns = []
    for session in "abcd":
        turns.append(send(pool, session)[session])
        pool.finish(session)
    assert turns in ([b"w1", b"w2"] * 2, [b"w2", b"w1"] * 2)


def test_an_answer_counts_only_from_the_worker_that_has_the_step_and_for_that_step() -> None:
    pool = pool_of(b"w1", b"w2")
    worker = send(pool, "s")["s"]
    other = b"w2" if worker == b"w1" else b"w1"
    assert pool.holds(worker, "s", 0) == step("s")
    assert pool.holds(other, "s", 0) is None
    assert pool.holds(worker, "s", 1) is None
    assert pool.holds(worker, "unknown", 0) is None
    pool.finish("s")
    assert pool.holds(worker, "s", 0) is None


def test_a_worker_that_falls_silent_loses_its_steps_to_another_and_its_late_answer_does_not_count() -> None:
    pool = pool_of(b"w1")
    send(pool, "s")
    pool.alive(b"w2", draining=False, now=SILENCE)
    assert pool.silent(SILENCE) == []
    assert pool.silent(SILENCE + 0.01) == [b"w1"]
    pool.lose(b"w1", SILENCE + 0.01)
    assert pool.assign(0) == [(b"w2", step("s"))]
    assert pool.holds(b"w1", "s", 0) is None


def test_any_message_is_a_heartbeat_of_a_known_worker_and_registers_no_unknown_one() -> None:
    pool = pool_of(b"w1")
    pool.silent(0)
    pool.silent(0.3)
    pool.heard(b"w1", SILENCE)
    pool.heard(b"stranger", SILENCE)
    for tenth in range(4, 20):
        assert pool.silent(tenth / 10) == []
    assert pool.workers == 1


def test_silence_while_the_gateway_itself_stood_still_is_nobodys_fault() -> None:
    pool = pool_of(b"w1")
    assert pool.silent(0.1) == []
    assert pool.silent(60) == []
    pool.alive(b"w1", draining=False, now=60)
    assert pool.silent(60.3) == []
    for tenth in range(604, 612):
        assert pool.silent(tenth / 10) == []
    assert pool.silent(61.3) == [b"w1"]


def test_a_worker_lost_twice_is_lost_once() -> None:
    pool = pool_of(b"w1")
    send(pool, "s")
    pool.lose(b"w1", 0)
    pool.lose(b"w1", 0)
    assert pool.waiting == 1


def test_a_draining_worker_gets_no_step_and_finishes_its_own() -> None:
    pool = pool_of(b"w1")
    send(pool, "s")
    pool.alive(b"w1", draining=True, now=1)
    assert pool.workers == 0
    assert send(pool, "t") == {}
    assert pool.holds(b"w1", "s", 0)
    pool.finish("s")
    pool.alive(b"w1", draining=False, now=1)
    assert pool.assign(0) == [(b"w1", step("t"))]


def test_a_step_refused_by_a_draining_worker_goes_to_another_one() -> None:
    pool = pool_of(b"w1", b"w2")
    worker = send(pool, "s")["s"]
    pool.hand_back("s", 0, for_good=False)
    ((other, again),) = pool.assign(0)
    assert again == step("s")
    assert other != worker
    assert pool.workers == 1


def test_a_step_whose_state_a_worker_does_not_know_never_goes_there_again() -> None:
    pool = pool_of(b"old")
    send(pool, "s")
    pool.hand_back("s", 0, for_good=True)
    assert pool.assign(0) == []
    assert send(pool, "t") == {"t": b"old"}
    pool.alive(b"new", draining=False, now=1)
    assert pool.assign(0) == [(b"new", step("s"))]


def test_a_step_that_waits_too_long_is_given_up() -> None:
    pool = pool_of()
    send(pool, "a", now=0)
    send(pool, "b", now=20)
    assert pool.overdue(30, 30) == []
    assert pool.overdue(31, 30) == [step("a")]
    assert pool.pending == 1
    pool.alive(b"w", draining=False, now=31)
    assert pool.assign(0) == [(b"w", step("b"))]
    assert pool.overdue(1000, 30) == []


def test_a_step_that_comes_back_begins_to_wait_anew_and_goes_first() -> None:
    pool = pool_of(b"w1")
    send(pool, "a", now=0)
    pool.alive(b"w1", draining=True, now=0)
    send(pool, "b", now=99)
    pool.lose(b"w1", 100)
    assert pool.overdue(101, 30) == []
    pool.alive(b"w2", draining=False, now=101)
    assert [sent.session for _, sent in pool.assign(0)] == ["a", "b"]


def test_a_step_that_its_worker_does_not_name_was_lost_on_the_way_and_is_sent_again() -> None:
    pool = pool_of(b"w")
    assert send(pool, "there", "lost") == {"there": b"w", "lost": b"w"}
    late = SILENCE + 0.1
    assert pool.lost_on_the_way(b"w", ("there",), late) == 0, "it may be on its way"
    assert pool.lost_on_the_way(b"w", ("there",), late) == 1
    assert pool.assign(late) == [(b"w", step("lost"))]
    assert pool.holds(b"w", "there", 0)


@pytest.mark.parametrize("named", [(("s",), ()), ((), ("s",))])
def test_a_step_that_is_young_or_named_now_and_then_is_not_lost(
    named: tuple[tuple[str, ...], tuple[str, ...]],
) -> None:
    pool = pool_of(b"w")
    send(pool, "s")
    for sessions in ((), (), ()):
        assert pool.lost_on_the_way(b"w", sessions, SILENCE / 2) == 0
    for sessions in named * 3:
        assert pool.lost_on_the_way(b"w", sessions, SILENCE + 1) == 0


def test_a_step_that_is_lost_on_the_way_again_and_again_is_given_up_in_the_end() -> None:
    pool = pool_of(b"w")
    send(pool, "s", "other")
    for turn in range(1, MAX_TRIES + 1):
        now = 10.0 * turn
        pool.lost_on_the_way(b"w", ("other",), now)
        assert pool.lost_on_the_way(b"w", ("other",), now) == 1
        last = turn == MAX_TRIES
        assert pool.assign(now) == ([] if last else [(b"w", step("s"))])
        assert pool.condemned(now) == ([step("s")] if last else [])
    assert pool.pending == 1


# ---------------------------------------------------------------- the promises, whatever happens

TestPoolMachine = PoolMachine.TestCase
