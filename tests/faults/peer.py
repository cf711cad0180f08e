"""A worker's side of the store bus, for tests that say to the real store what no sound worker would say."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType

import zmq

from runtime.bus import open_socket
from tests import mailboxes
from tests.conditions import DEADLINE, wait_until
from tests.stack import Stack
from wire.codec import decode, encode
from wire.messages import Answer, Ask, Deliver, Lookup, Message, Question
from wire.outcomes import Outcome

USERS = ["maria@example.com", "joao@example.com", "ana@example.org"]
# Asked again after this, as a worker does when it sees that the store has restarted; a worker is quicker.
_AGAIN = 0.5
_numbers = count(1)


def now() -> int:
    """The wall clock, in ms since the epoch."""
    return time.time_ns() // 1_000_000


class StorePeer:
    """A DEALER that asks the store.

    :param stack: with a store.
    """

    def __init__(self, stack: Stack) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = open_socket(self._context, zmq.DEALER, os.urandom(8).hex().encode())
        self._socket.connect(f"ipc://{stack.folder}/store")

    def __enter__(self) -> StorePeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.destroy(linger=0)

    def send(self, *messages: Message) -> None:
        """Send messages as one batch."""
        self._socket.send_multipart(encode(messages))

    def receive(self, seconds: float) -> list[Message]:
        """The messages of the next batch; none when none came in time."""
        return decode(self._socket.recv_multipart()).messages if self._socket.poll(int(1000 * seconds)) else []

    def ask(self, *questions: Question, deadline: int | None = None) -> list[Outcome]:
        """Ask in one batch, and again and again until the store is there; gives one outcome for each question.

        :param deadline: of the questions, in ms since the epoch; None for one that is far away.
        """
        asks = [Ask(next(_numbers), deadline or now() + 60_000, question) for question in questions]
        outcomes: dict[int, Outcome] = {}
        wanted = {ask.request for ask in asks}
        end = time.monotonic() + DEADLINE
        while wanted - outcomes.keys():
            assert time.monotonic() < end, f"no answer to {questions}"
            self.send(*asks)
            again = time.monotonic() + _AGAIN
            while wanted - outcomes.keys() and (left := again - time.monotonic()) > 0:
                for message in self.receive(left):
                    if isinstance(message, Answer) and message.request in wanted:
                        outcomes.setdefault(message.request, message.outcome)
        return [outcomes[ask.request] for ask in asks]

    def ready(self) -> None:
        """Return once the store answers."""
        self.ask(Lookup("maria", "example.com"))


@contextmanager
def store_alone(folder: Path, program: str = "") -> Iterator[tuple[Stack, StorePeer]]:
    """A stack of which only the store runs, and a peer of it."""
    stack = Stack(folder, users="\n".join(USERS) + "\n")
    stack.start("mailbox_store", program)
    try:
        with StorePeer(stack) as peer:
            yield stack, peer
    except BaseException:
        print(stack.logs())
        raise
    finally:
        stack.stop()


def deliver(name: str, boxes: list[str], data: bytes, staged: int = 0, time: int | None = None) -> Deliver:
    """A delivery as a worker asks for it; the same arguments give the same one, to its time."""
    trace = f"Received: from a by b with SMTP id {name}; date\n".encode()
    return Deliver(name, now() if time is None else time, "s@example.net", tuple(boxes), trace, staged, data)


def stored(stack: Stack, address: str) -> dict[str, bytes]:
    """The texts in a mailbox by delivery id; fails where an id is there twice, or something is torn."""
    path = stack.mailboxes / f"{address}.txt"
    messages = mailboxes.read(path) if path.exists() else []
    texts = {message.delivery: message.text for message in messages}
    assert len(texts) == len(messages), f"{address} has {[message.delivery for message in messages]}"
    return texts


def stored_everywhere(stack: Stack, boxes: list[str]) -> dict[str, bytes]:
    """The texts of the mailboxes, which are the same ones in all of them."""
    first, *others = [stored(stack, address) for address in boxes]
    for other in others:
        assert other == first
    return first


def wait_for_mail(stack: Stack, boxes: list[str], expected: dict[str, bytes]) -> None:
    """Return once every mailbox has exactly this: what waited for a mailbox comes a little after its answer."""

    def there() -> bool:
        return all(stored(stack, address) == expected for address in boxes)

    wait_until(there, f"{sorted(expected)} in {boxes}")
