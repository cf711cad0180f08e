"""HELP's texts."""

from __future__ import annotations

import pytest

from session_worker.dialogue import transaction as commands
from session_worker.dialogue import verbs as help
from session_worker.dialogue.rules import Rules
from session_worker.dialogue.state import Phase, Recipient, Session, Transaction


@pytest.mark.parametrize("verb", help.COMMANDS)
def test_every_command_has_an_example_that_is_that_command(verb: str) -> None:
    example = help.command(verb, Session(), [verb])[1].removeprefix("Example: ")
    assert commands.parse(example.encode()).verb == verb


def test_of_a_command_that_cannot_come_now_it_says_what_comes_before() -> None:
    assert help.command("DATA", Session("gmail.com"), ["MAIL"])[1].endswith(": MAIL FROM:<you@gmail.com>")


def test_the_examples_of_mail_and_rcpt_are_right_in_the_strict_profile() -> None:
    strict = Rules(strict=True)
    assert commands.mail(strict, commands.parse(help.COMMANDS["MAIL"][0].encode()), extended=False).hints == ""
    assert commands.rcpt(strict, commands.parse(help.COMMANDS["RCPT"][0].encode()), utf8=False).hints == ""


@pytest.mark.parametrize(
    ("phase", "verb"),
    [(Phase.CONNECTED, "HELO"), (Phase.GREETED, "MAIL"), (Phase.SENDER, "RCPT"), (Phase.RECIPIENTS, "DATA")],
)
def test_each_phase_has_an_example_that_moves_it_on(phase: Phase, verb: str) -> None:
    assert help.next_example(phase).startswith(verb)


def test_only_what_is_allowed_is_listed_in_the_order_of_a_session() -> None:
    lines = help.overview(Session("h"), ["QUIT", "MAIL"])
    assert [line.split()[0] for line in lines[3:]] == ["MAIL", "QUIT"]


def test_it_says_how_many_mailboxes_the_mail_has() -> None:
    one, two = Recipient("a@b", "a@b"), Recipient("c@d", "c@d")
    mail = Transaction("", recipients=(one, two))
    assert help.overview(Session("h", transaction=mail), [])[0].endswith("to 2 mailboxes so far.")
