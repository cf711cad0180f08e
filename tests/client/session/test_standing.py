"""Where a session stands, from its exchanges alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.session.smtp import GREETING, ServerReply
from client.session.standing import Reached, Standing

_SESSION = [
    (GREETING, ServerReply(220, ("mail.example.com ESMTP",)), Reached.CONNECTED),
    (b"MAIL FROM:<a@b>", ServerReply(503, ("5.5.1 no",)), Reached.CONNECTED),
    (b"HELO gmail.com", ServerReply(250, ("hi",)), Reached.GREETED),
    (b"mail from:<you@gmail.com>", ServerReply(250, ("2.1.0 ok",)), Reached.SENDER),
    (b"RCPT TO:<no@b.c>", ServerReply(550, ("5.1.1 no",)), Reached.SENDER),
    (b"RCPT TO: yes@b.c", ServerReply(250, ("2.1.5 ok",)), Reached.RECIPIENTS),
    (b"NOOP", ServerReply(250, ("ok",)), Reached.RECIPIENTS),
    (b"DATA", ServerReply(354, ("go",)), Reached.MESSAGE),
    (b".", ServerReply(250, ("2.0.0 done",)), Reached.GREETED),
]


def stood(*exchanges: tuple[bytes, ServerReply]) -> Standing:
    standing = Standing()
    for line, reply in exchanges:
        standing.exchanged(line, reply)
    return standing


def test_it_follows_a_session() -> None:
    standing = Standing()
    for line, reply, reached in _SESSION:
        standing.exchanged(line, reply)
        assert standing.reached is reached, line
    assert (standing.hello, standing.extended) == ("gmail.com", False)
    assert standing.known == ["yes@b.c"]


@pytest.mark.parametrize("code", [451, 552])
def test_a_message_that_is_refused_ends_its_mail_all_the_same(code: int) -> None:
    standing = stood(*((line, reply) for line, reply, _ in _SESSION[:-1]))
    standing.exchanged(b".", ServerReply(code, ("no",)))
    assert (standing.reached, standing.sender, standing.recipients) == (Reached.GREETED, "", 0)


@pytest.mark.parametrize(("line", "reached"), [(b"RSET", Reached.GREETED), (b"EHLO other.example", Reached.GREETED)])
def test_rset_and_a_new_greeting_drop_the_mail(line: bytes, reached: Reached) -> None:
    standing = stood(*((line, reply) for line, reply, _ in _SESSION[:6]))
    standing.exchanged(line, ServerReply(250, ("ok", "SIZE 5")))
    assert (standing.reached, standing.recipients) == (reached, 0)


def test_rset_before_the_greeting_greets_nobody() -> None:
    assert stood((b"RSET", ServerReply(250, ("ok",)))).reached is Reached.CONNECTED


def test_ehlo_brings_the_extensions_and_helo_takes_them_away() -> None:
    standing = stood((b"EHLO h.example", ServerReply(250, ("hi", "SIZE 5", "VRFY"))))
    assert standing.offered == {"SIZE": "5", "VRFY": ""}
    assert "VRFY" in standing.allowed
    standing.exchanged(b"EHLO h.example", ServerReply(250, ("hi", "SIZE 5")))
    assert "VRFY" not in standing.allowed
    standing.exchanged(b"HELO h.example", ServerReply(250, ("hi",)))
    assert standing.offered == {}


def test_after_helo_the_sender_is_of_the_domain_said_there() -> None:
    for name in ("gmail.com", "gmail", "[127.0.0.1]"):
        assert stood((b"HELO " + name.encode(), ServerReply(250, ("hi",)))).form("MAIL") == f"MAIL FROM:<you@{name}>"
    assert stood((b"EHLO host.gmail.com", ServerReply(250, ("hi",)))).form("MAIL") == "MAIL FROM:<you@example.org>"


@pytest.mark.parametrize("name", ["my_host", "example.org.", "[::1]", "(none)", "my pc", "bücher.example", "a..b"])
def test_a_name_that_is_no_domain_is_proposed_to_nobody(name: str) -> None:
    standing = stood((b"HELO " + name.encode(), ServerReply(250, ("hi",))))
    assert standing.form("MAIL") == "MAIL FROM:<you@example.org>"


def test_the_recipient_is_of_a_domain_that_the_server_has_taken_mail_for_and_not_of_its_own_name() -> None:
    """The exercise: the users are somebody@gmail.com, and the server is called correio.localhost."""
    greeted = [
        (GREETING, ServerReply(220, ("correio.localhost hi",))),
        (b"HELO yahoo.com", ServerReply(250, ("hi",))),
    ]
    sender = [*greeted, (b"MAIL FROM:<you@yahoo.com>", ServerReply(250, ("ok",)))]
    refused = [*sender, (b"RCPT TO:<ana@correio.localhost>", ServerReply(550, ("5.7.1 no",)))]
    taken = [*refused, (b"RCPT TO:<postmaster@correio.localhost>", ServerReply(250, ("ok",)))]
    for exchanges in (greeted, sender, refused, taken):
        assert stood(*exchanges).form("RCPT") == "RCPT TO:<postmaster>"
        assert stood(*exchanges).form("VRFY") == "VRFY postmaster"
    served = stood(*taken, (b"RCPT TO:<ana@gmail.com>", ServerReply(250, ("ok",))))
    assert (served.form("RCPT"), served.served) == ("RCPT TO:<name@gmail.com>", ["gmail.com"])


def test_every_verb_that_is_allowed_has_a_form() -> None:
    standing = Standing()
    for line, reply, _ in _SESSION:
        standing.exchanged(line, reply)
        assert all(standing.form(verb) for verb in standing.allowed)
        assert set(standing.forward) <= set(standing.allowed)
        assert bool(standing.forward) is (standing.reached is not Reached.MESSAGE)
    assert standing.form("FROBNICATE") == ""


_lines = st.sampled_from([line for line, _, _ in _SESSION]) | st.binary(max_size=20)
_replies = st.builds(ServerReply, st.integers(200, 599), st.tuples(st.text(max_size=10)))


@given(st.lists(st.tuples(_lines, _replies), max_size=12))
def test_no_exchange_is_too_odd(exchanges: list[tuple[bytes, ServerReply]]) -> None:
    standing = stood(*exchanges)
    assert (
        (standing.reached in (Reached.SENDER, Reached.RECIPIENTS))
        or standing.recipients == 0
        or standing.allowed == ()
    )
