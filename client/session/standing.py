"""Where a session stands as far as its client can tell, and what may come next (RFC 5321 section 4.1.4); no I/O.

Gives: `Standing`, which follows the exchanges, and from it the right form of each command with the session's own
names in it; `VERBS`, what a person has to know of each.
Limits: it believes the replies. A server of other habits (one that keeps a transaction after HELO, say) only makes
the suggestions worse.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from ..language import Phrase
from ..mail.address import AddressError, parse
from .smtp import END_OF_DATA, GREETING, ServerReply, extensions, verb_of


class Reached(Enum):
    """What the dialogue has reached."""

    CONNECTED = "connected"
    GREETED = "greeted"
    SENDER = "sender"
    RECIPIENTS = "recipients"
    MESSAGE = "message"


class VerbHelp(NamedTuple):
    """What is typed for a verb up to where one's own words begin, an example of these, and what it does."""

    typed: str
    rest: str
    what: Phrase


VERBS = {
    "HELO": VerbHelp("HELO ", "example.org", Phrase("greet with your mail domain", "cumprimentar com o seu domínio")),
    "EHLO": VerbHelp(
        "EHLO ",
        "host.example.org",
        Phrase("greet and list the extensions", "cumprimentar e listar as extensões"),
    ),
    "MAIL": VerbHelp("MAIL FROM:<", "you@{domain}>", Phrase("the sender", "o remetente")),
    "RCPT": VerbHelp("RCPT TO:<", "{recipient}>", Phrase("a recipient", "um destinatário")),
    "DATA": VerbHelp("DATA", "", Phrase("begin the message", "começar a mensagem")),
    "RSET": VerbHelp("RSET", "", Phrase("drop the mail under way", "descartar a mensagem em andamento")),
    "NOOP": VerbHelp("NOOP", "", Phrase("do nothing", "não fazer nada")),
    "VRFY": VerbHelp("VRFY ", "{recipient}", Phrase("ask for a user", "perguntar por um usuário")),
    "HELP": VerbHelp("HELP", "", Phrase("ask the server for help", "pedir ajuda ao servidor")),
    "QUIT": VerbHelp("QUIT", "", Phrase("end the session", "encerrar a sessão")),
}
# How many addresses are kept to be offered again; a person sends no more by hand.
_MAX_KNOWN = 50
_ADDRESS = re.compile(r":\s*<?([^<>\s]+@[^<>\s]+?)>?(?:\s|$)")


class Standing:
    """The session as its exchanges have left it.

    `hello` is the name that was given, `extended`: by EHLO, which `offered` these extensions; `recipients` counts
    those of the mail under way; `known` are the recipients that the server has taken. Its own name is kept nowhere:
    it need not have users there.
    """

    def __init__(self) -> None:
        self.reached = Reached.CONNECTED
        self.hello = ""
        self.extended = False
        self.offered: dict[str, str] = {}
        self.sender = ""
        self.recipients = 0
        self.known: list[str] = []

    def exchanged(self, line: bytes, reply: ServerReply) -> None:
        """`line` was sent and got this reply; GREETING stands for the server's first words."""
        text = line.decode("utf-8", "replace").strip()
        verb = verb_of(line).decode("ascii", "replace")
        if line == GREETING:
            return
        if self.reached is Reached.MESSAGE:
            if line == END_OF_DATA:
                self._no_mail()
        elif reply.code == 354:
            self.reached = Reached.MESSAGE
        elif reply.positive:
            self._accepted(verb, text, reply)

    def _accepted(self, verb: str, text: str, reply: ServerReply) -> None:
        if verb in ("HELO", "EHLO"):
            self.hello = text[4:].strip()
            self.extended = verb == "EHLO"
            self.offered = extensions(reply) if self.extended else {}
            self._no_mail()
        elif verb == "RSET":
            self._no_mail()
        elif verb == "MAIL":
            self.reached = Reached.SENDER
            self.recipients = 0
            self.sender = _address(text)
        elif verb == "RCPT":
            self.reached = Reached.RECIPIENTS
            self.recipients += 1
            address = _address(text)
            if address and address not in self.known:
                self.known = [*self.known, address][-_MAX_KNOWN:]

    def _no_mail(self) -> None:
        self.reached = Reached.GREETED if self.hello else Reached.CONNECTED
        self.sender, self.recipients = "", 0

    @property
    def sender_domain(self) -> str:
        """The domain that a sender's address has here: after HELO the one that was said, if it is one."""
        return self.hello if not self.extended and _is_domain(self.hello) else "example.org"

    @property
    def served(self) -> list[str]:
        """The domains of recipients that the server has taken, the latest first; postmaster is taken for any."""
        parts = [address.rpartition("@") for address in reversed(self.known)]
        return list(dict.fromkeys(domain for local, _, domain in parts if local.casefold() != "postmaster"))

    def form(self, verb: str) -> str:
        """The right form of a command, to be typed as it is or with another name in it; "" for an unknown one."""
        if verb not in VERBS:
            return ""
        recipient = f"name@{self.served[0]}" if self.served else "postmaster"
        return VERBS[verb].typed + VERBS[verb].rest.format(domain=self.sender_domain, recipient=recipient)

    @property
    def forward(self) -> tuple[str, ...]:
        """The verbs that take the dialogue on from here, the likeliest first."""
        return {
            Reached.CONNECTED: ("HELO", "EHLO"),
            Reached.GREETED: ("MAIL",),
            Reached.SENDER: ("RCPT",),
            Reached.RECIPIENTS: ("DATA", "RCPT"),
            Reached.MESSAGE: (),
        }[self.reached]

    @property
    def allowed(self) -> tuple[str, ...]:
        """All verbs that may come now, `forward` first."""
        if self.reached is Reached.MESSAGE:
            return ()
        drop = ("RSET",) if self.reached in (Reached.SENDER, Reached.RECIPIENTS) else ()
        verify = () if self.extended and "VRFY" not in self.offered else ("VRFY",)
        leave = ("QUIT",) if self.reached is Reached.GREETED else ()
        rest = ("HELP", *verify, "NOOP", "RSET", "HELO", "EHLO", "QUIT")
        return tuple(dict.fromkeys((*self.forward, *drop, *leave, *rest)))


def _address(text: str) -> str:
    found = _ADDRESS.search(text)
    return found[1] if found else ""


def _is_domain(name: str) -> bool:
    try:
        parse(f"you@{name}")
    except AddressError:
        return False
    return name.isascii()
