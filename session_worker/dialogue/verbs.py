"""The table of verbs: a row has all that there is to know about a verb. And the replies that are made from the table.

Gives: `VERBS`; the reply to a command that cannot come now, and HELP's texts. A verb that is no row is no command of
SMTP. An extension's verbs are rows here, its line of EHLO's reply and its parameters are a row in `greeting.py`.
"""

from __future__ import annotations

import difflib

from runtime import counted
from session_worker.dialogue import explain, greeting, replies, transaction
from session_worker.dialogue.replies import MAIL_FORM, RCPT_FORM, Refusal, Reply, mail_form, shown
from session_worker.dialogue.state import Phase, Session
from session_worker.dialogue.turn import HOLDS, Command, Context, Handler, Turn
from wire.messages import Close
from wire.records import Record, replace


class Verb(Record):
    """A verb, under whose name its replies are counted.

    `serve` is its handler; None: we know the verb, and do not offer it. It moves a session on in the phases `onward`,
    and comes in these alone, or `anytime`. `example`: how it is written, in HELP and in refusals; `does`: what HELP
    says of it, "" where HELP does not list it. `secret`: what follows it may be a password, and is shown to nobody.
    `ends_group`: a client that pipelines waits for its reply (RFC 2920 section 3.1, and where each extension is).
    `followed_by`: what most clients say next, answered ahead where that can be known (wire/SPEC.md, `ahead`).
    """

    name: str
    serve: Handler | None = None
    onward: tuple[Phase, ...] = ()
    anytime: bool = False
    example: str = ""
    does: str = ""
    secret: bool = False
    ends_group: bool = False
    followed_by: bytes = b""

    def comes_in(self, phase: Phase) -> bool:
        return self.anytime or phase in self.onward


def out_of_order(name: str, phase: Phase) -> Reply:
    """The reply to a verb that is not served in this phase, or never."""
    verb = VERBS.get(name)
    if verb is None:
        similar = difflib.get_close_matches(name[:8].upper(), LISTED, n=1)
        return replies.not_recognized(name, "".join(similar), next_example(phase))
    if verb.serve is None:
        return replies.not_implemented(name)
    if phase is Phase.CONNECTED:
        return replies.say_hello_first(name)
    if name == "MAIL":
        return replies.NESTED
    return replies.NO_RECIPIENT if phase is Phase.SENDER else replies.sender_first(name)


# ---------------------------------------------------------------- commands that need nothing but the session


def _rset(context: Context, command: Command) -> Turn:
    _takes_nothing(command)
    said = replies.in_own_name(replies.reset(greeted=bool(context.session.hello)), context.session.hello)
    return Turn(replace(context.session, transaction=None), said, holds=HOLDS)


def _noop(context: Context, _command: Command) -> Turn:
    return Turn(context.session, replies.NOOP, holds=HOLDS)


def _quit(context: Context, command: Command) -> Turn:
    _takes_nothing(command)
    said = replies.farewell(context.policy.domain)
    return Turn(replace(context.session, transaction=None), said, Close(), HOLDS)


def _takes_nothing(command: Command) -> None:
    if command.argument:
        raise Refusal(replies.no_argument(command.verb))


# ---------------------------------------------------------------- HELP


def _help(context: Context, command: Command) -> Turn:
    """HELP and HELP with a verb; what it says may name the sender, so it holds for nobody else."""
    session, name = context.session, command.argument.upper()
    if name and name not in LISTED:
        why = f'No help on "{shown(command.argument)}". HELP alone, or HELP with one of {", ".join(LISTED)}'
        raise Refusal(Reply(504, "5.5.4", (why,)))
    lines = help_on(LISTED[name], session) if name else help_overview(session)
    utf8 = session.transaction is not None and session.transaction.utf8
    return Turn(session, Reply(214, "2.0.0", tuple(lines), utf8))


def help_overview(session: Session) -> list[str]:
    """Where the session stands, and an example of each command that is allowed now."""
    allowed = [verb for verb in LISTED.values() if verb.comes_in(session.phase)]
    examples = [f"  {_example(verb, session):<28} {verb.does}" for verb in allowed]
    return [_standing(session), f"To go on: {_forward(session)}", "You may say:", *examples]


def help_on(verb: Verb, session: Session) -> list[str]:
    """What one command does and how it is written in this session; where it cannot come now, what comes before it."""
    if verb.comes_in(session.phase):
        return [f"{verb.name} {verb.does}", f"Example: {_example(verb, session)}"]
    return [f"{verb.name} {verb.does}", f"It cannot come now; to go on: {_forward(session)}"]


def next_example(phase: Phase) -> str:
    """An example of the command that moves the session on."""
    if phase is Phase.RECIPIENTS:
        # Who types "Subject: hello" here has forgotten DATA.
        return f"DATA, and after it the message; or {RCPT_FORM}"
    return next(verb.example for verb in LISTED.values() if phase in verb.onward)


def _forward(session: Session) -> str:
    return " or ".join(_example(verb, session) for verb in LISTED.values() if session.phase in verb.onward)


def _example(verb: Verb, session: Session) -> str:
    return mail_form(session.hello) if verb.name == "MAIL" else verb.example


def _standing(session: Session) -> str:
    mail = session.transaction
    if not session.hello:
        return "You have not greeted yet."
    if mail is None:
        return f"You are {shown(session.hello)}; no mail is under way."
    sender = f"A mail from <{shown(mail.sender)}> is under way"
    if not mail.recipients:
        return f"{sender}; it has no recipient yet."
    return f"{sender}, to {counted(len(mail.mailboxes), 'mailbox', 'mailboxes')} so far."


# ---------------------------------------------------------------- the table

_BEGIN, _MAIL = (Phase.CONNECTED,), (Phase.GREETED,)
_RCPT, _DATA = (Phase.SENDER, Phase.RECIPIENTS), (Phase.RECIPIENTS,)
# In the order in which a session uses them, which is HELP's.
VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            "HELO", greeting.hello, _BEGIN, True, "HELO example.org", "greets with your mail domain",
            ends_group=True,
        ),
        Verb(
            "EHLO", greeting.hello, _BEGIN, True, "EHLO host.example.org",
            "greets with your host's name and lists the extensions", ends_group=True,
        ),
        Verb(
            "MAIL", transaction.serve_mail, _MAIL, False, MAIL_FORM, "begins a mail and names its sender; <> for none"
        ),
        Verb(
            "RCPT", transaction.serve_rcpt, _RCPT, False, RCPT_FORM,
            "names a recipient, by name@domain in <>; once for each of them", followed_by=b"DATA",
        ),
        Verb(
            "DATA", transaction.serve_data, _DATA, False, "DATA",
            "begins the message, which a line with a single dot ends", ends_group=True,
        ),
        Verb("RSET", _rset, (), True, "RSET", "drops the mail under way"),
        Verb("NOOP", _noop, (), True, "NOOP", "does nothing, successfully", ends_group=True),
        Verb(
            "VRFY", transaction.serve_vrfy, (), True, transaction.VRFY_FORM, "asks whether there is such a user",
            ends_group=True,
        ),
        Verb("HELP", _help, (), True, "HELP RCPT", "explains a command, or where you stand"),
        Verb("QUIT", _quit, (), True, "QUIT", "ends the session", ends_group=True),
        # HELP does not list it: it is for programs that show people more than SMTP says.
        Verb(explain.KEYWORD, explain.xexplain, (), True, explain.FORM),
        # Of RFC 5321 and of extensions: not offered.
        Verb("EXPN", ends_group=True),
        Verb("TURN", ends_group=True),
        Verb("ETRN"),
        Verb("AUTH", secret=True, ends_group=True),
        Verb("STARTTLS", ends_group=True),
        Verb("BDAT"),
    )
}  # fmt: skip
# What HELP knows.
LISTED: dict[str, Verb] = {name: verb for name, verb in VERBS.items() if verb.does}
