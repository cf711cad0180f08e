"""The pool: no step is lost or with two workers, none stays with a dead one, and poison takes no innocents along."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.workers.members import MAX_TRIES, SILENCE, Worker
from gateway.workers.pool import WorkerPool
from tests.gateway.workers.pool_machine import PoolMachine, pool_of, send, step
from wire.limits import BODY_PIECE, IN_FLIGHT, MAX_LINES, MAX_PIECE
from wire.messages import Body, Disconnected, Lines, Step


def test_a_step_waits_until_there_is_a_worker() -> None:
    pool = pool_of()
    assert send(pool, "s") == {}
    assert pool.waiting == 1
    pool.heartbeat(b"w", draining=False, now=1)
    assert pool.assign(0) == [(b"w", step("s"))]
    assert (pool.waiting, pool.pending, pool.members.taking) == (0, 1, 1)


def test_steps_that_wait_are_sent_in_the_order_they_came() -> None:
    pool = pool_of()
    send(pool, "a", "b", "c")
    pool.heartbeat(b"w", draining=False, now=0)
    assert [sent.session for _, sent in pool.assign(0)] == ["a", "b", "c"]


def test_an_opening_counts_while_all_workers_that_take_steps_offer_the_same() -> None:
    pool = WorkerPool()
    assert pool.members.opening == b""
    pool.heartbeat(b"w1", draining=False, now=0, opening=b"220 a")
    assert pool.members.opening == b"220 a"
    pool.heartbeat(b"w2", draining=False, now=0, opening=b"220 a")
    pool.heartbeat(b"leaves", draining=True, now=0)
    assert pool.members.opening == b"220 a"
    pool.heartbeat(b"older", draining=False, now=0)
    assert pool.members.opening == b""
    pool.lose(b"older", 0)
    pool.heartbeat(b"w2", draining=False, now=0, opening=b"220 b")
    assert pool.members.opening == b""


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
        if pool.step_of(b"w2", session, 0):
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
    assert pool.step_of(worker, "s", 0) == step("s")
    assert pool.step_of(other, "s", 0) is None
    assert pool.step_of(worker, "s", 1) is None
    assert pool.step_of(worker, "unknown", 0) is None
    pool.finish("s")
    assert pool.step_of(worker, "s", 0) is None


def test_a_worker_that_falls_silent_loses_its_steps_to_another_and_its_late_answer_does_not_count() -> None:
    pool = pool_of(b"w1")
    send(pool, "s")
    pool.heartbeat(b"w2", draining=False, now=SILENCE)
    assert pool.members.look_at_clock(SILENCE) == []
    assert pool.members.look_at_clock(SILENCE + 0.01) == [b"w1"]
    pool.lose(b"w1", SILENCE + 0.01)
    assert pool.assign(0) == [(b"w2", step("s"))]
    assert pool.step_of(b"w1", "s", 0) is None


def test_any_message_is_a_heartbeat_of_a_known_worker_and_registers_no_unknown_one() -> None:
    pool = pool_of(b"w1")
    pool.members.look_at_clock(0)
    pool.members.look_at_clock(0.3)
    pool.sign_of_life(b"w1", SILENCE)
    pool.sign_of_life(b"stranger", SILENCE)
    for tenth in range(4, 20):
        assert pool.members.look_at_clock(tenth / 10) == []
    assert pool.members.taking == 1


def test_silence_while_the_gateway_itself_stood_still_is_nobodys_fault() -> None:
    pool = pool_of(b"w1")
    assert pool.members.look_at_clock(0.1) == []
    assert pool.members.look_at_clock(60) == []
    pool.heartbeat(b"w1", draining=False, now=60)
    assert pool.members.look_at_clock(60.3) == []
    for tenth in range(604, 612):
        assert pool.members.look_at_clock(tenth / 10) == []
    assert pool.members.look_at_clock(61.3) == [b"w1"]


def test_a_worker_lost_twice_is_lost_once() -> None:
    pool = pool_of(b"w1")
    send(pool, "s")
    pool.lose(b"w1", 0)
    pool.lose(b"w1", 0)
    assert pool.waiting == 1


def test_a_draining_worker_gets_no_step_and_finishes_its_own() -> None:
    pool = pool_of(b"w1")
    send(pool, "s")
    pool.heartbeat(b"w1", draining=True, now=1)
    assert pool.members.taking == 0
    assert send(pool, "t") == {}
    assert pool.step_of(b"w1", "s", 0)
    pool.finish("s")
    pool.heartbeat(b"w1", draining=False, now=1)
    assert pool.assign(0) == [(b"w1", step("t"))]


def test_a_step_refused_by_a_draining_worker_goes_to_another_one() -> None:
    pool = pool_of(b"w1", b"w2")
    worker = send(pool, "s")["s"]
    pool.hand_back("s", 0, for_good=False)
    ((other, again),) = pool.assign(0)
    assert again == step("s")
    assert other != worker
    assert pool.members.taking == 1


def test_a_step_whose_state_a_worker_does_not_know_never_goes_there_again() -> None:
    pool = pool_of(b"old")
    send(pool, "s")
    pool.hand_back("s", 0, for_good=True)
    assert pool.assign(0) == []
    assert send(pool, "t") == {"t": b"old"}
    pool.heartbeat(b"new", draining=False, now=1)
    assert pool.assign(0) == [(b"new", step("s"))]


def test_a_step_that_waits_too_long_is_given_up() -> None:
    pool = pool_of()
    send(pool, "a", now=0)
    send(pool, "b", now=20)
    assert pool.give_up_overdue(30, 30) == []
    assert pool.give_up_overdue(31, 30) == [step("a")]
    assert pool.pending == 1
    pool.heartbeat(b"w", draining=False, now=31)
    assert pool.assign(0) == [(b"w", step("b"))]
    assert pool.give_up_overdue(1000, 30) == []


def test_a_step_that_comes_back_begins_to_wait_anew_and_goes_first() -> None:
    pool = pool_of(b"w1")
    send(pool, "a", now=0)
    pool.heartbeat(b"w1", draining=True, now=0)
    send(pool, "b", now=99)
    pool.lose(b"w1", 100)
    assert pool.give_up_overdue(101, 30) == []
    pool.heartbeat(b"w2", draining=False, now=101)
    assert [sent.session for _, sent in pool.assign(0)] == ["a", "b"]


def ping(pool: WorkerPool) -> int:
    """The number of the Ping that is to be sent to the only worker."""
    ((_, number),) = pool.members.unproven()
    return number


def test_a_step_that_its_worker_does_not_name_behind_a_later_ping_was_lost_on_the_way_and_is_sent_again() -> None:
    pool = pool_of(b"w")
    assert pool.members.unproven() == []
    assert send(pool, "there", "lost") == {"there": b"w", "lost": b"w"}
    number = ping(pool)
    send(pool, "later")
    assert pool.retry_lost(b"w", ("there",), number, 0) == 1
    assert pool.assign(0) == [(b"w", step("lost"))]
    assert pool.step_of(b"w", "there", 0)
    assert pool.retry_lost(b"w", ("there",), number, 0) == 0, "it was sent again since"


def test_a_worker_that_is_behind_has_lost_nothing_however_long_it_takes() -> None:
    pool = pool_of(b"w")
    send(pool, "s")
    before = ping(pool)
    pool.finish("s")
    send(pool, "t")
    for now in range(1000):
        assert pool.retry_lost(b"w", (), 0, now) == 0, "it has come to no Ping yet"
        assert pool.retry_lost(b"w", (), before, now) == 0, "nor to the one behind this step"
    assert pool.retry_lost(b"w", (), ping(pool), 1000) == 1


def test_a_ping_that_this_gateway_has_not_sent_says_nothing() -> None:
    pool = pool_of(b"w")
    send(pool, "s")
    assert pool.retry_lost(b"w", (), ping(pool) + 1, 0) == 0


def test_a_step_that_is_lost_on_the_way_again_and_again_is_given_up_in_the_end() -> None:
    pool = pool_of(b"w")
    send(pool, "s", "other")
    for turn in range(1, MAX_TRIES + 1):
        assert pool.retry_lost(b"w", ("other",), ping(pool), turn) == 1
        last = turn == MAX_TRIES
        assert pool.assign(turn) == ([] if last else [(b"w", step("s"))])
        assert pool.give_up_poison(turn) == ([step("s")] if last else [])
    assert pool.pending == 1


# ---------------------------------------------------------------- no more at a time than a worker can hold


def body(session: str, octets: int) -> Step:
    return Step(session, 0, 0, b"", Body(b"x" * octets, 0, True))


def sent_octets(pool: WorkerPool) -> dict[Worker, int]:
    """Have steps sent; the octets of message that each worker got."""
    octets: Counter[Worker] = Counter()
    for worker, sent in pool.assign(0):
        assert isinstance(sent.input, Body)
        octets[worker] += len(sent.input.data)
    return octets


@pytest.mark.parametrize("size", [4096, BODY_PIECE, MAX_PIECE])
def test_a_worker_gets_so_many_octets_at_a_time_and_the_rest_as_it_answers(size: int) -> None:
    pool = pool_of(b"w1", b"w2")
    many = 3 * IN_FLIGHT // size
    for number in range(many):
        pool.submit(body(str(number), size), 0)
    first = sent_octets(pool)
    # A step has its own weight besides, which small ones feel.
    assert all(IN_FLIGHT / 3 < octets < IN_FLIGHT + size for octets in first.values()), first
    assert pool.has_waiting
    assert pool.assign(0) == [], "no more before something is answered"
    served = []
    while pool.pending:
        served += [number for number in map(str, range(many)) if any(pool.step_of(w, number, 0) for w in first)]
        for number in served[-2:]:
            if any(pool.step_of(worker, number, 0) for worker in first):
                pool.finish(number)
        assert max(sent_octets(pool).values(), default=0) <= 3 * size
    assert set(served) == set(map(str, range(many)))


def test_small_steps_and_large_ones_do_not_wait_for_each_other() -> None:
    pool = pool_of(b"w")
    for number in range(20):
        pool.submit(body(f"large {number}", MAX_PIECE), 0)
    pool.assign(0)
    assert pool.has_waiting
    assert send(pool, "small") == {"small": b"w"}
    pool = pool_of(b"w")
    for number in range(4000):
        pool.submit(step(f"small {number}"), 0)
    pool.assign(0)
    assert pool.has_waiting
    pool.submit(body("large", MAX_PIECE), 0)
    assert pool.assign(0) == [(b"w", body("large", MAX_PIECE))]


def test_floods_of_commands_keep_no_single_one_waiting() -> None:
    pool = pool_of(b"w")
    for number in range(2000):
        pool.submit(Step(f"flood {number}", 0, 0, b"", Lines((b"NOOP",) * MAX_LINES)), 0)
    assert len(pool.assign(0)) < 100
    assert send(pool, "one") == {"one": b"w"}
    pool.submit(Step("mail", 0, 0, b"", Lines((b"RCPT TO:<a@example.com>",) * 102)), 0)
    assert [sent.session for _, sent in pool.assign(0)] == ["mail"], "a usual group of pipelined commands is small"


def test_a_state_counts_like_a_message() -> None:
    pool = pool_of(b"w")
    for number in range(100):
        pool.submit(Step(str(number), 0, 0, b"s" * 500_000, Disconnected()), 0)
    assert len(pool.assign(0)) == IN_FLIGHT // 500_000 + 1


def test_what_a_lost_worker_had_takes_room_at_the_next_one_and_none_at_it_when_it_is_back() -> None:
    pool = pool_of(b"w1")
    for number in range(20):
        pool.submit(body(str(number), MAX_PIECE), 0)
    had = len(pool.assign(0))
    pool.heartbeat(b"w2", draining=False, now=0)
    pool.lose(b"w1", 0, blame=False)
    assert [worker for worker, _ in pool.assign(0)] == [b"w2"] * had
    pool.heartbeat(b"w1", draining=False, now=0)
    assert [worker for worker, _ in pool.assign(0)] == [b"w1"] * had


# ---------------------------------------------------------------- the promises, whatever happens

TestPoolMachine = PoolMachine.TestCase
