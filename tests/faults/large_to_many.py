"""One client whose one large mail is for many: what the store has to write is hundreds of times what came."""

from __future__ import annotations

from tests.faults.load import Journal, Sent, reverse_path, stuffed, text
from tests.stack import Connection

SIZE = 8 * 1024 * 1024
# Recipients, of which each gets a copy: 800 MiB in all.
MANY = 100
# Of one run, or it would fill the disk.
_MOST = 3
# Numbers of its messages, which neither a sender nor a large crowd comes to.
_FIRST = 2 * 10**9
# A deadline that only a defect reaches.
_DEADLINE = 120.0


def large_to_many(journal: Journal, port: int, addresses: list[str]) -> None:
    """Send such a mail, unless enough of them were sent; to be called in a thread.

    :param journal: what was sent, and what went wrong, is noted there.
    """
    number = _FIRST + sum(number >= _FIRST for number in list(journal.sent))
    if number >= _FIRST + _MOST:
        return
    recipients = tuple(addresses[:MANY])
    sent = journal.sent[number] = Sent(number, recipients, size=SIZE)
    try:
        with Connection(port, _DEADLINE) as client:
            client.reply()
            client.command("EHLO load.example.net")
            rcpts = "".join(f"RCPT TO:<{address}>\r\n" for address in recipients)
            client.send(f"MAIL FROM:<{reverse_path(number)}>\r\n{rcpts}DATA\r\n".encode())
            replies = [client.reply() for _ in range(len(recipients) + 2)]
            if replies[-1].startswith("354 "):
                client.send(stuffed(text(journal.seed, number, SIZE, SIZE)))
                replies.append(client.reply())
    except OSError:
        journal.broken_connections += 1
        return
    if replies[-1].startswith("250 "):
        sent.delivery = replies[-1].split()[-1]
    else:
        sent.refusal = " ".join(next(reply for reply in replies if reply[:1] not in "23").split()[:2])
        journal.errors[sent.refusal] += 1
