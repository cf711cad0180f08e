"""Workers that are lost with their steps: which are run again, which alone, and which are given up."""

from __future__ import annotations

import pytest

from gateway.workers.blame import HINDSIGHT
from gateway.workers.members import MAX_LOSSES, MAX_TRIES, Worker
from gateway.workers.pool import WorkerPool
from tests.gateway.workers.pool_machine import pool_of, send, step
from wire.messages import Step


def kill(pool: WorkerPool, worker: Worker, successor: Worker, now: float) -> list[Step]:
    """A worker dies, another comes, and time passes until it is known what that means; gives what is poisoned."""
    pool.lose(worker, now)
    pool.heartbeat(successor, draining=False, now=now)
    return pool.give_up_poison(now + HINDSIGHT)


def test_a_step_that_cost_three_workers_their_life_is_poisoned() -> None:
    pool = pool_of(b"w1")
    assert send(pool, "s") == {"s": b"w1"}
    assert kill(pool, b"w1", b"w2", 1) == []
    assert pool.assign(0) == [(b"w2", step("s"))]
    assert kill(pool, b"w2", b"w3", 2) == []
    assert pool.assign(0) == [(b"w3", step("s"))]
    assert kill(pool, b"w3", b"w4", 3) == [step("s")]
    assert pool.pending == 0
    assert not pool.has_waiting
    assert pool.assign(0) == []


def test_steps_that_shared_workers_with_a_poisoned_one_are_never_lost_a_third_time() -> None:
    pool = pool_of(b"w0")
    for session in ("poison", *"abcdefgh"):
        pool.submit(step(session), 0)
    dead, served = 0, set()
    poisoned: list[Step] = []
    while pool.pending:
        worker = b"w%d" % dead
        sent = pool.assign(0)
        assert sent
        if any(pool.step_of(worker, "poison", 0) for _ in sent):
            dead += 1
            poisoned += kill(pool, worker, b"w%d" % dead, dead)
            continue
        for _, done in sent:
            served.add(done.session)
            pool.finish(done.session)
    assert poisoned == [step("poison")]
    assert served == set("abcdefgh")
    assert dead == MAX_LOSSES


def test_a_step_that_was_suspected_twice_rests_before_it_is_run_again() -> None:
    pool = pool_of(b"w1", b"w2")
    send(pool, "s")
    pool.lose(b"w1", 0)
    assert pool.assign(0) == [(b"w2", step("s"))], "the first time at once"
    pool.lose(b"w2", 0)
    pool.heartbeat(b"w3", draining=False, now=0)
    assert pool.give_up_poison(HINDSIGHT - 0.1) == []
    assert send(pool, "other") == {"other": b"w3"}, "others do not wait for it"
    pool.finish("other")
    assert pool.give_up_poison(HINDSIGHT) == []
    assert pool.assign(HINDSIGHT) == [(b"w3", step("s"))]


def lose_twice(pool: WorkerPool, *sessions: str) -> None:
    """Bring steps to where they run alone: two workers of their own die with them."""
    for session in sessions:
        pool.submit(step(session), 0)
    for worker in (b"first", b"second"):
        pool.heartbeat(worker, draining=False, now=0)
        assert len(pool.assign(0)) == len(sessions)
        pool.lose(worker, 0)
    assert pool.give_up_poison(HINDSIGHT) == []


def busy_worker_and_a_step_that_runs_alone() -> WorkerPool:
    """The worker "w" has the step "busy", and is reserved for the step "alone"."""
    pool = pool_of(b"w")
    assert send(pool, "busy") == {"busy": b"w"}
    pool.heartbeat(b"w", draining=True, now=0)
    lose_twice(pool, "alone")
    pool.heartbeat(b"w", draining=False, now=0)
    assert pool.assign(0) == []
    return pool


def test_a_step_that_runs_alone_waits_for_an_idle_worker_and_shares_it_with_nobody() -> None:
    pool = busy_worker_and_a_step_that_runs_alone()
    assert send(pool, "later") == {}
    pool.finish("busy")
    assert pool.assign(0) == [(b"w", step("alone"))]
    assert send(pool, "even-later") == {}
    pool.finish("alone")
    assert [sent.session for _, sent in pool.assign(0)] == ["later", "even-later"]


def test_steps_that_run_alone_leave_half_of_the_workers_to_the_others() -> None:
    pool = pool_of()
    lose_twice(pool, "s", "t")
    for name in (b"w1", b"w2", b"w3"):
        pool.heartbeat(name, draining=False, now=0)
    assert len(pool.assign(0)) == 1
    assert len(send(pool, *"abcd")) == 4
    assert pool.waiting == 1


def test_a_step_that_runs_alone_and_is_refused_by_all_workers_holds_up_no_other() -> None:
    pool = pool_of()
    lose_twice(pool, "s", "t")
    pool.heartbeat(b"w", draining=False, now=0)
    ((_, first),) = pool.assign(0)
    pool.hand_back(first.session, 0, for_good=True)
    ((_, second),) = pool.assign(0)
    assert {first.session, second.session} == {"s", "t"}


@pytest.mark.parametrize("how", ["goodbye", "undelivered"])
def test_a_worker_that_leaves_or_never_got_the_step_is_no_loss_to_it(how: str) -> None:
    pool = pool_of()
    pool.submit(step("s"), 0)
    for number in range(10):
        name = b"w%d" % number
        pool.heartbeat(name, draining=False, now=0)
        assert pool.assign(0) == [(name, step("s"))]
        if how == "goodbye":
            pool.lose(name, number, blame=False)
        else:
            pool.lose(name, number, undelivered=[step("s")])
        assert pool.give_up_poison(number + HINDSIGHT) == []


@pytest.mark.parametrize("proof", ["answer", "heartbeat"])
def test_a_step_that_its_worker_lived_on_with_is_not_what_killed_it(proof: str) -> None:
    pool = pool_of(b"w0")
    send(pool, "s")
    for turn in range(MAX_TRIES - 1):
        worker, successor = b"w%d" % turn, b"w%d" % (turn + 1)
        if proof == "answer":
            send(pool, "later")
            pool.finish("later")
        else:
            pool.retry_lost(worker, ("s",), ping=0, now=0)
        assert kill(pool, worker, successor, turn) == []
        pool.assign(0)
        assert pool.step_of(successor, "s", 0)
    assert kill(pool, b"w%d" % (MAX_TRIES - 1), b"last", MAX_TRIES) == [step("s")], "no step is tried forever"


def test_an_answer_to_an_earlier_step_proves_nothing() -> None:
    pool = pool_of(b"w0")
    send(pool, "earlier", "s")
    pool.finish("earlier")
    assert kill(pool, b"w0", b"w1", 1) == []
    pool.assign(0)
    assert kill(pool, b"w1", b"w2", 2) == []
    pool.assign(0)
    assert kill(pool, b"w2", b"w3", 3) == [step("s")]


def test_an_answer_that_cannot_be_counts_as_a_loss_and_the_worker_lives() -> None:
    pool = pool_of(b"w")
    send(pool, "s")
    for last in (False, False, True):
        pool.answered_wrongly("s", 0)
        assert pool.give_up_poison(0) == ([step("s")] if last else [])
        assert pool.assign(0) == ([] if last else [(b"w", step("s"))])
    assert pool.members.taking == 1
    assert pool.pending == 0


@pytest.mark.parametrize("leave", ["dies", "drains"])
def test_a_reserved_worker_that_goes_away_gives_its_reservation_back(leave: str) -> None:
    pool = busy_worker_and_a_step_that_runs_alone()
    if leave == "dies":
        pool.lose(b"w", 0)
    else:
        pool.heartbeat(b"w", draining=True, now=0)
    pool.heartbeat(b"w2", draining=False, now=0)
    assert (b"w2", step("alone")) in pool.assign(0)


def test_a_step_that_waits_for_its_reserved_worker_can_be_overdue() -> None:
    pool = busy_worker_and_a_step_that_runs_alone()
    assert pool.give_up_overdue(100, 30) == [step("alone")]
    pool.finish("busy")
    assert send(pool, "t") == {"t": b"w"}


@pytest.mark.parametrize("noticed", ["first", "last"])
def test_a_storm_that_kills_all_workers_again_and_again_makes_no_poison(noticed: str) -> None:
    """Wherever the step is: that the other worker was lost without it is known before it is run again."""
    pool = pool_of(b"a0", b"b0")
    sent = send(pool, "s")["s"]
    for storm in range(1, MAX_TRIES):
        order = sorted((b"a%d" % (storm - 1), b"b%d" % (storm - 1)), key=lambda name: name == sent)
        for delay, name in enumerate(order if noticed == "last" else reversed(order)):
            pool.lose(name, storm + delay / 10)
        for name in (b"a%d" % storm, b"b%d" % storm):
            pool.heartbeat(name, draining=False, now=storm)
        assert pool.give_up_poison(storm + 0.1 + HINDSIGHT) == []
        ((sent, _),) = pool.assign(storm + 0.1 + HINDSIGHT)
    pool.finish("s")


def test_a_storm_that_a_step_falls_through_from_worker_to_worker_makes_no_poison() -> None:
    """All die at once and are noticed one after another: the step was sent to one that was dead already."""
    workers = {b"w1", b"w2", b"w3"}
    pool = pool_of(*workers)
    first = send(pool, "s")["s"]
    pool.lose(first, 0)
    ((second, _),) = pool.assign(0)
    pool.lose(second, 0.01)
    assert pool.assign(0.01) == [], "it rests, so it is not with the last one"
    pool.lose(*(workers - {first, second}), 0.02)
    pool.heartbeat(b"new", draining=False, now=0.3)
    assert pool.give_up_poison(1) == []
    assert pool.assign(1) == [(b"new", step("s"))]
    for turn in range(2, 2 + MAX_LOSSES):
        assert pool.pending == 1, "none of the storm's losses counts"
        poisoned = kill(pool, b"new", b"new", turn)
        pool.assign(turn)
    assert poisoned == [step("s")]


def test_a_worker_that_is_lost_before_it_got_the_step_was_lost_without_it() -> None:
    pool = pool_of(b"w1")
    send(pool, "s")
    for now, worker, dead in ((0, b"w1", b"d1"), (1, b"w2", b"d2")):
        pool.heartbeat(dead, draining=False, now=now)
        pool.lose(worker, now)
        for name, _ in pool.assign(now):
            # Dead already: what was sent to it comes back.
            pool.lose(name, now, undelivered=[step("s")])
        pool.lose(dead, now)
        pool.heartbeat(b"w2" if worker == b"w1" else b"w3", draining=False, now=now)
        assert pool.give_up_poison(now + HINDSIGHT) == []
        assert len(pool.assign(now + HINDSIGHT)) == 1
    for now in (20, 30, 40):
        poisoned = kill(pool, b"w3", b"w3", now)
        assert poisoned == ([step("s")] if now == 40 else []), "none of those before counts"
        pool.assign(now + HINDSIGHT)


def test_what_is_heard_late_because_the_gateway_stood_still_was_not_late() -> None:
    pool = pool_of(b"w1", b"w2")
    pool.members.look_at_clock(0)
    at = send(pool, "s")["s"]
    other = b"w1" if at == b"w2" else b"w2"
    for turn in (0, 100, 200):
        pool.members.look_at_clock(turn)
        pool.lose(at, turn)
        # Three seconds later it comes to read that the other one is gone as well.
        pool.members.look_at_clock(turn + 3)
        assert pool.give_up_poison(turn + 3) == []
        pool.lose(other, turn + 3.01)
        for name in (at, other):
            pool.heartbeat(name, draining=False, now=turn + 3.02)
        for tenth in range(9):
            pool.members.look_at_clock(turn + 3.02 + tenth / 10)
        assert pool.give_up_poison(turn + 3.9) == []
        ((at, _),) = pool.assign(turn + 4)
        other = b"w1" if at == b"w2" else b"w2"


def pool_with_a_step_that_rests() -> WorkerPool:
    """The step "s" has just cost two workers their life."""
    pool = pool_of()
    pool.submit(step("s"), 0)
    for worker in (b"first", b"second"):
        pool.heartbeat(worker, draining=False, now=0)
        assert len(pool.assign(0)) == 1
        pool.lose(worker, 0)
    return pool


def test_while_steps_only_rest_there_is_nothing_to_assign() -> None:
    pool = pool_with_a_step_that_rests()
    assert (pool.pending, pool.waiting, pool.has_waiting) == (1, 1, False)
    assert pool.give_up_poison(HINDSIGHT) == []
    assert pool.has_waiting


def test_a_step_that_rests_can_be_overdue() -> None:
    pool = pool_with_a_step_that_rests()
    assert pool.give_up_overdue(100, 30) == [step("s")]
    assert pool.give_up_poison(100) == []
    assert pool.pending == 0


def test_a_step_that_kills_is_found_in_a_storm_too_and_costs_nobody_else_a_reply() -> None:
    pool = pool_of(b"idle", b"w0")
    pool.lose(b"idle", 0)
    send(pool, "kills", "harmless")
    killed, poisoned = 0, list[str]()
    while "kills" not in poisoned:
        holder = b"w%d" % killed
        if pool.step_of(holder, "kills", 0):
            killed += 1
            poisoned += [step.session for step in kill(pool, holder, b"w%d" % killed, killed)]
        else:
            pool.finish("harmless")
        pool.assign(killed)
    assert (poisoned, killed) == (["kills"], 5)


@pytest.mark.parametrize("workers", [1, 4])
def test_two_steps_that_kill_are_told_apart_from_a_storm(workers: int) -> None:
    pool = pool_of(*(b"%d" % number for number in range(workers)))
    send(pool, "one", "two")
    killed, poisoned, now = 0, list[str](), 0.0
    while pool.pending:
        now += 1
        # Both at once, where they are with two workers.
        for worker in [worker for worker, member in pool.members.items() if member.tasks]:
            killed += 1
            pool.lose(worker, now)
            pool.heartbeat(b"successor %d" % killed, draining=False, now=now)
        poisoned += [step.session for step in pool.give_up_poison(now + HINDSIGHT)]
        pool.assign(now)
    assert sorted(poisoned) == ["one", "two"]
    assert killed <= (4 if workers == 1 else 8), "two together, then each alone"


def test_a_worker_that_is_lost_while_it_runs_a_step_alone_leaves_nothing_to_be_assigned() -> None:
    pool = pool_of(b"w1")
    for now, name in enumerate((b"w1", b"w2", b"w3")):
        pool.heartbeat(name, draining=False, now=now)
        assert send(pool, "a") if name == b"w1" else pool.assign(now)
        pool.lose(name, now)
        poisoned = pool.give_up_poison(now + HINDSIGHT)
    assert [step.session for step in poisoned] == ["a"]
    assert not pool.has_waiting
    assert pool.pending == 0
