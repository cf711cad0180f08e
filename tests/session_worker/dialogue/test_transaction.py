"""Lines to commands, arguments to values; the many refusals are in the transcripts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_worker.dialogue import greeting, steps, transaction
from session_worker.dialogue.replies import Refusal
from session_worker.dialogue.transaction import Sender, Wanted
from session_worker.dialogue.turn import Command, Policy

_FRIENDLY = Policy()
_STRICT = Policy(strict=True)


def _mail(argument: str, rules: Policy = _FRIENDLY) -> Sender:
    return transaction.mail(rules, Command("MAIL", argument), extended=True)


def test_a_line_is_a_verb_in_capitals_and_an_argument_without_blanks_around() -> None:
    assert steps.read(b"mail  FROM:<a@b>  \t") == Command("MAIL", "FROM:<a@b>")
    assert steps.read(b"QUIT") == Command("QUIT", "")


def test_letters_that_only_become_ascii_in_capitals_make_no_verb() -> None:
    assert steps.read("R\u017fET".encode()).verb != "RSET"


@given(st.none() | st.binary(max_size=80))
def test_a_line_is_a_command_or_refused(line: bytes | None) -> None:
    command = _refused_at_most(steps.read, line)
    if command is not None:
        assert command.verb
        _refused_at_most(transaction.vrfy, command)
        for rules in (_FRIENDLY, _STRICT):
            _refused_at_most(greeting.read_name, rules, command)
            _refused_at_most(transaction.mail, rules, command, extended=True)
            _refused_at_most(transaction.rcpt, rules, command, utf8=True)


@given(st.text(max_size=40).map(lambda text: f"FROM:<a@b> {text}") | st.text('<>@:" \\=FROMfrom', max_size=30))
def test_an_argument_of_mail_is_read_or_refused(argument: str) -> None:
    _refused_at_most(transaction.mail, _FRIENDLY, Command("MAIL", argument), extended=True)
    _refused_at_most(transaction.rcpt, _FRIENDLY, Command("RCPT", argument.replace("FROM", "TO")), utf8=True)


def _refused_at_most(read: Callable[..., Any], *arguments: object, **named: object) -> Any:
    with contextlib.suppress(Refusal):
        return read(*arguments, **named)
    return None


def test_the_sender_is_canonical() -> None:
    assert _mail('FROM:<"joe"@Example.ORG>') == Sender("joe@example.org", "example.org")


def test_parameters_are_read_whatever_their_order_and_letter_case() -> None:
    assert _mail("FROM:<é@b> smtputf8 Body=8bitmime SIZE=5").utf8
    assert not _mail("FROM:<a@b> SIZE=5").utf8


def test_a_recipient_is_kept_as_given_and_looked_up_in_canonical_form() -> None:
    command = Command("RCPT", 'TO:<"Joe"@Example.ORG>')
    assert transaction.rcpt(_FRIENDLY, command, utf8=False) == Wanted('"Joe"@Example.ORG', "Joe", "example.org")


def test_the_bare_postmaster_has_no_domain() -> None:
    found = transaction.rcpt(_STRICT, Command("RCPT", "TO:<PostMaster>"), utf8=False)
    assert (found.given, found.local, found.domain) == ("PostMaster", "postmaster", "")
    assert transaction.vrfy(Command("VRFY", "POSTMASTER")).local == "postmaster"


def test_what_is_tolerated_is_hinted_at() -> None:
    assert _mail("FROM:<a@b>").hints == ""
    assert "<>" in _mail("FROM:a@b").hints
    assert "blanks" in _mail("from : <a@b>").hints
    assert "MAIL FROM" in _mail("TO:<a@b>").hints


@pytest.mark.parametrize("argument", ["FROM:a@b", "FROM: <a@b>", "FROM :<a@b>", "TO:<a@b>"])
def test_the_strict_profile_tolerates_none_of_it(argument: str) -> None:
    with pytest.raises(Refusal) as refused:
        _mail(argument, _STRICT)
    assert refused.value.reply.render().startswith(b"501 5.5.4 ")


@pytest.mark.parametrize("verb", ["GET", "post", "HEAD", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"])
def test_every_http_method_closes(verb: str) -> None:
    with pytest.raises(Refusal) as refused:
        steps.read(f"{verb} / HTTP/1.1".encode())
    assert refused.value.close
