"""What HELP says: where the session stands, what may come next, and how each command is written."""

from __future__ import annotations

from collections.abc import Iterable

from session_worker.replies import shown
from session_worker.state import Phase, Session

# Each command offered, in the order in which a session uses them: an example, and what it does.
COMMANDS = {
    "HELO": ("HELO example.org", "greets with your mail domain"),
    "EHLO": ("EHLO host.example.org", "greets with your host's name and lists the extensions"),
    "MAIL": ("MAIL FROM:<you@example.org>", "begins a mail and names its sender; MAIL FROM:<> for none"),
    "RCPT": ("RCPT TO:<name@domain>", "names a recipient; once for each of them"),
    "DATA": ("DATA", "begins the message, which a line with a single dot ends"),
    "RSET": ("RSET", "drops the mail under way"),
    "NOOP": ("NOOP", "does nothing, successfully"),
    "VRFY": ("VRFY name@domain", "asks whether there is such a user"),
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


def next_example(phase: Phase, mail: str) -> str:
    """An example of the command that moves the session on; `mail` is the one of MAIL."""
    if phase is Phase.RECIPIENTS:
        # Who types "Subject: hello" here has forgotten DATA.
        return "DATA, and after it the message; or RCPT TO:<name@domain>"
    return _example(_FORWARD[phase][0], mail)


def overview(session: Session, allowed: Iterable[str], mail: str) -> list[str]:
    """Where the session stands, and an example of each command that is allowed now; `mail` is the one of MAIL."""
    offered = [verb for verb in COMMANDS if verb in set(allowed)]
    examples = [f"  {_example(verb, mail):<28} {COMMANDS[verb][1]}" for verb in offered]
    forward = " or ".join(_example(verb, mail) for verb in _FORWARD[session.phase])
    return [_standing(session), f"To go on: {forward}", "You may say:", *examples]


def command(verb: str) -> list[str]:
    """How one command is written and what it does."""
    example, purpose = COMMANDS[verb]
    return [f"{verb} {purpose}", f"Example: {example}"]


def _example(verb: str, mail: str) -> str:
    return mail if verb == "MAIL" else COMMANDS[verb][0]


def _standing(session: Session) -> str:
    mail = session.transaction
    if not session.hello:
        return "You have not greeted yet."
    if mail is None:
        return f"You are {shown(session.hello)}; no mail is under way."
    sender = f"A mail from <{shown(mail.sender)}> is under way"
    if not mail.recipients:
        return f"{sender}; it has no recipient yet."
    return f"{sender}, to {len(mail.recipients)} mailbox{'es' if len(mail.recipients) > 1 else ''} so far."
