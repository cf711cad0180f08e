"""Workers come, die, hang, leave, refuse or are cut off, and steps find another that does them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conditions import until
from tests.gateway.fakes import FakeWorker, gateway, mute, parrot
from wire.messages import (
    Lines,
    Step,
    StepDone,
    StepRefused,
)
from wire.records import replace


@pytest.mark.parametrize("end", ["hang", "die", "leave"])
async def test_the_step_of_a_worker_that_ends_is_done_by_another_and_the_client_sees_only_its_reply(end: str) -> None:
    async with gateway() as running:
        first = await running.worker(b"w1")
        client = await running.greeted()
        first.script = mute
        client.send(b"hello\r\n")
        await until(lambda: len(first.steps) == 2, "for the step")
        second = await running.worker(b"w2")
        getattr(first, end)()
        begun = asyncio.get_running_loop().time()
        assert await client.line() == b"250 1 hello"
        assert asyncio.get_running_loop().time() - begun < 3
        assert [replace(step, waited=0) for step in second.steps] == first.steps[1:]
        assert (second.steps[0].waited >= 1000) is (end == "hang"), "silence takes its time to be believed"


async def test_the_late_answer_of_a_worker_believed_dead_is_dropped_and_the_worker_is_welcome_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        async with gateway() as running:
            first = await running.worker(b"w1")
            client = await running.greeted()
            first.hang()
            client.send(b"hello\r\n")
            await until(lambda: len(first.steps) == 2, "for the step")
            second = await running.worker(b"w2")
            assert await client.line() == b"250 1 hello"
            first.say(replace(parrot(first.steps[1]), replies=b"250 late\r\n"))
            assert await client.ask(b"again\r\n") == b"250 2 again"
            second.leave()
            first.script = parrot
            first.wake()
            assert await client.ask(b"and again\r\n") == b"250 3 and again"
    assert "nobody waits for it to do step 1" in caplog.text


async def test_a_step_that_was_lost_on_the_way_is_sent_again_and_one_that_its_worker_is_behind_with_is_not() -> None:
    async with gateway() as running:
        worker = await running.worker()
        clients = [await running.greeted() for _ in range(3)]

        worker.script = lambda _: None
        clients[0].send(b"behind\r\n")
        clients[1].send(b"lost\r\n")
        await until(lambda: len(worker.inputs(Lines)) == 2, "for the steps")
        (lost,) = [step for step in worker.steps if step.input == Lines((b"lost",))]
        # As if it had never come.
        worker._held.discard(lost.session)
        await until(lambda: len(worker.inputs(Lines)) == 3, "for the lost one to come again")
        worker.script = parrot
        worker.say(parrot(lost))
        assert await clients[1].line() == b"250 1 lost"
        assert await clients[2].ask(b"hello\r\n") == b"250 1 hello"
        (behind,) = [step for step in worker.steps if step.input == Lines((b"behind",))]
        worker.say(parrot(behind))
        assert await clients[0].line() == b"250 1 behind"


async def test_a_worker_whose_connection_ends_loses_its_steps_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # No silence is long enough: the departure alone must be what tells.
    monkeypatch.setattr("gateway.workers.members.SILENCE", 1e9)
    async with gateway() as running:
        first = await running.worker(b"w1")
        client = await running.greeted()
        first.script = mute
        client.send(b"hello\r\n")
        await until(lambda: first.inputs(Lines))
        second = await running.worker(b"w2")
        first.die()
        assert await client.line() == b"250 1 hello"
        assert second.inputs(Lines)


async def test_that_an_idle_worker_has_gone_is_noticed_at_once_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.workers.members.SILENCE", 1e9)
    async with gateway() as running:
        worker = await running.worker(b"w1")
        await running.greeted()
        worker.die()
        await until(lambda: "worker w1 is not connected any more" in caplog.text)


async def test_a_line_that_kills_every_worker_is_given_up_and_kept_and_others_are_served(tmp_path: Path) -> None:
    async with gateway(poison_dir=str(tmp_path / "poison"), domain="mail.example.com") as running:
        workers = [await running.worker(b"w0")]

        async def mortal() -> None:
            """Workers that answer nothing more once they meet the line, leave, and are followed by new ones."""
            while True:
                await until(lambda: any(b"KILL" in spoken.lines for spoken in workers[-1].inputs(Lines)))
                workers[-1].die()
                workers.append(await running.worker(b"w%d" % len(workers)))
                workers[-1].script = script(workers[-1])

        def script(worker: FakeWorker) -> Callable[[Step], StepDone | None]:
            def answer(step: Step) -> StepDone | None:
                if any(b"KILL" in spoken.lines for spoken in worker.inputs(Lines)):
                    worker.hang()
                    return None
                return parrot(step)

            return answer

        workers[0].script = script(workers[0])
        supervisor = asyncio.create_task(mortal())
        victim, other = await running.greeted(), await running.greeted()
        victim.send(b"KILL\r\n")
        answered = 0
        while not (victim.reader.at_eof() or victim.reader._buffer):  # type: ignore[attr-defined]
            answered += 1
            assert await other.ask(b"hi\r\n") == b"250 %d hi" % answered
            await asyncio.sleep(0.01)
        assert (await victim.rest()).startswith(b"421 4.3.0 mail.example.com ")
        supervisor.cancel()
        assert len(workers) == 4
        assert await other.ask(b"bye\r\n") == b"250 %d bye" % (answered + 1)
    (kept,) = (tmp_path / "poison").iterdir()
    assert json.loads(kept.read_text())["input"] == "Lines"


async def test_without_a_worker_the_client_is_asked_to_come_back() -> None:
    async with gateway(no_worker_seconds=0.3) as running:
        client = await running.client()
        assert (await client.rest()).startswith(b"421 4.3.2 ")


@pytest.mark.parametrize("reason", ["draining", "state"])
async def test_a_step_that_a_worker_refuses_is_done_by_another(reason: str) -> None:
    async with gateway() as running:
        first = await running.worker(b"w1")
        client = await running.greeted()
        first.script = lambda step: StepRefused(step.session, step.seq, reason)
        client.send(b"hello\r\n")
        await until(lambda: len(first.steps) == 2, "for the refusal")
        await running.worker(b"w2")
        assert await client.line() == b"250 1 hello"
