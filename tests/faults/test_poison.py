"""A line that costs every worker its life costs its own session, and nobody else's."""

from __future__ import annotations

import base64
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conditions import wait_until
from tests.faults import programs
from tests.faults.background import USERS, load, supervised, without_errors
from tests.stack import Connection, Stack
from wire.codec import decode
from wire.messages import Body, Lines, Step

pytestmark = pytest.mark.stack

LINE = "NOOP poison"
ENDS = {"dies": "die()", "leaves": "os._exit(3)"}


def arm(stack: Stack, program: str) -> dict[str, str]:
    """Replace every worker by one that runs this program; gives what each one is to run when it dies."""
    for name in stack.worker_names:
        # In order: a worker that is killed without the step would speak for it.
        stack.terminate(name)
        stack.start(name, program)
    wait_until(stack.takes_mail, "the stack takes mail")
    return dict.fromkeys(stack.worker_names, program)


def poisoned_steps(stack: Stack) -> list[Step]:
    """The steps that the gateway has set aside."""
    steps = []
    for path in (stack.folder / "poison").glob("*.poison.json"):
        frames = [base64.b64decode(frame) for frame in json.loads(path.read_text())["frames"]]
        (step,) = decode(frames).messages
        assert isinstance(step, Step)
        steps.append(step)
    return steps


@pytest.mark.parametrize("how", ENDS)
def test_a_line_that_kills_three_workers_is_answered_421_and_kept_and_others_are_served(
    folder: Path, how: str
) -> None:
    with Stack(folder, workers=3, users=USERS, CONVERSATION="off") as stack:
        deaths: list[str] = []
        program = programs.worker(programs.on_line(LINE, ENDS[how]), folder / "flag")
        with supervised(stack, arm(stack, program), deaths.append), load(stack) as under_way:
            with stack.connect() as victim:
                victim.reply()
                assert victim.command("EHLO victim.example.net").startswith("250-")
                assert victim.command(LINE).startswith("421 4.3.0 ")
                assert victim.reply() == ""
            under_way.wait_for(50)
        assert len(deaths) == 3
        assert without_errors(under_way.journal), under_way.journal.errors
        (step,) = poisoned_steps(stack)
        assert step.input == Lines((LINE.encode(),))
        path = next((folder / "poison").iterdir())
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_message_that_kills_three_workers_is_answered_421_and_stored_nowhere(folder: Path) -> None:
    with Stack(folder, workers=2) as stack:
        program = programs.worker(programs.on_line("a deadly text", "die()"), folder / "flag")
        with supervised(stack, arm(stack, program)):
            with stack.connect() as victim:
                victim.begin()
                victim.send(b"Subject: x\r\n\r\na deadly text\r\n.\r\n")
                assert victim.reply().startswith("421 4.3.0 ")
            (step,) = poisoned_steps(stack)
            assert isinstance(step.input, Body)
            assert stack.mailbox("maria@example.com") == b""
            # Whoever comes after is served as ever.
            with stack.connect() as client:
                client.begin()
                assert client.command("Subject: y\r\n\r\nharmless\r\n.").startswith("250 2.0.0 ")


def test_a_line_that_hangs_every_worker_is_answered_421_and_the_hung_workers_end_themselves(folder: Path) -> None:
    with Stack(folder, workers=3, users=USERS, CONVERSATION="off") as stack:
        deaths: list[str] = []
        program = programs.worker(programs.on_line(LINE, "while True: pass"), folder / "flag")
        with supervised(stack, arm(stack, program), deaths.append), load(stack) as under_way:
            with stack.connect() as victim:
                victim.reply()
                assert victim.command(LINE).startswith("421 4.3.0 ")
                assert victim.reply() == ""
            wait_until(lambda: len(deaths) == 3, "the hung workers have ended")
            under_way.wait_for(50)
        assert without_errors(under_way.journal), under_way.journal.errors
        assert [step.input for step in poisoned_steps(stack)] == [Lines((LINE.encode(),))]
        # Where it hung is in the log.
        assert all("in act" in stack.log(name) for name in stack.worker_names)


def test_late_answers_of_a_worker_believed_dead_reach_nobody(folder: Path) -> None:
    with Stack(folder) as stack:
        # Asleep for longer than the silence that makes a worker gone: its loop stands still with the step half done.
        late = "once() and (time.sleep(2.5), print('woke', flush=True))"
        arm(stack, programs.worker(programs.on_line("NOOP late", late), folder / "flag"))
        with stack.connect() as client:
            client.reply()
            assert client.command("NOOP late").startswith("250 2.0.0 ")
            assert client.command("HELO example.net").startswith("250 ")
            assert client.command("MAIL FROM:<a@example.net>").startswith("250 2.1.0 ")
            wait_until(lambda: any("woke" in stack.log(name) for name in stack.worker_names), "the worker woke")
            wait_until(lambda: "nobody waits for it to do step 1" in stack.log("gateway"), "its answer was dropped")
            assert client.command("RCPT TO:<maria@example.com>").startswith("250 2.1.5 ")
            assert client.command("QUIT").startswith("221 2.0.0 ")
            assert client.reply() == ""
        # It is welcome again: a session is served by it alone.
        late_one = next(name for name in stack.worker_names if "woke" in stack.log(name))
        for name in stack.worker_names:
            if name != late_one:
                stack.kill(name)
        with Connection(stack.port) as client:
            assert client.reply().startswith("220 ")
        for name in stack.worker_names:
            if name != late_one:
                stack.start(name)


def test_a_worker_that_dies_of_something_else_poisons_nobody(folder: Path) -> None:
    with Stack(folder, workers=3, users=USERS, CONVERSATION="off") as stack:
        with supervised(stack, dict.fromkeys(stack.worker_names, "")), load(stack) as under_way:
            for name in stack.worker_names * 3:
                stack.signal(name, signal.SIGKILL)
                under_way.wait_for(10)
        assert without_errors(under_way.journal), under_way.journal.errors
        assert not poisoned_steps(stack)


def test_a_slow_line_that_is_there_whenever_all_workers_are_killed_is_answered_in_the_end(folder: Path) -> None:
    with Stack(folder, workers=3, users=USERS, CONVERSATION="off") as stack:
        mark = folder / "began"
        # Shorter than the silence that makes a worker gone.
        slow = f"(open({str(mark)!r}, 'w').close(), time.sleep(0.9))"
        program = programs.worker(programs.on_line("NOOP slow", slow), folder / "flag")
        programs_of_all = arm(stack, program)
        with supervised(stack, programs_of_all), stack.connect() as client, ThreadPoolExecutor(1) as executor:
            client.reply()
            client.send(b"NOOP slow\r\n")
            reply = executor.submit(client.reply)
            storms = 0

            def begun_and_all_there() -> bool:
                # Three before they were armed, and three after, and after each storm.
                return mark.exists() and stack.log("gateway").count(" is here") >= 6 + 3 * storms

            while storms < 5:
                wait_until(lambda: reply.done() or begun_and_all_there(), "the line is answered, or can be hit")
                if reply.done():
                    break
                mark.unlink()
                for name in stack.worker_names:
                    stack.signal(name, signal.SIGKILL)
                storms += 1
            assert reply.result(30).startswith("250 2.0.0 ")
            print(f"{storms} storms")
        assert not poisoned_steps(stack)
