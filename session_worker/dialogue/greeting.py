"""HELO and EHLO, and what EHLO offers: a row for each extension, with its parameters of MAIL."""

from __future__ import annotations

import re
from collections.abc import Callable

from session_worker.dialogue import explain, grammar, replies
from session_worker.dialogue.grammar import GrammarError
from session_worker.dialogue.replies import MAIL_FORM, Refusal
from session_worker.dialogue.turn import HOLDS, Command, Context, Policy, Turn
from wire.records import Record, replace

BODY_VALUES = ("7BIT", "8BITMIME")  # RFC 6152 section 2


class Extension(Record):
    """A line of EHLO's reply, and the parameter of MAIL that comes with it.

    `line` gives the line, "" where it is not offered. `parameter` is the keyword, "" for none; `check` looks at its
    value (None where it has none) and raises a Refusal for one that will not do.
    """

    line: Callable[[Policy], str]
    parameter: str = ""
    check: Callable[[Policy, str | None], None] | None = None


def hello(context: Context, command: Command) -> Turn:
    """HELO and EHLO (RFC 5321 section 4.1.1.1): at any time, and any transaction is dropped."""
    policy, name = context.policy, read_name(context.policy, command)
    extended = command.verb == "EHLO"
    session = replace(context.session, hello=name, extended=extended, transaction=None)
    if extended:
        offered = [line for extension in EXTENSIONS if (line := extension.line(policy))]
        return Turn(session, replies.ehlo(policy.domain, name, offered), holds=HOLDS)
    return Turn(session, replies.helo(policy.domain, name), holds=HOLDS)


def read_name(policy: Policy, command: Command) -> str:
    """The name in HELO or EHLO.

    :raises Refusal: where there is none, or it is none.
    """
    if not command.argument:
        raise Refusal(replies.bad_name(command.verb, "no name was given"))
    try:
        return grammar.host_name(command.argument, strict=policy.strict)
    except GrammarError as error:
        raise Refusal(replies.bad_name(command.verb, str(error))) from None


def _size(policy: Policy, value: str | None) -> None:
    # RFC 1870 section 3: size-value ::= 1*20DIGIT
    if value is None or not re.fullmatch(r"[0-9]{1,20}", value):
        raise _bad_value("SIZE is a number of octets, of up to 20 digits", "SIZE=1")
    if int(value) > policy.max_message_octets:
        raise Refusal(replies.declared_too_big(policy.max_message_octets))


def _body(_policy: Policy, value: str | None) -> None:
    # All bodies are kept as they come, so neither value changes anything.
    if value is None or value.upper() not in BODY_VALUES:
        raise _bad_value("BODY is 7BIT or 8BITMIME", "BODY=8BITMIME")


def _smtputf8(_policy: Policy, value: str | None) -> None:
    # RFC 6531 section 3.4
    if value is not None:
        raise _bad_value("SMTPUTF8 takes no value", SMTPUTF8)


def _bad_value(why: str, parameter: str) -> Refusal:
    return Refusal(replies.bad_form("MAIL", why, f"{MAIL_FORM} {parameter}"))


SMTPUTF8 = "SMTPUTF8"
# RFC 2920, 1870, 6152, 6531, 2034; RFC 5321 section 4.1.1.1 for commands that are optional.
EXTENSIONS = (
    Extension(lambda _: "PIPELINING"),
    Extension(lambda policy: f"SIZE {policy.max_message_octets}", "SIZE", _size),
    Extension(lambda _: "8BITMIME", "BODY", _body),
    Extension(lambda _: SMTPUTF8, SMTPUTF8, _smtputf8),
    Extension(lambda _: "ENHANCEDSTATUSCODES"),
    Extension(lambda policy: "VRFY" if policy.vrfy else ""),
    Extension(lambda policy: explain.KEYWORD if policy.explain else ""),
    Extension(lambda _: "HELP"),
)
MAIL_PARAMETERS = {each.parameter: each.check for each in EXTENSIONS if each.check is not None}
