"""The commands of a transaction, MAIL, RCPT and DATA, and VRFY, which asks about a recipient's address.

Each is read (`mail`, `rcpt`, `vrfy`: from its argument to a value) and then served. What breaks a rule raises
`Refusal` with the reply; whether an address exists is the store's word. The expression of a path stands here, under
its ABNF; which rule is broken by what is no path is in `grammar.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mail import address
from mail.address import AddressError
from session_worker.dialogue import grammar, replies
from session_worker.dialogue.grammar import QUOTED, GrammarError
from session_worker.dialogue.greeting import MAIL_PARAMETERS, SMTPUTF8
from session_worker.dialogue.replies import MAIL_FORM, RCPT_FORM, Refusal, Reply
from session_worker.dialogue.state import Recipient, Transaction
from session_worker.dialogue.turn import HOLDS, Command, Context, Policy, SenderDomainRule, Talk, Turn
from wire.messages import Check, Lookup, ReadBody
from wire.outcomes import Found, NoSuchUser, NotOurDomain, Writable
from wire.records import Record, replace

VRFY_FORM = "VRFY postmaster"

# RFC 5321 section 4.1.2: Path = "<" [ A-d-l ":" ] Mailbox ">"
_PATH = re.compile(rf'<((?:[^"<>]|{QUOTED})*+)>')
# The same without its brackets ends at a blank.
_BARE_PATH = re.compile(rf'((?:[^" <>]|{QUOTED})++)')
# "MAIL TO:" is the course exercise's word for MAIL FROM.
_MAIL = re.compile(r"(FROM|TO) *: *", re.IGNORECASE)
_RCPT = re.compile(r"(TO) *: *", re.IGNORECASE)


class Sender(Record):
    """What MAIL says: `sender` is canonical, "" the null reverse-path; `domain` is its domain."""

    sender: str = ""
    domain: str = ""
    utf8: bool = False
    hints: str = ""


class Wanted(Record):
    """An address to look up: as given, and its canonical parts; `domain` is "" for a local part alone."""

    given: str
    local: str
    domain: str
    utf8: bool = False
    hints: str = ""


class Path(Record):
    """A reverse-path or forward-path.

    `text` is the mailbox as it was given, "" for the null path; `bracketed`: it stood in `<>`; `routed`: a source
    route stood before it and is dropped (RFC 5321 appendix C).
    """

    text: str
    bracketed: bool
    routed: bool


# ---------------------------------------------------------------- MAIL, RCPT, DATA


def serve_mail(context: Context, command: Command) -> Turn:
    """MAIL (RFC 5321 section 4.1.1.2) begins a transaction."""
    session = context.session
    said = mail(context.policy, command, extended=session.extended)
    if said.sender and _bound(context) not in ("", said.domain):
        raise Refusal(replies.foreign_sender("EHLO" if session.extended else "HELO", session.hello))
    begun = replace(session, transaction=Transaction(said.sender, said.utf8))
    return Turn(begun, replies.sender_ok(said.sender, said.hints, utf8=said.utf8), holds=HOLDS)


def _bound(context: Context) -> str:
    """The domain that the sender must be of, that of the greeting; "" for any, as where the name is no domain."""
    rule = context.policy.sender_domain_rule
    bound = rule is SenderDomainRule.ALWAYS or (rule is SenderDomainRule.HELO and not context.session.extended)
    return grammar.domain_of(context.session.hello) if bound else ""


def serve_rcpt(context: Context, command: Command) -> Talk:
    """RCPT (RFC 5321 section 4.1.1.3); a mailbox of several recipients gets the message once."""
    mail = context.session.transaction
    assert mail is not None, "the table gives no such command outside of a transaction"
    wanted = rcpt(context.policy, command, utf8=mail.utf8)
    outcome = yield Lookup(wanted.local, wanted.domain)
    if not isinstance(outcome, Found):
        raise Refusal(replies.refused(outcome, wanted.given))
    recipient = Recipient(wanted.given, outcome.mailbox)
    if recipient not in mail.recipients:
        if len(mail.recipients) >= context.policy.max_recipients:
            raise Refusal(replies.too_many_recipients(context.policy.max_recipients))
        mail = replace(mail, recipients=(*mail.recipients, recipient))
    session = replace(context.session, transaction=mail)
    return Turn(session, replies.recipient_ok(wanted.given, wanted.hints, utf8=mail.utf8), holds=outcome.holds)


def serve_data(context: Context, command: Command) -> Talk:
    """DATA (RFC 5321 section 4.1.1.4), once every mailbox can be written."""
    mail = context.session.transaction
    assert mail is not None, "the table gives no such command outside of a transaction"
    if command.argument:
        raise Refusal(replies.no_argument(command.verb))
    outcome = yield Check(mail.mailboxes)
    if not isinstance(outcome, Writable):
        raise Refusal(replies.refused(outcome, ""))
    session = replace(context.session, transaction=replace(mail, reading=True))
    return Turn(session, replies.START_MESSAGE, ReadBody(context.policy.max_message_octets), outcome.holds)


def mail(policy: Policy, command: Command, *, extended: bool) -> Sender:
    """Read MAIL, `extended` after EHLO.

    :raises Refusal: for what breaks its form, its address or a parameter.
    """
    path, rest, hints = _path(policy, command, _MAIL, MAIL_FORM, replies.bad_sender)
    given = _parameters(command, rest, MAIL_FORM) if rest else {}
    if given and not extended:
        raise Refusal(replies.PARAMETERS_NEED_EHLO)
    for keyword, value in given.items():
        if keyword not in MAIL_PARAMETERS:
            raise Refusal(replies.unknown_parameter("MAIL", keyword, ", ".join(MAIL_PARAMETERS)))
        MAIL_PARAMETERS[keyword](policy, value)
    utf8 = SMTPUTF8 in given
    if not path.text:
        if not path.bracketed or path.routed:
            raise Refusal(replies.bad_sender(path.text, "it is empty"))
        return Sender(utf8=utf8, hints=hints)
    try:
        sender = grammar.sender(path.text, strict=policy.strict)
    except AddressError as error:
        raise Refusal(replies.bad_sender(path.text, str(error))) from None
    if not sender.is_ascii and not utf8:
        raise Refusal(replies.needs_utf8("in a session that began with EHLO, SMTPUTF8 follows the address"))
    return Sender(str(sender), sender.domain, utf8, hints)


def rcpt(policy: Policy, command: Command, *, utf8: bool) -> Wanted:
    """Read RCPT, in a transaction with SMTPUTF8 or without.

    :raises Refusal: for what breaks its form or its address, and for any parameter: none is offered.
    """
    path, rest, hints = _path(policy, command, _RCPT, RCPT_FORM, _bad_recipient)
    for keyword in _parameters(command, rest, RCPT_FORM) if rest else {}:
        raise Refusal(replies.unknown_parameter("RCPT", keyword, "none"))
    if path.text.lower() == grammar.POSTMASTER:
        return Wanted(path.text, grammar.POSTMASTER, "", hints=hints)
    if not path.text:
        raise Refusal(_bad_recipient("", "it is empty, which only a sender can be"))
    try:
        recipient = address.parse(path.text)
    except AddressError as error:
        raise Refusal(_bad_recipient(path.text, str(error))) from None
    if not recipient.is_ascii and not utf8:
        raise Refusal(replies.needs_utf8("in a session that began with EHLO, SMTPUTF8 follows the sender's address"))
    return Wanted(path.text, recipient.local, recipient.domain, hints=hints)


# ---------------------------------------------------------------- VRFY


def serve_vrfy(context: Context, command: Command) -> Talk:
    """VRFY (RFC 5321 section 4.1.1.6)."""
    wanted = vrfy(command)
    if not context.policy.vrfy:
        return Turn(context.session, replies.NOT_VERIFYING)
    outcome = yield Lookup(wanted.local, wanted.domain)
    if isinstance(outcome, NoSuchUser | NotOurDomain):
        raise Refusal(replies.no_such_user(wanted.given, outcome.why if isinstance(outcome, NoSuchUser) else ""))
    if not isinstance(outcome, Found):
        raise Refusal(replies.refused(outcome, wanted.given))
    if not outcome.mailbox.isascii() and not wanted.utf8:
        return Turn(context.session, replies.VERIFIED_ONLY_IN_UTF8)
    return Turn(context.session, Reply(250, "2.1.5", (f"<{outcome.mailbox}>",), utf8=wanted.utf8))


def vrfy(command: Command) -> Wanted:
    """Read VRFY (SMTPUTF8: RFC 6531 section 3.7.4.2): a user's name or an address.

    :raises Refusal: for what breaks its form or its address.
    """
    if not command.argument:
        raise Refusal(replies.bad_form("VRFY", "a name is missing", VRFY_FORM))
    try:
        given, rest = path(command.argument)
        extras = grammar.parameters(rest)
        if extras.keys() - {SMTPUTF8} or extras.get(SMTPUTF8) is not None:
            raise Refusal(replies.bad_form("VRFY", "it takes one name and SMTPUTF8", f"{VRFY_FORM} {SMTPUTF8}"))
        found = grammar.mailbox_or_local(given.text)
    except GrammarError as error:
        raise Refusal(replies.bad_form("VRFY", str(error), VRFY_FORM)) from None
    except AddressError as error:
        raise Refusal(replies.bad_recipient(command.argument, str(error), VRFY_FORM)) from None
    if not found.is_ascii and not extras:
        raise Refusal(replies.needs_utf8("SMTPUTF8 follows the name"))
    local = found.local
    if not found.domain and local.lower() == grammar.POSTMASTER:
        local = grammar.POSTMASTER
    return Wanted(given.text, local, found.domain, utf8=bool(extras))


# ---------------------------------------------------------------- what they share


def path(text: str) -> tuple[Path, str]:
    """Take a path off the beginning of an argument; gives it and what follows, the blank before it included.

    :raises GrammarError: where no path can be seen.
    :raises AddressError: where the source route is not one.
    """
    bracketed = text.startswith("<")
    found = (_PATH if bracketed else _BARE_PATH).match(text)
    if found is None:
        raise GrammarError(grammar.no_path(text, bracketed=bracketed))
    rest = text[found.end() :]
    if (rest and not rest.startswith(" ")) or (not bracketed and "<" in rest):
        raise GrammarError(grammar.rule_behind_path(rest, bracketed=bracketed))
    if found[1].startswith("@"):
        return Path(grammar.without_route(found[1]), bracketed, True), rest
    return Path(found[1], bracketed, False), rest


def _path(
    policy: Policy,
    command: Command,
    keyword: re.Pattern[str],
    form: str,
    bad_address: Callable[[str, str], Reply],
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
        given, rest = path(argument)
    except GrammarError as error:
        raise Refusal(replies.bad_form(command.verb, str(error), form)) from None
    except AddressError as error:
        raise Refusal(bad_address(argument, str(error))) from None
    deviations = []
    if not form.upper().startswith(f"{command.verb} {begin[1].upper()}:"):
        deviations.append(f"the standard word is {command.verb} FROM")
    if " " in begin[0]:
        deviations.append("no blanks stand around the colon")
    if not given.bracketed:
        deviations.append("the address stands in <>")
    if deviations and policy.strict:
        raise Refusal(replies.bad_form(command.verb, " and ".join(deviations), form))
    if given.routed:
        deviations.append("the source route was dropped")
    return given, rest, f" Hint: {', '.join(deviations)}" if deviations else ""


def _parameters(command: Command, text: str, form: str) -> dict[str, str | None]:
    try:
        return grammar.parameters(text)
    except GrammarError as error:
        raise Refusal(replies.bad_form(command.verb, str(error), form)) from None


def _bad_recipient(text: str, why: str) -> Reply:
    return replies.bad_recipient(text, why, RCPT_FORM)
