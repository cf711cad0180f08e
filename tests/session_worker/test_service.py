"""Steps between a gateway and a store that the tests play, over real sockets and on one loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from session_worker.dialogue import state
from session_worker.dialogue.turn import HOLDS
from tests.conditions import until
from tests.session_worker.stage import GREETED, RCPT, SENDER, Peer, staged, step
from wire.codec import PROTOCOL
from wire.messages import (
    Answer,
    Ask,
    Close,
    Lines,
    Lookup,
    Ping,
    Pong,
    ReadLines,
    StepDone,
    StepRefused,
    WorkerAlive,
    WorkerGone,
)
from wire.outcomes import Found
from wire.records import replace


async def test_a_question_goes_to_the_store_and_its_outcome_into_the_reply(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(step(1, RCPT, SENDER))
        (ask,) = await stage.asked(1)
        assert ask.question == Lookup("maria", "example.com")
        await until(lambda: stage.gateway.of(WorkerAlive)[-1].sessions == ("s-1",))
        # A step that waits does not hold up another.
        stage.gateway.send(step(2, Lines((b"NOOP",)), GREETED))
        await stage.answered(2)
        stage.store.send(Answer(ask.request, Found("maria@example.com")))
        assert (await stage.answered(1)).replies.startswith(b"250 2.1.5 ")


async def test_what_the_store_has_just_said_is_not_asked_again_and_holds_for_what_is_left_of_its_time(
    folder: Path,
) -> None:
    now = 10.0
    async with staged(folder) as stage:
        stage.worker.service.clock = lambda: now
        stage.gateway.send(step(1, RCPT, SENDER))
        (ask,) = await stage.asked(1)
        stage.store.send(Answer(ask.request, Found("maria@example.com", holds=1000, writable_for=750)))
        first = await stage.answered(1)
        assert first.holds == HOLDS
        now += 0.5
        stage.gateway.send(step(2, Lines((*RCPT.lines, b"DATA")), SENDER))
        second = await stage.answered(2)
        assert second.replies.startswith(first.replies)
        assert second.replies.endswith(b"\r\n354 Type the message; end it with a line that holds a single dot\r\n")
        assert second.holds == 250
        assert len(stage.store.of(Ask)) == 1


async def test_what_data_will_be_answered_is_told_with_the_recipient_where_the_store_need_not_be_asked(
    folder: Path,
) -> None:
    async with staged(folder) as stage:
        stage.worker.service.clock = lambda: 10.0
        for number, (holds, writable_for) in enumerate([(0, 0), (0, 1000), (1000, 1000)], 1):
            stage.gateway.send(step(number, RCPT, SENDER))
            ask = (await stage.asked(number))[-1]
            stage.store.send(Answer(ask.request, Found("maria@example.com", holds, writable_for)))
            done = await stage.answered(number)
            assert (done.ahead is None) == (number < 3)
        assert done.ahead is not None
        assert done.ahead.lines == (b"DATA",)
        stage.gateway.send(replace(step(4, Lines((b"DATA",))), state=done.state, carry=b"<>"))
        asked = await stage.answered(4)
        assert replace(asked, holds=0) == replace(done.ahead.done, holds=0)
        assert 0 < asked.holds <= done.ahead.done.holds <= 1000
        # Two recipients, and of one nobody knows whether its mailbox can be written.
        lines = Lines((*RCPT.lines, b"RCPT TO:<joao@example.com>"))
        stage.gateway.send(step(5, lines, SENDER))
        stage.store.send(Answer((await stage.asked(4))[-1].request, Found("joao@example.com", 1000)))
        assert (await stage.answered(5)).ahead is None


async def test_a_store_that_has_restarted_is_asked_again(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.store.send(Pong("one"))
        stage.gateway.send(step(1, RCPT, SENDER))
        (ask,) = await stage.asked(1)
        stage.store.bus.close(linger=0)
        stage.store = Peer(stage.context, stage.endpoints["store"])
        await until(lambda: stage.store.of(Ping))
        stage.store.send(Pong("two"))
        assert (await stage.asked(1)) == [ask]
        stage.store.send(Answer(ask.request, Found("maria@example.com")))
        assert (await stage.answered(1)).replies.startswith(b"250 2.1.5 ")


async def test_a_question_that_was_lost_on_the_way_to_the_store_is_asked_again(folder: Path) -> None:
    async with staged(folder) as stage:
        await until(lambda: stage.store.of(Ping))
        stage.store.send(Pong("one", stage.store.of(Ping)[-1].number))
        stage.gateway.send(step(1, RCPT, SENDER))
        (ask,) = await stage.asked(1)
        behind = stage.store.of(Ping)[-1].number + 1
        # As if it had never come, and a Ping behind it has.
        await until(lambda: stage.store.of(Ping)[-1].number >= behind)
        stage.store.send(Pong("one", behind))
        assert (await stage.asked(2)) == [ask, ask]
        # Nobody has to wait for it any longer.
        stage.store.send(Answer(ask.request, Found("maria@example.com")))


async def test_a_gateway_that_wants_to_know_how_far_the_worker_is_is_told_which_steps_it_has(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(step(1, RCPT, SENDER))
        stage.gateway.send(Ping(7))
        await until(lambda: [alive for alive in stage.gateway.of(WorkerAlive) if alive.ping == 7])
        (alive,) = (alive for alive in stage.gateway.of(WorkerAlive) if alive.ping)
        assert alive.sessions == (step(1, RCPT, SENDER).session,)
        (ask,) = await stage.asked(1)
        stage.store.send(Answer(ask.request, Found("maria@example.com")))


async def test_a_store_that_does_not_answer_becomes_a_4xx(folder: Path) -> None:
    async with staged(folder, store_seconds=0.3) as stage:
        stage.gateway.send(step(1, RCPT, SENDER))
        done = await stage.answered(1)
        assert done.replies.startswith(b"451 4.3.2 ")
        assert done.next == ReadLines()
        # Its answer, when it comes after all, is to nothing.
        stage.store.send(Answer(stage.store.of(Ask)[0].request, Found("maria@example.com")))
        stage.gateway.send(step(2, Lines((b"NOOP",)), GREETED))
        await stage.answered(2)


async def test_a_store_that_does_not_answer_is_waited_for_once_in_a_step(folder: Path) -> None:
    async with staged(folder, store_seconds=0.6) as stage:
        recipients = [b"RCPT TO:<u%d@example.com>" % number for number in range(100)]
        stage.gateway.send(step(1, Lines((*recipients, b"NOOP")), SENDER))
        done = await stage.answered(1)
        assert done.replies.count(b"451 4.3.2 ") == len(recipients)
        assert (done.consumed, done.replies[-60:].count(b"\r\n250 ")) == (101, 1)
        assert len({ask.request for ask in stage.store.of(Ask)}) == 1
        # The next step asks again.
        stage.gateway.send(step(2, RCPT, SENDER))
        await until(lambda: len({ask.request for ask in stage.store.of(Ask)}) == 2)
        stage.store.send(Answer(stage.store.of(Ask)[-1].request, Found("maria@example.com")))
        assert (await stage.answered(2)).replies.startswith(b"250 2.1.5 ")


async def test_the_store_may_act_for_a_step_only_so_long_after_it_was_sent(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(replace(step(1, RCPT, SENDER), waited=7_000))
        (ask,) = await stage.asked(1)
        assert ask.deadline == step(1, RCPT).time + 7_000 + 30_000
        stage.store.send(Answer(ask.request, Found("maria@example.com")))
        await stage.answered(1)


async def test_a_state_of_a_newer_release_is_handed_back(folder: Path) -> None:
    newer = state.msgpack.packb({"version": state.VERSION + 1})

    async with staged(folder) as stage:
        stage.gateway.send(step(1, Lines((b"NOOP",)), newer))
        await until(lambda: stage.gateway.of(StepRefused))
        assert stage.gateway.of(StepRefused) == [StepRefused("s-1", 1, "state")]


async def test_a_state_that_is_none_is_counted_and_closes_that_session_alone(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(step(1, Lines((b"NOOP",)), b"garbage"))
        done = await stage.answered(1)
        assert done.replies.startswith(b"421 4.3.0 ")
        assert done.next == Close()
        assert stage.worker.service.bad_states == 1
        stage.gateway.send(step(2, Lines((b"NOOP",)), GREETED))
        assert (await stage.answered(2)).replies.startswith(b"250 ")


async def test_a_fault_of_the_dialogue_is_logged_and_closes_that_session_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> Iterator[object]:
        raise ZeroDivisionError
        yield

    async with staged(folder) as stage:
        with monkeypatch.context() as patched:
            patched.setattr("session_worker.dialogue.steps.run", fails)
            stage.gateway.send(step(1, Lines((b"secret",)), GREETED))
            done = await stage.answered(1)
        assert done.replies.startswith(b"421 4.3.0 ")
        stage.gateway.send(step(2, Lines((b"NOOP",)), GREETED))
        assert (await stage.answered(2)).replies.startswith(b"250 ")

    assert "s-1: the dialogue failed" in caplog.text
    assert "secret" not in caplog.text


async def test_a_fault_ahead_of_a_step_keeps_no_answer_of_the_step_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> Iterator[object]:
        raise ZeroDivisionError
        yield

    async with staged(folder) as stage:
        stage.gateway.send(step(1, RCPT, SENDER))
        (ask,) = await stage.asked(1)
        monkeypatch.setattr("session_worker.dialogue.steps.run", fails)
        stage.store.send(Answer(ask.request, Found("maria@example.com", holds=1000, writable_for=1000)))
        done = await stage.answered(1)
        assert done.replies.startswith(b"250 2.1.5 ")
        assert done.ahead is None
        assert not stage.worker.service.running
    assert "s-1: the dialogue failed ahead of step" in caplog.text


async def test_messages_that_make_no_sense_are_counted_and_dropped(folder: Path) -> None:
    async with staged(folder) as stage:
        stage.gateway.send(WorkerGone())
        stage.store.send(step(9, Lines((b"NOOP",)), GREETED))
        stage.store.send(Answer(77, Found("x")))
        for frames in ([b"x"], [PROTOCOL, b"\xc1"], [b"correio/2", b"\x90"], [b""] * 3):
            stage.gateway.socket.send_multipart([stage.gateway.worker, *frames])
            stage.store.socket.send_multipart([stage.store.worker, *frames])
        await until(lambda: stage.worker.service.unexpected == 2)
        stage.gateway.send(step(2, Lines((b"NOOP",)), GREETED))
        assert (await stage.answered(2)).replies.startswith(b"250 ")
        assert stage.store.of(StepDone) == []
