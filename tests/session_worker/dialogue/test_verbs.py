"""HELP's texts."""

from __future__ import annotations

import pytest

from session_worker.dialogue import steps, transaction, verbs
from session_worker.dialogue.state import Phase, Recipient, Session, Transaction
from session_worker.dialogue.turn import Policy


@pytest.mark.parametrize("name", verbs.LISTED)
def test_every_command_has_an_example_that_is_that_command(name: str) -> None:
    assert steps.read(verbs.VERBS[name].example.encode()).verb == name


def test_of_a_command_that_cannot_come_now_it_says_what_comes_before() -> None:
    assert verbs.help_on(verbs.VERBS["DATA"], Session("gmail.com"))[1].endswith(": MAIL FROM:<you@gmail.com>")


def test_the_examples_of_mail_and_rcpt_are_right_in_the_strict_profile() -> None:
    strict = Policy(strict=True)
    mail, rcpt = (steps.read(verbs.VERBS[name].example.encode()) for name in ("MAIL", "RCPT"))
    assert transaction.mail(strict, mail, extended=False).hints == ""
    assert transaction.rcpt(strict, rcpt, utf8=False).hints == ""


@pytest.mark.parametrize(
    ("phase", "verb"),
    [(Phase.CONNECTED, "HELO"), (Phase.GREETED, "MAIL"), (Phase.SENDER, "RCPT"), (Phase.RECIPIENTS, "DATA")],
)
def test_each_phase_has_an_example_that_moves_it_on(phase: Phase, verb: str) -> None:
    assert verbs.next_example(phase).startswith(verb)


def test_only_what_is_allowed_is_listed_in_the_order_of_a_session() -> None:
    lines = verbs.help_overview(Session("h"))
    assert [line.split()[0] for line in lines[3:]] == ["HELO", "EHLO", "MAIL", "RSET", "NOOP", "VRFY", "HELP", "QUIT"]


def test_it_says_how_many_mailboxes_the_mail_has() -> None:
    one, two = Recipient("a@b", "a@b"), Recipient("c@d", "c@d")
    mail = Transaction("", recipients=(one, two))
    assert verbs.help_overview(Session("h", transaction=mail))[0].endswith("to 2 mailboxes so far.")


def test_what_is_read_next_changes_only_where_a_pipelining_client_waits() -> None:
    """RFC 2920 section 3.1: DATA and QUIT end a group, and so does whatever changes what the next line means."""
    ends = {name for name, verb in verbs.VERBS.items() if verb.ends_group}
    assert {"EHLO", "DATA", "VRFY", "EXPN", "TURN", "QUIT", "NOOP"} <= ends
    assert ends.isdisjoint({"MAIL", "RCPT", "RSET"})
