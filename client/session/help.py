"""Help for whoever types a session, with the session's own names in it; no I/O.

Gives: `hint`, what helps after a refusal: by the enhanced code (RFC 3463) where the reply has one, else by the basic
one (RFC 5321 section 4.2.3), and by where the dialogue stands; `candidates`, the lines that one can become which is
not typed to its end.
Limits: addresses are those that the server has taken in this session; users are not asked for behind one's back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..language import Language, Phrase
from .smtp import ServerReply, verb_of
from .standing import VERBS, Reached, Standing

_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")

_LEAVING = Phrase(
    "the server closes the connection here; `correio` opens a new one.",
    "o servidor encerra a conexão aqui; `correio` abre outra.",
)
_OUR_TROUBLE = Phrase(
    "what you typed is right, but the server has trouble now; try the same again in a moment.",
    "o que você digitou está certo, mas o servidor está com problemas; repita daqui a pouco.",
)
_NEXT = Phrase("what may come now: {next}", "o que pode vir agora: {next}")
_FORM = Phrase("type it like this: {form}", "digite assim: {form}")
_TOO_MANY = Phrase(
    "go on with DATA for the recipients accepted so far, and send to the others in a next mail.",
    "siga com DATA para os destinatários já aceitos e envie aos outros em uma próxima mensagem.",
)

_BY_CODE: dict[str, Phrase] = {
    "500": _NEXT,
    "501": _FORM,
    "502": Phrase(
        "this server does not do that. What may come now: {next}", "este servidor não faz isso. Agora: {next}"
    ),
    "504": Phrase("HELP alone lists the commands.", "HELP sozinho lista os comandos."),
    "550": Phrase(
        "this mailbox does not exist here. postmaster exists on every server: RCPT TO:<postmaster>",
        "essa caixa postal não existe aqui. postmaster existe em todo servidor: RCPT TO:<postmaster>",
    ),
    "552": Phrase("the message is too big for this server.", "a mensagem é grande demais para este servidor."),
    "553": _FORM,
    "555": Phrase(
        "leave out what follows the address, or greet with EHLO first: {form}",
        "tire o que vem depois do endereço, ou cumprimente antes com EHLO: {form}",
    ),
    "4.5.3": _TOO_MANY,
    "5.1.3": Phrase(
        "an address is name@domain, in angle brackets: {form}",
        "um endereço é nome@domínio, entre < e >: {form}",
    ),
    "5.1.7": Phrase(
        "an address is name@domain, in angle brackets: {form}",
        "um endereço é nome@domínio, entre < e >: {form}",
    ),
    "5.1.8": Phrase(
        "after HELO {hello} the sender is someone of {hello}: {form}",
        "depois de HELO {hello} o remetente é alguém de {hello}: {form}",
    ),
    "5.6.7": Phrase(
        "letters beyond English ones need EHLO and: MAIL FROM:<address> SMTPUTF8",
        "letras com acento no endereço exigem EHLO e: MAIL FROM:<endereço> SMTPUTF8",
    ),
    "5.7.1": Phrase(
        "this server takes mail for its own users alone: {form}",
        "este servidor só recebe mensagens para os seus próprios usuários: {form}",
    ),
}
# 503 and 554 5.5.1: a command out of order, by what must come first.
_OUT_OF_ORDER: dict[Reached, Phrase] = {
    Reached.CONNECTED: Phrase("greet first: {next}", "cumprimente antes: {next}"),
    Reached.GREETED: Phrase("first the sender: {next}", "primeiro o remetente: {next}"),
    Reached.SENDER: Phrase("first a recipient: {next}", "primeiro um destinatário: {next}"),
    Reached.RECIPIENTS: Phrase(
        "a mail is under way: {next}, or drop it with RSET",
        "há uma mensagem em andamento: {next}, ou descarte-a com RSET",
    ),
}
_NESTED = Phrase(
    "a mail is under way already: {next}, or drop it with RSET",
    "já há uma mensagem em andamento: {next}, ou descarte-a com RSET",
)
_OR = Phrase(" or ", " ou ")


_KNOWN = Phrase("taken before", "já aceito")
_ALWAYS = Phrase("exists on every server", "existe em todo servidor")
_EXTENSION = Phrase("offered in EHLO's reply", "oferecido na resposta ao EHLO")
_YOURS = Phrase("your domain", "o seu domínio")
_SERVED = Phrase("a domain of the server", "um domínio do servidor")

_PATH = re.compile(r"(?P<begin>(?:MAIL +(?:FROM|TO)|RCPT +TO) *: *<?)(?P<address>[^<> ]*)", re.IGNORECASE)
_PARAMETER = re.compile(r"(?P<begin>MAIL +FROM *: *<[^<>]*>(?: +[^ ]+)* +)[^ ]*", re.IGNORECASE)
_NAME = re.compile(r"(?P<begin>(?:HELO|EHLO) +)[^ ]*", re.IGNORECASE)
_HELP = re.compile(r"(?P<begin>HELP +)[^ ]*", re.IGNORECASE)


def hint(standing: Standing, line: bytes, reply: ServerReply, language: Language) -> str:
    """What helps after this reply to this line; "" where there is nothing to say.

    :param standing: as the reply has left it.
    """
    if reply.code == 421:
        return _LEAVING.say(language)
    if reply.code < 400:
        return ""
    text = _hint_text(standing, line, reply)
    if text is None:
        return ""
    following = next_forms(standing, language)
    form = standing.form(verb_of(line).decode("ascii", "replace")) or following
    return text.say(language, next=following, form=form, hello=standing.hello)


def next_forms(standing: Standing, language: Language) -> str:
    """The forms of what takes the dialogue on, as one text."""
    return _OR.say(language).join(standing.form(verb) for verb in standing.forward)


def _hint_text(standing: Standing, line: bytes, reply: ServerReply) -> Phrase | None:
    found = _ENHANCED.match(reply.texts[-1])
    enhanced = found[0] if found else ""
    if reply.code == 503 or (reply.code, verb_of(line)) == (554, b"DATA"):
        if verb_of(line) == b"MAIL" and standing.reached is not Reached.CONNECTED:
            return _NESTED
        return _OUT_OF_ORDER.get(standing.reached)
    if enhanced in _BY_CODE:
        return _BY_CODE[enhanced]
    if reply.code < 500:
        return _OUR_TROUBLE
    if reply.code == 550 and verb_of(line) not in (b"RCPT", b"VRFY"):
        return None  # it is about the message, whose refusals are as many as there are servers
    return _BY_CODE.get(str(reply.code)) if standing.forward else None


def candidates(standing: Standing, text: str) -> Iterator[tuple[str, Phrase]]:
    """Whole lines that begin as `text` does, letter case aside, each with what it is; the likeliest first."""
    for line, what in _all(standing, text):
        if line.lower().startswith(text.lower()) and line != text:
            yield line, what


def _all(standing: Standing, text: str) -> Iterable[tuple[str, Phrase]]:
    if path := _PATH.fullmatch(text):
        return _addresses(standing, path["begin"], path["address"])
    if parameter := _PARAMETER.fullmatch(text):
        return [(parameter["begin"] + keyword, _EXTENSION) for keyword in _parameters(standing)]
    if name := _NAME.fullmatch(text):
        return [(name["begin"] + "example.org", VERBS["HELO"].what)]
    if word := _HELP.fullmatch(text):
        return [(word["begin"] + verb, what) for verb, (_, _, what) in VERBS.items()]
    return [(VERBS[verb].typed, VERBS[verb].what) for verb in standing.allowed]


def _addresses(standing: Standing, begin: str, address: str) -> Iterator[tuple[str, Phrase]]:
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
