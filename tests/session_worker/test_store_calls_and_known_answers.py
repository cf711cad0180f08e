"""What worker and gateway know of the store's answers, together: wrong for no longer than it said that they hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.in_memory import GATEWAY, InMemory, MemoryStore
from mailbox_store.users.directory import ADDRESS_HOLDS, WRITABLE_HOLDS
from wire.messages import Check, Lookup, Question
from wire.outcomes import Found, NoSuchUser, Said, Unwritable
from wire.records import replace

_USERS = ("ana@example.com", "bo@example.com")
_TIMES = st.sampled_from([0.0, 0.0, 0.1, 0.2, 0.25])
_USER = st.sampled_from([_USERS[0]] * 5 + [_USERS[1]])


@dataclass
class _Fact:
    """Something that is so or not, and when it became so."""

    since: list[tuple[float, bool]] = field(default_factory=lambda: [(0.0, True)])

    @property
    def now(self) -> bool:
        return self.since[-1][1]

    def was(self, so: bool, begin: float) -> bool:
        """Was it so at any time from `begin` on?"""
        ends = [*(time for time, _ in self.since[1:]), float("inf")]
        return any(each is so and end >= begin for (_, each), end in zip(self.since, ends, strict=True))


class _Store(MemoryStore):
    """Its users come and go, and their mailboxes can be written or not."""

    def __init__(self) -> None:
        super().__init__(_USERS)
        self.user = {user: _Fact() for user in _USERS}
        self.writable = {user: _Fact() for user in _USERS}

    def answer(self, question: Question) -> Said | None:
        outcome = super().answer(question)
        if isinstance(question, Lookup) and isinstance(outcome, Found):
            if not self.user[outcome.mailbox].now:
                return NoSuchUser()
            return replace(outcome, writable_for=WRITABLE_HOLDS * self.writable[outcome.mailbox].now)
        if isinstance(question, Check):
            for mailbox in question.mailboxes:
                if not self.writable[mailbox].now:
                    return Unwritable(mailbox, "read-only")
        return outcome


@settings(max_examples=400)
@given(st.data())
def test_nobody_is_told_for_longer_than_it_holds_what_is_so_no_more(data: st.DataObject) -> None:
    """Users leave the list, mailboxes become read-only, mails of any senders come; time passes as it likes."""
    store = _Store()
    server = InMemory(_USERS, store=store)
    # Two with the same states, so that the gateway knows for both, and one for whom the worker has to be asked.
    clients = [server.connect(), server.connect("192.0.2.1"), server.connect()]
    for client, name in zip(clients, (b"one", b"one", b"another"), strict=True):
        client.say(b"EHLO %b.example\r\n" % name)

    def pass_time() -> float:
        server.wait(data.draw(_TIMES))
        return server.loops[GATEWAY].now

    for _ in range(data.draw(st.integers(1, 10))):
        now = pass_time()
        client, user = data.draw(st.sampled_from(clients)), data.draw(_USER)
        for fact in (store.user[user], store.writable[user]):
            if data.draw(st.integers(0, 3)) == 0:
                fact.since.append((now, not fact.now))
        client.say(b"RSET\r\n")
        assert client.say(b"MAIL FROM:<%d@a.example>\r\n" % data.draw(st.integers(0, 9))).startswith(b"250 ")
        now = pass_time()
        accepted = client.say(b"RCPT TO:<%b>\r\n" % user.encode()).startswith(b"250 ")
        assert store.user[user].was(accepted, now - ADDRESS_HOLDS / 1000 if accepted else now)
        if accepted:
            now = pass_time()
            begun = client.say(b"DATA\r\n").startswith(b"354 ")
            assert store.writable[user].was(begun, now - WRITABLE_HOLDS / 1000 if begun else now)
            assert not begun or client.say(b".\r\n").startswith(b"250 ")


def test_what_the_worker_knows_is_known_to_the_gateway_for_what_is_left_of_its_time_only() -> None:
    store = _Store()
    server = InMemory(_USERS, store=store)
    clients = [server.connect() for _ in range(2)]
    rcpt = b"RCPT TO:<ana@example.com>\r\n"
    for number, client in enumerate(clients):
        # Their states differ, so the worker is asked for each.
        client.say(b"EHLO client%d.example\r\nMAIL FROM:<>\r\n" % number)
        client.say(rcpt)
        server.wait(0.2)
    for fact in (store.user[_USERS[0]], store.writable[_USERS[0]]):
        fact.since.append((server.loops[GATEWAY].now, False))
    # Of the second client's RCPT and DATA the worker has told, 0.2 s after it had asked.
    assert clients[1].say(b"DATA\r\n").startswith(b"450 ")
    assert clients[1].say(b"RSET\r\nMAIL FROM:<>\r\n")
    assert clients[1].say(rcpt).startswith(b"550 ")


def test_what_is_so_no_more_is_still_said_until_its_time_is_over() -> None:
    store = _Store()
    server = InMemory(_USERS, store=store)
    client = server.connect()
    for user in (True, False):
        client.say(b"EHLO client.example\r\nMAIL FROM:<>\r\n")
        said = client.say(b"RCPT TO:<ana@example.com>\r\n")
        assert said.startswith(b"250 " if user else b"550 ")
        store.user[_USERS[0]].since.append((server.loops[GATEWAY].now, False))
        server.wait(0.299 if user else 0.0)
        if user:
            client.say(b"RSET\r\nMAIL FROM:<>\r\n")
            assert client.say(b"RCPT TO:<ana@example.com>\r\n").startswith(b"250 ")
            server.wait(0.001)
