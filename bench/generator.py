"""A load generator of its own, for what smtp-source cannot: pipelining, many mailboxes, and times of single messages.

`python -m bench.generator JSON` sends messages from a process of its own and prints its result as JSON. It parses no
replies: every line it sends is made before the clock starts, and of what comes back it counts line ends and looks for
an error at the beginning of a line. smtp-sink, which does nothing with a message, shows how far it can go.

In steady state a client that pipelines sends a message's end and the next one's MAIL, RCPT and DATA in one write (RFC
2920 section 3.1), one round trip for each message; one that does not takes four.
Fails: an unexpected reply or a lost connection ends the run; what was acknowledged until then is told all the same.
"""

from __future__ import annotations

import asyncio
import json
import resource
import secrets
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop

from bench.peers.base import DOMAIN, address

_SENDER = f"bench@{DOMAIN}"
# Connections opened at once by a job that holds them.
_WAVE = 100
_LINE = b"The quick brown fox jumps over the lazy dog and goes its way in text.\r\n"


@dataclass(frozen=True)
class Job:
    """What to send.

    :param count: messages in all; `sessions` connections share them.
    :param keep: connections stay open; otherwise each message has one of its own.
    :param recipients: message n goes to recipient n modulo this.
    :param senders: message n comes from sender n modulo this; where there are several, none was in an earlier job.
    :param first: the number of the first message.
    :param hold: open the connections, send nothing, and stay until standard input ends.
    """

    port: int
    count: int
    sessions: int
    keep: bool = True
    pipelined: bool = False
    size: int = 4096
    recipients: int = 1
    senders: int = 1
    first: int = 0
    hold: bool = False


@dataclass
class Result:
    """What came of it; times of single messages are in seconds."""

    acknowledged: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    error: str = ""
    dot_to_250: list[float] = field(default_factory=list)
    connect_to_greeting: list[float] = field(default_factory=list)


def message(size: int) -> bytes:
    """A message of about `size` octets with the end of data behind it."""
    head = f"From: <{_SENDER}>\r\nTo: <{address(0)}>\r\nSubject: bench\r\n\r\n".encode()
    lines = max(0, size - len(head)) // len(_LINE)
    rest = max(0, size - len(head) - lines * len(_LINE) - 2)
    return head + lines * _LINE + rest * b"x" + b"\r\n.\r\n"


class Run:
    """What the connections of one job share."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.result = Result()
        self.hello = b"EHLO bench.example\r\n"
        tag = f".{secrets.token_hex(4)}" if job.senders > 1 else ""
        self.mails = [f"MAIL FROM:<bench{number or ''}{tag}@{DOMAIN}>\r\n".encode() for number in range(job.senders)]
        self.rcpts = [f"RCPT TO:<{address(number)}>\r\n".encode() for number in range(job.recipients)]
        self.text = message(job.size)
        self.begun = 0
        self.open = 0
        self.connections = 0
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self.loop.set_exception_handler(self._broken)

    def next(self) -> tuple[bytes, bytes] | None:
        """MAIL and RCPT of the next message, or None when all have been begun."""
        if self.begun == self.job.count or self.result.error:
            return None
        self.begun += 1
        number = self.job.first + self.begun
        return self.mails[number % self.job.senders], self.rcpts[number % self.job.recipients]

    def connect(self) -> None:
        self.open += 1
        self.connections += 1
        task = self.loop.create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        began = time.perf_counter()
        try:
            await self.loop.create_connection(lambda: LoadClient(self, began), "127.0.0.1", self.job.port)
        except OSError as error:
            self.fail(f"connect: {error}")
            self.left()

    def fail(self, why: str) -> None:
        self.result.error = self.result.error or why

    def _broken(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A fault of the generator itself: end at once rather than hang."""
        self.fail(f"{context.get('message')}: {context.get('exception')!r}")
        if not self.done.done():
            self.done.set_result(None)

    def left(self) -> None:
        """A connection has ended."""
        self.open -= 1
        if not self.job.keep and self.connections < self.job.count and not self.result.error:
            self.connect()
        elif self.open == 0 and not self.done.done():
            self.done.set_result(None)


class LoadClient(asyncio.Protocol):
    """One connection: `_then` is what to do once `_awaited` reply lines have come."""

    def __init__(self, run: Run, began: float) -> None:
        self._run = run
        self._began = began
        self._sent = 0.0
        self._awaited = 1
        self._then = self._greeted
        self._at_line_start = True
        self._said = b""
        self._rcpt = b""
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by what they do, not by class.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over:
            self._run.fail(f"the server closed a connection: {exc}")
        self._run.left()

    def data_received(self, data: bytes) -> None:
        if (self._at_line_start and data[0] in b"45") or b"\n4" in data or b"\n5" in data:
            self._run.fail(f"the server said {data[:200]!r}")
            self._over = True
            self._transport.abort()
            return
        self._at_line_start = data.endswith(b"\n")
        if self._awaited == 0:
            # EHLO's reply has lines as many as the server likes; the last has a blank after its code.
            self._said += data
            if self._at_line_start and self._said[self._said.rfind(b"\n", 0, -1) + 1 :][3:4] == b" ":
                self._then()
            return
        if self._then == self._stored_and_more and self._sent:
            # Of a pipelined group's replies the first is the one to the message.
            self._run.result.dot_to_250.append(time.perf_counter() - self._sent)
            self._sent = 0.0
        self._awaited -= data.count(b"\n")
        if self._awaited <= 0:
            self._then()

    def _send(self, octets: bytes, awaited: int, then: object) -> None:
        self._awaited = awaited
        self._then = then  # type: ignore[assignment]  # a bound method of this class
        self._transport.write(octets)

    def _greeted(self) -> None:
        self._run.result.connect_to_greeting.append(time.perf_counter() - self._began)
        if self._run.job.hold:
            self._run.result.acknowledged += 1
            self._over = True
            return
        self._send(self._run.hello, 0, self._begin)

    def _begin(self) -> None:
        envelope = self._run.next()
        if envelope is None:
            self._leave()
        elif self._run.job.pipelined:
            self._send(b"%sDATA\r\n" % b"".join(envelope), 3, self._text_and_more)
        else:
            mail, self._rcpt = envelope
            self._send(mail, 1, self._begun)

    # ------------------------------------------------------------ one command at a time

    def _begun(self) -> None:
        self._send(self._rcpt, 1, self._data)

    def _data(self) -> None:
        self._send(b"DATA\r\n", 1, self._text)

    def _text(self) -> None:
        self._sent = time.perf_counter()
        self._send(self._run.text, 1, self._stored)

    def _stored(self) -> None:
        self._run.result.dot_to_250.append(time.perf_counter() - self._sent)
        self._run.result.acknowledged += 1
        if self._run.job.keep:
            self._begin()
        else:
            self._leave()

    # ------------------------------------------------------------ pipelined

    def _text_and_more(self) -> None:
        """The group's 354 is here: the message, and in the same write the next one's commands."""
        envelope = self._run.next() if self._run.job.keep else None
        self._sent = time.perf_counter()
        if envelope is None:
            self._send(self._run.text, 1, self._stored)
        else:
            self._send(b"%s%sDATA\r\n" % (self._run.text, b"".join(envelope)), 4, self._stored_and_more)

    def _stored_and_more(self) -> None:
        self._run.result.acknowledged += 1
        self._text_and_more()

    def _leave(self) -> None:
        self._over = True
        self._send(b"QUIT\r\n", 1, self._transport.close)


async def send(job: Job) -> Result:
    """Do a job; the time is from the first connection to the end of the last."""
    run = Run(job)
    began, cpu = time.perf_counter(), time.process_time()
    if job.hold:
        return await _hold(run)
    for _ in range(min(job.sessions, job.count)):
        run.connect()
    await run.done
    run.result.seconds = time.perf_counter() - began
    run.result.cpu_seconds = time.process_time() - cpu
    return run.result


async def _hold(run: Run) -> Result:
    """Open the connections in waves that fit a listener's backlog, and stay until standard input ends."""
    while run.result.acknowledged < run.job.count and not run.result.error:
        if run.connections == run.result.acknowledged:
            for _ in range(min(_WAVE, run.job.count - run.connections)):
                run.connect()
        await asyncio.sleep(0.01)
    print(run.result.error or "held", flush=True)
    await run.loop.run_in_executor(None, sys.stdin.read)
    return run.result


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    result = uvloop.run(send(Job(**json.loads(sys.argv[1]))))
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
