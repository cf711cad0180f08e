"""Where a session stands, from its exchanges alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.smtp import GREETING, Reply
from client.standing import Stage, Standing

_SESSION = [
    (GREETING, Reply(220, ("mail.example.com ESMTP",)), Stage.CONNECTED),
    (b"MAIL FROM:<a@b>", Reply(503, ("5.5.1 no",)), Stage.CONNECTED),
    (b"HELO gmail.com", Reply(250, ("hi",)), Stage.GREETED),
    (b"mail from:<you@gmail.com>", Reply(250, ("2.1.0 ok",)), Stage.SENDER),
    (b"RCPT TO:<no@b.c>", Reply(550, ("5.1.1 no",)), Stage.SENDER),
    (b"RCPT TO: yes@b.c", Reply(250, ("2.1.5 ok",)), Stage.RECIPIENTS),
    (b"NOOP", Reply(250, ("ok",)), Stage.RECIPIENTS),
    (b"DATA", Reply(354, ("go",)), Stage.MESSAGE),
    (b".", Reply(250, ("2.0.0 done",)), Stage.GREETED),
]


def stood(*exchanges: tuple[bytes, Reply]) -> Standing:
    standing = Standing()
    for line, reply in exchanges:
        standing.exchanged(line, reply)
    return standing


def test_it_follows_a_session() -> None:
    standing = Standing()
    for line, reply, stage in _SESSION:
        standing.exchanged(line, reply)
        assert standing.stage is stage, line
    assert standing.server == "mail.example.com"
    assert (standing.hello, standing.extended) == ("gmail.com", False)
    assert standing.known == ["you@gmail.com", "yes@b.c"]


@pytest.mark.parametrize("code", [451, 552])
def test_a_message_that_is_refused_ends_its_mail_all_the_same(code: int) -> None:
    standing = stood(*((line, reply) for line, reply, _ in _SESSION[:-1]))
    standing.exchanged(b".", Reply(code, ("no",)))
    assert (standing.stage, standing.sender, standing.recipients) == (Stage.GREETED, "", 0)


@pytest.mark.parametrize(("line", "stage"), [(b"RSET", Stage.GREETED), (b"EHLO other.example", Stage.GREETED)])
def test_rset_and_a_new_greeting_drop_the_mail(line: bytes, stage: Stage) -> None:
    standing = stood(*((line, reply) for line, reply, _ in _SESSION[:6]))
    standing.exchanged(line, Reply(250, ("ok", "SIZE 5")))
    assert (standing.stage, standing.recipients) == (stage, 0)


def test_rset_before_the_greeting_greets_nobody() -> None:
    assert stood((b"RSET", Reply(250, ("ok",)))).stage is Stage.CONNECTED


def test_ehlo_brings_the_extensions_and_helo_takes_them_away() -> None:
    standing = stood((b"EHLO h.example", Reply(250, ("hi", "SIZE 5", "VRFY"))))
    assert standing.offered == {"SIZE": "5", "VRFY": ""}
    assert "VRFY" in standing.allowed
    standing.exchanged(b"EHLO h.example", Reply(250, ("hi", "SIZE 5")))
    assert "VRFY" not in standing.allowed
    standing.exchanged(b"HELO h.example", Reply(250, ("hi",)))
    assert standing.offered == {}


def test_after_helo_the_sender_is_of_the_domain_said_there() -> None:
    for name in ("gmail.com", "gmail", "[127.0.0.1]"):
        assert stood((b"HELO " + name.encode(), Reply(250, ("hi",)))).form("MAIL") == f"MAIL FROM:<you@{name}>"
    assert stood((b"EHLO host.gmail.com", Reply(250, ("hi",)))).form("MAIL") == "MAIL FROM:<you@example.org>"


def test_the_recipient_is_of_the_domain_that_the_server_greeted_with() -> None:
    assert stood((GREETING, Reply(220, ("Mail.Example.com hi",)))).form("RCPT") == "RCPT TO:<name@mail.example.com>"
    assert stood((GREETING, Reply(220, ("hello there",)))).form("RCPT") == "RCPT TO:<name@domain>"


def test_every_verb_that_is_allowed_has_a_form() -> None:
    standing = Standing()
    for line, reply, _ in _SESSION:
        standing.exchanged(line, reply)
        assert all(standing.form(verb) for verb in standing.allowed)
        assert set(standing.forward) <= set(standing.allowed)
        assert bool(standing.forward) is (standing.stage is not Stage.MESSAGE)
    assert standing.form("FROBNICATE") == ""


_lines = st.sampled_from([line for line, _, _ in _SESSION]) | st.binary(max_size=20)
_replies = st.builds(Reply, st.integers(200, 599), st.tuples(st.text(max_size=10)))


@given(st.lists(st.tuples(_lines, _replies), max_size=12))
def test_no_exchange_is_too_odd(exchanges: list[tuple[bytes, Reply]]) -> None:
    standing = stood(*exchanges)
    assert (standing.stage in (Stage.SENDER, Stage.RECIPIENTS)) or standing.recipients == 0 or standing.allowed == ()
