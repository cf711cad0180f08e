"""What HELP says: where the session stands, what may come next, and how each command is written."""

from __future__ import annotations

from collections.abc import Container, Iterable

from runtime import counted
from session_worker.dialogue.replies import MAIL_FORM, RCPT_FORM, mail_form, shown
from session_worker.dialogue.state import Phase, Session

# Each command offered, in the order in which a session uses them: an example, and what it does.
COMMANDS = {
    "HELO": ("HELO example.org", "greets with your mail domain"),
    "EHLO": ("EHLO host.example.org", "greets with your host's name and lists the extensions"),
    "MAIL": (MAIL_FORM, "begins a mail and names its sender; <> for none"),
    "RCPT": (RCPT_FORM, "names a recipient, by name@domain in <>; once for each of them"),
    "DATA": ("DATA", "begins the message, which a line with a single dot ends"),
    "RSET": ("RSET", "drops the mail under way"),
    "NOOP": ("NOOP", "does nothing, successfully"),
    "VRFY": ("VRFY postmaster", "asks whether there is such a user"),
    "HELP": ("HELP RCPT", "explains a command, or where you stand"),
    "QUIT": ("QUIT", "ends the session"),
}

# What moves each phase on; the other commands are there as well.
_FORWARD = {
    Phase.CONNECTED: ("HELO", "EHLO"),
    Phase.GREETED: ("MAIL",),
    Phase.SENDER: ("RCPT",),
    Phase.RECIPIENTS: ("RCPT", "DATA"),
}


def next_example(phase: Phase) -> str:
    """An example of the command that moves the session on."""
    if phase is Phase.RECIPIENTS:
        # Who types "Subject: hello" here has forgotten DATA.
        return f"DATA, and after it the message; or {COMMANDS['RCPT'][0]}"
    return COMMANDS[_FORWARD[phase][0]][0]


def overview(session: Session, allowed: Iterable[str]) -> list[str]:
    """Where the session stands, and an example of each command that is allowed now."""
    listed = set(allowed)
    examples = [f"  {_example(verb, session):<28} {COMMANDS[verb][1]}" for verb in COMMANDS if verb in listed]
    return [_standing(session), f"To go on: {_forward(session)}", "You may say:", *examples]


def command(verb: str, session: Session, allowed: Container[str]) -> list[str]:
    """What one command does and how it is written in this session; where it cannot come now, what comes before it."""
    if verb in allowed:
        return [f"{verb} {COMMANDS[verb][1]}", f"Example: {_example(verb, session)}"]
    return [f"{verb} {COMMANDS[verb][1]}", f"It cannot come now; to go on: {_forward(session)}"]


def _forward(session: Session) -> str:
    return " or ".join(_example(verb, session) for verb in _FORWARD[session.phase])


def _example(verb: str, session: Session) -> str:
    return mail_form(session.hello) if verb == "MAIL" else COMMANDS[verb][0]


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
