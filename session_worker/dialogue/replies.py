"""Every reply that a worker gives: codes and texts.

Codes are those of RFC 5321 section 4.2, enhanced ones those of RFC 3463 and its registry (RFC 5248).
A refusal names the rule that was broken and shows the right form. 4xx is our trouble, 5xx theirs.
Texts are ASCII unless the client asked for UTF-8 (RFC 6531 section 3.7.4); what it sent is shown clipped.
"""

from __future__ import annotations

from session_worker.dialogue import grammar
from session_worker.dialogue.state import TIMED_OUT
from wire.limits import MAX_LINE
from wire.outcomes import DISK_FULL, EXPIRED, TROUBLE, Failed, NoSuchUser, NotOurDomain, Outcome, TimedOut, Unwritable
from wire.records import Record, replace

# RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets, CRLF included.
MAX_REPLY_LINE = 512
# Text that leaves room for both codes and CRLF in such a line.
_SURELY_SHORT = 490
# What is shown of a client's own words: the longest address is 320 octets, a word that is none needs less.
_SHOWN = 64


class Reply(Record):
    """A reply: `code`, the enhanced code ("" where there is none) and at least one line of text.

    `utf8`: the client takes UTF-8 in the text.
    """

    code: int
    enhanced: str
    lines: tuple[str, ...]
    utf8: bool = False

    def render(self) -> bytes:
        """The octets of the reply, CRLF included (RFC 5321 section 4.2.1, RFC 2034 section 3)."""
        enhanced = f"{self.enhanced} " if self.enhanced else ""
        if len(self.lines) == 1 and len(self.lines[0]) < _SURELY_SHORT and self.lines[0].isascii():
            return f"{self.code} {enhanced}{self.lines[0]}\r\n".encode()
        last = len(self.lines) - 1
        rendered = []
        for number, text in enumerate(self.lines):
            line = f"{self.code}{' ' if number == last else '-'}{enhanced}{text}"
            octets = line.encode() if self.utf8 else line.encode("ascii", "backslashreplace")
            if len(octets) > MAX_REPLY_LINE - 2:
                octets = octets[: MAX_REPLY_LINE - 2].decode(errors="ignore").encode()
            rendered.append(octets + b"\r\n")
        return b"".join(rendered)


class Refusal(Exception):  # it is a reply on its way out, not a fault
    """The client broke a rule; `reply` says which. `close`: and the session ends with it."""

    def __init__(self, reply: Reply, *, close: bool = False) -> None:
        super().__init__(reply.lines[0])
        self.reply = reply
        self.close = close


def shown(text: str) -> str:
    """A client's words, fit for a reply: at most `_SHOWN` characters."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _reply(code: int, enhanced: str, *lines: str, utf8: bool = False) -> Reply:
    return Reply(code, enhanced, lines, utf8)


# What a reply proposes is accepted when it is typed as it stands: MAIL, where the session has no name of its own to
# show it with, and RCPT with the one recipient that there is on every server (RFC 5321 section 4.5.1).
MAIL_FORM = "MAIL FROM:<you@example.org>"
RCPT_FORM = "RCPT TO:<postmaster>"
# A domain up to here has room in any reply, beside the server's own; a longer one is not shown by halves.
_PROPOSED = 100


def mail_form(hello: str) -> str:
    """How MAIL is written in a session of this name: after HELO the sender's domain is to be that one.

    :param hello: as given in HELO or EHLO; "" before.
    """
    if not grammar.domain_of(hello):
        return MAIL_FORM
    return f"MAIL FROM:<you@{hello}>" if len(hello) <= _PROPOSED else "MAIL FROM:<>"


def in_own_name(reply: Reply, hello: str) -> Reply:
    """The same reply with its example of MAIL, if it has one, as `mail_form` has it.

    In a text the example stands behind what the client itself said, so it is the last one that counts.
    """
    own = mail_form(hello)
    return replace(reply, lines=tuple(own.join(line.rsplit(MAIL_FORM, 1)) for line in reply.lines))


# ---------------------------------------------------------------- the session

NOOP = _reply(250, "2.0.0", "Ok, nothing was done")


def greeting(domain: str) -> Reply:
    return _reply(220, "", f"{domain} ESMTP Correio is waiting for HELO, as in: HELO example.org")


def helo(domain: str, name: str) -> Reply:
    return _reply(250, "", f"{domain} welcomes {shown(name)}; now the sender: {mail_form(name)}")


def ehlo(domain: str, name: str, extensions: list[str]) -> Reply:
    return _reply(250, "", f"{domain} welcomes {shown(name)}", *extensions)


def bad_name(verb: str, why: str) -> Reply:
    return _reply(501, "5.5.4", f"{verb} needs your domain: {why}. Example: {verb} example.org")


def reset(*, greeted: bool) -> Reply:
    following = f"{MAIL_FORM} begins one" if greeted else "the session begins with a greeting: HELO example.org"
    return _reply(250, "2.0.0", f"Ok, no mail is under way; {following}")


def farewell(domain: str) -> Reply:
    return _reply(221, "2.0.0", f"{domain} says goodbye and closes the connection")


# ---------------------------------------------------------------- lines that are no command

TOO_LONG = _reply(500, "5.5.2", f"Line too long: a command has at most {MAX_LINE} octets; all of it was ignored")
EMPTY_LINE = _reply(500, "5.5.2", "Empty line: type a command, for example HELP")
LEADING_BLANK = _reply(500, "5.5.2", "Command not recognized: it must begin its line, without blanks before it")
NOT_UTF8 = _reply(500, "5.5.2", "The line holds octets that are neither ASCII nor UTF-8")
OTHER_PROTOCOL = _reply(502, "5.7.0", "This is an SMTP server, and that was another protocol; goodbye")


def control_byte(octet: int) -> Reply:
    what = _CONTROLS.get(octet, "which no command holds")
    return _reply(500, "5.5.2", f"The line holds a control byte (0x{octet:02X}), {what}: type it again without")


# How it comes into a line.
_CONTROLS = {
    0x00: "a NUL",
    0x08: "as a correcting key sends it",
    0x09: "a tab, and words have single blanks between them",
    0x0D: "a CR without the LF that would end the line",
    0x1B: "as an arrow key or a function key sends it",
    0x7F: "as a correcting key sends it",
}


def not_recognized(verb: str, similar: str, example: str) -> Reply:
    guess = f" Did you mean {similar}?" if similar else ""
    return _reply(500, "5.5.2", f'Command not recognized: "{shown(verb)}".{guess} Next could be: {example}')


def not_implemented(verb: str) -> Reply:
    return _reply(502, "5.5.1", f"{verb} is known but not offered here; HELP lists what is")


def too_many_errors(limit: int) -> Reply:
    return _reply(421, "4.7.0", f"Over {limit} errors in one session; goodbye, and please read HELP next time")


def our_fault(domain: str) -> Reply:
    return _reply(421, "4.3.0", f"{domain} had an internal error and closes the connection; please come again")


# ---------------------------------------------------------------- syntax and order

NESTED = _reply(503, "5.5.1", f"A mail is under way already: go on with {RCPT_FORM}, or drop it with RSET")
NO_RECIPIENT = _reply(554, "5.5.1", f"No recipient was accepted: first {RCPT_FORM}, then DATA")


def bad_form(verb: str, why: str, form: str) -> Reply:
    return _reply(501, "5.5.4", f"Syntax error in {verb}: {why}. The form is: {form}")


def no_argument(verb: str) -> Reply:
    return _reply(501, "5.5.4", f"{verb} takes no argument: type {verb} alone on its line")


def say_hello_first(verb: str) -> Reply:
    return _reply(503, "5.5.1", f"Before {verb} comes a greeting: HELO example.org or EHLO host.example.org")


def sender_first(verb: str) -> Reply:
    return _reply(503, "5.5.1", f"Before {verb} comes the sender: {MAIL_FORM}")


# ---------------------------------------------------------------- sender and parameters

_WITH_EHLO = "greet with EHLO instead of HELO to use them, as in: EHLO host.example.org"
PARAMETERS_NEED_EHLO = _reply(555, "5.5.4", f"Parameters are an extension: {_WITH_EHLO}")


def sender_ok(sender: str, hints: str, *, utf8: bool) -> Reply:
    who = f"<{shown(sender)}>"
    following = f"now {RCPT_FORM} or another user's name@domain."
    return _reply(250, "2.1.0", f"Sender {who} accepted; {following}{hints}", utf8=utf8)


def bad_sender(text: str, why: str) -> Reply:
    return _reply(501, "5.1.7", f'"{shown(text)}" is no sender address: {why}. Example: {MAIL_FORM}')


def foreign_sender(verb: str, hello: str) -> Reply:
    rule = f"The sender's domain must be the one you said in {verb} ({shown(hello)})"
    return _reply(553, "5.1.8", f"{rule}: {mail_form(hello)}")


def unknown_parameter(verb: str, keyword: str, known: str) -> Reply:
    return _reply(555, "5.5.4", f"{verb} has no parameter {shown(keyword)} here; it takes: {known}")


def declared_too_big(limit: int) -> Reply:
    return _reply(552, "5.3.4", f"Message too big: this server takes at most {limit} octets (SIZE in EHLO's reply)")


def needs_utf8(form: str) -> Reply:
    return _reply(553, "5.6.7", f"An address with non-ASCII letters needs SMTPUTF8: {form}")


# ---------------------------------------------------------------- recipients

# RFC 6531 section 3.7.4.2: a mailbox that takes UTF-8 to spell is told only to those who take UTF-8.
VERIFIED_ONLY_IN_UTF8 = _reply(
    252, "2.6.8", "The name is known, its address takes UTF-8 to spell: SMTPUTF8 behind the name shows it"
)
NOT_VERIFYING = _reply(252, "2.5.0", "VRFY is switched off here: try the address as a mail's recipient")


def recipient_ok(address: str, hints: str, *, utf8: bool) -> Reply:
    return _reply(250, "2.1.5", f"Recipient <{shown(address)}> accepted; another RCPT, or DATA.{hints}", utf8=utf8)


def bad_recipient(text: str, why: str, example: str) -> Reply:
    return _reply(501, "5.1.3", f'"{shown(text)}" is no mailbox address: {why}. Example: {example}')


def too_many_recipients(limit: int) -> Reply:
    return _reply(452, "4.5.3", f"At most {limit} recipients in one mail: send the others in a next one")


def no_such_user(address: str, why: str = "") -> Reply:
    if why:
        return _reply(550, "5.1.1", f"<{shown(address)}> can have no mailbox here: {why}")
    return _reply(550, "5.1.1", f"<{shown(address)}> is no user of this server; check the spelling and send another")


# ---------------------------------------------------------------- the message

START_MESSAGE = _reply(354, "", "Type the message; end it with a line that holds a single dot")
BARE_LINE_ENDS = _reply(550, "5.5.2", "A line of the message ended in a bare LF or CR: every line must end in CRLF")


def delivered(delivery: str) -> Reply:
    return _reply(250, "2.0.0", f"Message delivered, id {delivery}")


def too_big(limit: int) -> Reply:
    return _reply(552, "5.3.4", f"Message too big: at most {limit} octets; it was read to its end and not stored")


# ---------------------------------------------------------------- from outcomes

_FAILURES = {
    TROUBLE: _reply(451, "4.3.0", "The mail store has trouble, nothing was stored; please try again later"),
    DISK_FULL: _reply(452, "4.3.1", "The mail store has no space left, nothing was stored; please try again later"),
    EXPIRED: _reply(451, "4.3.2", "The mail store was too slow, nothing was stored; please try again later"),
    TIMED_OUT: _reply(451, "4.3.2", "The mail store does not answer, nothing was stored; please try again later"),
}


def failure(kind: str) -> Reply:
    """The reply to a failure: a `Failed.kind` or `TIMED_OUT`; one not known is trouble."""
    return _FAILURES.get(kind, _FAILURES[TROUBLE])


def failure_of(outcome: Outcome) -> str:
    """The failure that an outcome is when it is none of those hoped for; one that answers another question too."""
    if isinstance(outcome, Failed):
        return outcome.kind
    return TIMED_OUT if isinstance(outcome, TimedOut) else TROUBLE


def refused(outcome: Outcome, address: str) -> Reply:
    """The reply to an outcome that is none of those hoped for; `address` is what was asked about."""
    match outcome:
        case NoSuchUser(why=why):
            return no_such_user(address, why)
        case NotOurDomain():
            return _reply(
                550, "5.7.1", f"<{shown(address)}> is not in a domain of this server, and it does not relay"
            )
        case Unwritable(mailbox=mailbox):
            return _reply(450, "4.2.0", f"The mailbox {shown(mailbox)} cannot be written now; try DATA again later")
        case _:
            return failure(failure_of(outcome))
