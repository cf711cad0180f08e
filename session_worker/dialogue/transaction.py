"""From a line to a command, and from a command's argument to what it says.

Gives values; what breaks a rule raises `Refusal` with the reply. Whether a command may come now is the dialogue's
matter, and whether its address exists is the store's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mail.address import AddressError
from session_worker.dialogue import grammar, replies
from session_worker.dialogue.grammar import GrammarError, Path
from session_worker.dialogue.replies import MAIL_FORM, RCPT_FORM, Refusal
from session_worker.dialogue.rules import Rules
from wire.limits import MAX_LINE
from wire.records import Record, replace

# C0 and DEL; and C1, which terminals obey as well (RFC 6531 section 3.3 excludes them from UTF8-non-ascii addresses).
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What browsers, scanners and worms say to any port: an HTTP request or its Host header, SSH, a TLS ClientHello.
_OTHER_PROTOCOL = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) .*HTTP/|Host: |SSH-|\x16\x03", re.IGNORECASE
)

VRFY_FORM = "VRFY postmaster"
EXPLAIN_FORM = "XEXPLAIN, XEXPLAIN ON or XEXPLAIN OFF"
BODY_VALUES = ("7BIT", "8BITMIME")  # RFC 6152 section 2


class Command(Record):
    """A verb in capitals, and what follows it without blanks around."""

    verb: str
    argument: str


class Mail(Record):
    """MAIL: `sender` is canonical, "" the null reverse-path; `domain` is that of the sender."""

    sender: str = ""
    domain: str = ""
    utf8: bool = False
    hints: str = ""


class Mailbox(Record):
    """An address to look up: as given, and its canonical parts; `domain` is "" for a local part alone."""

    given: str
    local: str
    domain: str
    utf8: bool = False
    hints: str = ""


def parse(line: bytes | None) -> Command:
    """A line, without its end, to a command that may not exist; None is a line over the limit.

    :raises Refusal: for a line that cannot be one.
    """
    if line is None:
        raise Refusal(replies.line_too_long(MAX_LINE))
    if _OTHER_PROTOCOL.match(line):
        raise Refusal(replies.other_protocol(), close=True)
    try:
        # RFC 5321 section 4.1.1: white space before the line end is tolerated.
        text = line.decode().rstrip(" \t")
    except UnicodeDecodeError:
        raise Refusal(replies.not_utf8()) from None
    if not text:
        raise Refusal(replies.empty_line())
    if control := _CONTROL.search(text):
        raise Refusal(replies.control_byte(ord(control[0])))
    if text.startswith(" "):
        raise Refusal(replies.leading_blank())
    verb, _, argument = text.partition(" ")
    # Letters outside ASCII have capitals inside it (U+017F): those are no verbs.
    return Command(verb.upper() if verb.isascii() else verb, argument.strip(" "))


def nothing(command: Command) -> None:
    """A command that takes no argument.

    :raises Refusal: where it has one.
    """
    if command.argument:
        raise Refusal(replies.no_argument(command.verb))


def hello(rules: Rules, command: Command) -> str:
    """The name in HELO or EHLO.

    :raises Refusal: where there is none, or it is none.
    """
    if not command.argument:
        raise Refusal(replies.bad_name(command.verb, "no name was given"))
    try:
        return grammar.host_name(command.argument, strict=rules.strict)
    except GrammarError as error:
        raise Refusal(replies.bad_name(command.verb, str(error))) from None


# ---------------------------------------------------------------- MAIL

# "MAIL TO:" is the course exercise's word for MAIL FROM.
_MAIL = re.compile(r"(FROM|TO) *: *", re.IGNORECASE)
_RCPT = re.compile(r"(TO) *: *", re.IGNORECASE)


def mail(rules: Rules, command: Command, *, extended: bool) -> Mail:
    """MAIL (RFC 5321 section 4.1.1.2), `extended` after EHLO.

    :raises Refusal: for what breaks its form, its address or a parameter.
    """
    path, rest, hints = _path(rules, command, _MAIL, MAIL_FORM, _bad_sender)
    given = _parameters(command, rest, MAIL_FORM)
    if given and not extended:
        raise Refusal(replies.parameters_need_ehlo())
    said = Mail(hints=hints)
    for keyword, value in given.items():
        parameter = _MAIL_PARAMETERS.get(keyword)
        if parameter is None:
            raise Refusal(replies.unknown_parameter("MAIL", keyword, ", ".join(_MAIL_PARAMETERS)))
        said = parameter(rules, said, value)
    if not path.text:
        if not path.bracketed or path.routed:
            raise Refusal(_bad_sender(path.text, "it is empty"))
        return said
    try:
        sender = grammar.sender(path.text, strict=rules.strict)
    except AddressError as error:
        raise Refusal(_bad_sender(path.text, str(error))) from None
    if not sender.is_ascii and not said.utf8:
        raise Refusal(replies.needs_utf8("in a session that began with EHLO, SMTPUTF8 follows the address"))
    return Mail(str(sender), sender.domain, said.utf8, hints)


def _size(rules: Rules, said: Mail, value: str | None) -> Mail:
    # RFC 1870 section 3: size-value ::= 1*20DIGIT
    if value is None or not re.fullmatch(r"[0-9]{1,20}", value):
        raise Refusal(
            replies.bad_form("MAIL", "SIZE is a number of octets, of up to 20 digits", f"{MAIL_FORM} SIZE=1")
        )
    if int(value) > rules.max_message_octets:
        raise Refusal(replies.declared_too_big(rules.max_message_octets))
    return said


def _body(_rules: Rules, said: Mail, value: str | None) -> Mail:
    # RFC 6152 section 2. All bodies are kept as they come, so neither value changes anything.
    if value is None or value.upper() not in BODY_VALUES:
        raise Refusal(replies.bad_form("MAIL", "BODY is 7BIT or 8BITMIME", f"{MAIL_FORM} BODY=8BITMIME"))
    return said


def _smtputf8(_rules: Rules, said: Mail, value: str | None) -> Mail:
    # RFC 6531 section 3.4
    if value is not None:
        raise Refusal(replies.bad_form("MAIL", "SMTPUTF8 takes no value", f"{MAIL_FORM} SMTPUTF8"))
    return replace(said, utf8=True)


# An extension's parameter is a row here, and its keyword a line of EHLO's reply (`steps.py`).
_MAIL_PARAMETERS: dict[str, Callable[[Rules, Mail, str | None], Mail]] = {
    "SIZE": _size,
    "BODY": _body,
    "SMTPUTF8": _smtputf8,
}


# ---------------------------------------------------------------- RCPT and VRFY


def rcpt(rules: Rules, command: Command, *, utf8: bool) -> Mailbox:
    """RCPT (RFC 5321 section 4.1.1.3), in a transaction with SMTPUTF8 or without.

    :raises Refusal: for what breaks its form or its address, and for any parameter: none is offered.
    """
    path, rest, hints = _path(rules, command, _RCPT, RCPT_FORM, _bad_recipient)
    for keyword in _parameters(command, rest, RCPT_FORM):
        raise Refusal(replies.unknown_parameter("RCPT", keyword, "none"))
    if path.text.lower() == grammar.POSTMASTER:
        return Mailbox(path.text, grammar.POSTMASTER, "", hints=hints)
    if not path.text:
        raise Refusal(_bad_recipient("", "it is empty, which only a sender can be"))
    try:
        recipient = grammar.mailbox(path.text)
    except AddressError as error:
        raise Refusal(_bad_recipient(path.text, str(error))) from None
    if not recipient.is_ascii and not utf8:
        raise Refusal(replies.needs_utf8("in a session that began with EHLO, SMTPUTF8 follows the sender's address"))
    return Mailbox(path.text, recipient.local, recipient.domain, hints=hints)


def vrfy(command: Command) -> Mailbox:
    """VRFY (RFC 5321 section 4.1.1.6; SMTPUTF8: RFC 6531 section 3.7.4.2): a user's name or an address.

    :raises Refusal: for what breaks its form or its address.
    """
    if not command.argument:
        raise Refusal(replies.bad_form("VRFY", "a name is missing", VRFY_FORM))
    try:
        path, rest = grammar.path(command.argument)
        given = grammar.parameters(rest)
        if given.keys() - {"SMTPUTF8"} or given.get("SMTPUTF8") is not None:
            raise Refusal(replies.bad_form("VRFY", "it takes one name and SMTPUTF8", f"{VRFY_FORM} SMTPUTF8"))
        found = grammar.mailbox_or_local(path.text)
    except GrammarError as error:
        raise Refusal(replies.bad_form("VRFY", str(error), VRFY_FORM)) from None
    except AddressError as error:
        raise Refusal(replies.bad_recipient(command.argument, str(error), VRFY_FORM)) from None
    if not found.is_ascii and not given:
        raise Refusal(replies.needs_utf8("SMTPUTF8 follows the name"))
    local = found.local
    if not found.domain and local.lower() == grammar.POSTMASTER:
        local = grammar.POSTMASTER
    return Mailbox(path.text, local, found.domain, utf8=bool(given))


# ---------------------------------------------------------------- what MAIL and RCPT share


def _path(
    rules: Rules,
    command: Command,
    keyword: re.Pattern[str],
    form: str,
    bad_address: Callable[[str, str], replies.Reply],
) -> tuple[Path, str, str]:
    """The path, what follows it, and the hints for what was tolerated."""
    begin = keyword.match(command.argument)
    if begin is None:
        word = form.split(" ")[1].partition(":")[0]
        said = re.match(r"[A-Za-z]*", command.argument)
        forgotten = said is not None and said[0].upper() == word
        why = f"the colon after {word} is missing" if forgotten else f"{word}: must follow {command.verb}"
        raise Refusal(replies.bad_form(command.verb, why, form))
    argument = command.argument[begin.end() :]
    try:
        path, rest = grammar.path(argument)
    except GrammarError as error:
        raise Refusal(replies.bad_form(command.verb, str(error), form)) from None
    except AddressError as error:
        raise Refusal(bad_address(argument, str(error))) from None
    deviations = []
    if not form.upper().startswith(f"{command.verb} {begin[1].upper()}:"):
        deviations.append(f"the standard word is {command.verb} FROM")
    if " " in begin[0]:
        deviations.append("no blanks stand around the colon")
    if not path.bracketed:
        deviations.append("the address stands in <>")
    if deviations and rules.strict:
        raise Refusal(replies.bad_form(command.verb, " and ".join(deviations), form))
    if path.routed:
        deviations.append("the source route was dropped")
    return path, rest, f" Hint: {', '.join(deviations)}" if deviations else ""


def _parameters(command: Command, text: str, form: str) -> dict[str, str | None]:
    try:
        return grammar.parameters(text)
    except GrammarError as error:
        raise Refusal(replies.bad_form(command.verb, str(error), form)) from None


def _bad_sender(text: str, why: str) -> replies.Reply:
    return replies.bad_sender(text, why)


def _bad_recipient(text: str, why: str) -> replies.Reply:
    return replies.bad_recipient(text, why, RCPT_FORM)
