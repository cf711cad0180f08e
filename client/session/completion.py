"""What the Tab key offers at the command prompt: verbs and forms that may come now, with names of this session.

Gives: `candidates`, which is pure, and `CommandCompleter`, which shows them to prompt_toolkit.
Limits: addresses are those that the server has taken in this session; users are not asked for behind one's back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from ..language import Language, Text
from .standing import Standing

# Each verb: what is typed for it up to where one's own words begin, and what it does.
_VERBS: dict[str, tuple[str, Text]] = {
    "HELO": ("HELO ", Text("greet with your mail domain", "cumprimentar com o seu domínio")),
    "EHLO": ("EHLO ", Text("greet and list the extensions", "cumprimentar e listar as extensões")),
    "MAIL": ("MAIL FROM:<", Text("the sender", "o remetente")),
    "RCPT": ("RCPT TO:<", Text("a recipient", "um destinatário")),
    "DATA": ("DATA", Text("begin the message", "começar a mensagem")),
    "RSET": ("RSET", Text("drop the mail under way", "descartar a mensagem em andamento")),
    "NOOP": ("NOOP", Text("do nothing", "não fazer nada")),
    "VRFY": ("VRFY ", Text("ask for a user", "perguntar por um usuário")),
    "HELP": ("HELP", Text("ask the server for help", "pedir ajuda ao servidor")),
    "QUIT": ("QUIT", Text("end the session", "encerrar a sessão")),
}
_KNOWN = Text("taken before", "já aceito")
_ALWAYS = Text("exists on every server", "existe em todo servidor")
_EXTENSION = Text("offered in EHLO's reply", "oferecido na resposta ao EHLO")
_YOURS = Text("your domain", "o seu domínio")
_SERVED = Text("a domain of the server", "um domínio do servidor")

_PATH = re.compile(r"(?P<begin>(?:MAIL +(?:FROM|TO)|RCPT +TO) *: *<?)(?P<address>[^<> ]*)", re.IGNORECASE)
_PARAMETER = re.compile(r"(?P<begin>MAIL +FROM *: *<[^<>]*>(?: +[^ ]+)* +)[^ ]*", re.IGNORECASE)
_NAME = re.compile(r"(?P<begin>(?:HELO|EHLO) +)[^ ]*", re.IGNORECASE)
_HELP = re.compile(r"(?P<begin>HELP +)[^ ]*", re.IGNORECASE)


def candidates(standing: Standing, text: str) -> Iterator[tuple[str, Text]]:
    """Whole lines that begin as `text` does, letter case aside, each with what it is; the likeliest first."""
    for line, what in _all(standing, text):
        if line.lower().startswith(text.lower()) and line != text:
            yield line, what


def _all(standing: Standing, text: str) -> Iterable[tuple[str, Text]]:
    if path := _PATH.fullmatch(text):
        return _addresses(standing, path["begin"], path["address"])
    if parameter := _PARAMETER.fullmatch(text):
        return [(parameter["begin"] + keyword, _EXTENSION) for keyword in _parameters(standing)]
    if name := _NAME.fullmatch(text):
        return [(name["begin"] + "example.org", _VERBS["HELO"][1])]
    if word := _HELP.fullmatch(text):
        return [(word["begin"] + verb, what) for verb, (_, what) in _VERBS.items()]
    return [_VERBS[verb] for verb in standing.allowed]


def _addresses(standing: Standing, begin: str, address: str) -> Iterator[tuple[str, Text]]:
    if begin[:4].upper() == "MAIL":
        domains = [(standing.sender_domain, _YOURS)]
        if address == "":
            yield f"{begin}you@{standing.sender_domain}>", _YOURS
    else:
        domains = [(domain, _SERVED) for domain in standing.served]
        yield from ((f"{begin}{known}>", _KNOWN) for known in standing.known)
        if "@" not in address:
            yield f"{begin}postmaster>", _ALWAYS
    local, at, _ = address.rpartition("@")
    if at:
        for domain, what in domains:
            yield f"{begin}{local}@{domain}>", what


def _parameters(standing: Standing) -> Iterator[str]:
    for keyword, typed in (("SIZE", "SIZE="), ("8BITMIME", "BODY=8BITMIME"), ("SMTPUTF8", "SMTPUTF8")):
        if keyword in standing.offered:
            yield typed


class CommandCompleter(Completer):
    """`candidates` for a prompt."""

    def __init__(self, standing: Standing, language: Language) -> None:
        self._standing = standing
        self._language = language

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """The lines that the one typed so far can become."""
        text = document.text_before_cursor
        for line, what in candidates(self._standing, text):
            yield Completion(line, start_position=-len(text), display_meta=what.say(self._language))
