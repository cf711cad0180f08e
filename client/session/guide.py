"""What the client adds to a session for the one who learns by it: colours, hints, explanations, and a transcript.

Gives: `Guide`, which is told every line and reply and gives the text to show for it; what `--lang`, `--color`,
`--hints`, `--explain` and `--save` ask for is decided by whoever makes one. As it is by default it adds nothing.
`taken_apart` finds in a reply what a server tells of its own work: the lines that XEXPLAIN ON adds to each reply of
Correio. They end the reply, one line `XEXPLAIN worker NAME step N` and then one per change, `XEXPLAIN name: before ->
after`. A reply without them is left as it is. `in_words` says them for a person.
Fails: nothing in it ends a session; a transcript that cannot be written any more is reported once.
Limits: a reply is shown as the server sent it, with what could act on the terminal made visible; all that the guide
adds stands on lines of its own. Only the lines of an explanation that it asked for itself are shown in other words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..language import Language, Phrase, number
from ..terminal import Paint, harmless_text
from .connection import ServerError
from .help import hint, next_forms
from .smtp import GREETING, Expects, ServerReply
from .standing import Reached, Standing
from .transcript import TranscriptWriter

NOT_EXPLAINED = Phrase(
    "This server does not explain its work, only times are shown. Correio does when started with: make up EXPLAIN=on",
    "Este servidor não explica o seu trabalho; só os tempos aparecem. O Correio explica com: make up EXPLAIN=on",
)
NOT_DELIVERED = Phrase(
    "The message was not ended with a single dot, so it is not delivered.",
    "A mensagem não foi encerrada com um ponto sozinho, por isso não é entregue.",
)
NOT_RECORDED = Phrase("The session is not saved any more: {why}", "A sessão não está mais sendo salva: {why}")

_STANDS = {
    Reached.CONNECTED: Phrase("connected, not greeted yet", "conectado, falta cumprimentar"),
    Reached.GREETED: Phrase("greeted as {hello}", "cumprimentado como {hello}"),
    Reached.SENDER: Phrase("mail from {sender}", "mensagem de {sender}"),
    Reached.RECIPIENTS: Phrase(
        "mail from {sender}, recipients: {recipients}", "mensagem de {sender}, para {recipients}"
    ),
    Reached.MESSAGE: Phrase("in the message", "na mensagem"),
}
_NEXT = Phrase("next: {next}", "agora: {next}")
_KEYS = Phrase("Tab completes", "Tab completa")
_ANSWER = Phrase("the server asks a question; * alone gives up", "o servidor faz uma pergunta; * sozinho desiste")
_IN_MESSAGE = Phrase(
    "Enter: new line, arrows: go back and correct | send: a single dot on a line | Ctrl-C: clear, leave",
    "Enter: nova linha, setas: voltar e corrigir | enviar: um ponto sozinho na linha | Ctrl-C: limpar, sair",
)
_HINT = Phrase("hint: {text}", "dica: {text}")
# What one name may take of the status line, and what the forms with names in them may.
_CLIPPED = 40
_CLIPPED_FORMS = 60


class Guide:
    """One session's guide; `standing` is what it knows of the session, `language` and `paint` how it speaks."""

    def __init__(
        self,
        language: Language = Language.ENGLISH,
        paint: Paint = Paint(),  # noqa: B008 - a frozen value
        *,
        hints: bool = False,
        explain: bool = False,
        transcript: TranscriptWriter | None = None,
    ) -> None:
        self.language = language
        self.paint = paint
        self.standing = Standing()
        self.explain = explain
        self._hints = hints
        self._transcript = transcript
        self._trouble_told = False
        self._asking = False

    def asks(self) -> bytes | None:
        """What the guide has to say to the server itself once the session is open, or None."""
        self._asking = self.explain
        return EXPLAIN_REQUEST if self.explain else None

    def said(self, line: bytes, expects: Expects) -> None:
        """A line was sent."""
        if self._transcript and not self._asking:
            self._transcript.said(line, expects)

    def heard(self, line: bytes | None, reply: ServerReply, seconds: float) -> str:
        """A reply came to this line (GREETING: to none, None: unasked) after so long; gives what to show, or ""."""
        about: Explanation | None = None
        if self.explain:
            reply, about = taken_apart(reply)
        if self._asking and line == EXPLAIN_REQUEST:
            self._asking = False
            if reply.code != 421:
                return "" if reply.positive else self.note(NOT_EXPLAINED)
        if line is not None:
            self.standing.exchanged(line, reply)
        if self._transcript:
            self._transcript.heard(reply)
        shown = [self.paint.reply(harmless_text(str(reply)))]
        shown += self._explained(line, about, seconds)
        shown += self._hint(line or b"", reply)
        return "\n".join([*shown, *self._trouble()])

    def _explained(self, line: bytes | None, about: Explanation | None, seconds: float) -> list[str]:
        if not self.explain or line is None or line == GREETING:
            return []
        who, *changes = in_words(about, seconds, self.language)
        lines = [f"  = {who}", *(f"    {change}" for change in changes)]
        return [self.paint.note(harmless_text(each)) for each in lines]

    def _hint(self, line: bytes, reply: ServerReply) -> list[str]:
        text = hint(self.standing, line, reply, self.language) if self._hints else ""
        return [self.paint.hint(harmless_text(f"  {_HINT.say(self.language, text=text)}"))] if text else []

    def _trouble(self) -> list[str]:
        if self._transcript and self._transcript.trouble and not self._trouble_told:
            self._trouble_told = True
            return [self.note(NOT_RECORDED, why=self._transcript.trouble)]
        return []

    def note(self, text: Phrase, **values: object) -> str:
        """Something about the session or the client, to be shown by itself."""
        return self._aside(text.say(self.language, **values))

    def _aside(self, text: str) -> str:
        return self.paint.note(harmless_text(f"({text})"))

    def lost(self, how: ServerError) -> str:
        """What to show when the connection is lost."""
        if self._transcript:
            self._transcript.closed()
        return self._aside(how.in_language(self.language).message)

    def over(self, *, closed: bool) -> None:
        """The session is over; `closed`: the server has said so, else the client leaves."""
        if self._transcript:
            if closed:
                self._transcript.closed()
            else:
                self._transcript.left()

    def status(self, expects: Expects) -> str:
        """One line: where the dialogue stands and what may come next."""
        if expects is Expects.RESPONSE:
            return _ANSWER.say(self.language)
        standing = self.standing
        if expects is Expects.MESSAGE:
            return _IN_MESSAGE.say(self.language)
        stands = _STANDS[standing.reached].say(
            self.language,
            hello=standing.hello[:_CLIPPED],
            sender=f"<{standing.sender[:_CLIPPED]}>",
            recipients=standing.recipients,
        )
        following = _NEXT.say(self.language, next=next_forms(standing, self.language)[:_CLIPPED_FORMS])
        return " | ".join([stands, following, _KEYS.say(self.language)])


EXPLAIN_REQUEST = b"XEXPLAIN ON"

_LINE = re.compile(r"(?:[245]\.[0-9]{1,3}\.[0-9]{1,3} )?XEXPLAIN (?P<told>.+)")
_WORKER = re.compile(r"worker (?P<worker>\S+) step (?P<step>[0-9]+)")

_BY_WORKER = Phrase("worker {worker}, step {step}, {time} ms", "worker {worker}, passo {step}, {time} ms")
_TIME_ALONE = Phrase("{time} ms", "{time} ms")
_NO_CHANGE = Phrase("the session stays as it was", "a sessão fica como estava")
# The fields of the session by the server's names for them.
_FIELDS = {
    "phase": Phrase("phase", "fase"),
    "hello": Phrase("greeting", "saudação"),
    "sender": Phrase("sender", "remetente"),
    "recipients": Phrase("recipients", "destinatários"),
    "delivery": Phrase("delivery id", "id da entrega"),
    "errors": Phrase("errors", "erros"),
}
_VALUES = {
    "connected": Phrase("connected", "conectado"),
    "greeted": Phrase("greeted", "cumprimentado"),
    "sender": Phrase("sender", "remetente"),
    "recipients": Phrase("recipients", "destinatários"),
    "message": Phrase("message", "mensagem"),
    "(none)": Phrase("(none)", "(nada)"),
}
_ARROW = " -> "


@dataclass(frozen=True, slots=True)
class Explanation:
    """Who served a line, in which step of the session, and what that changed: field, before, after."""

    worker: str
    step: str
    changes: tuple[tuple[str, str, str], ...]


def taken_apart(reply: ServerReply) -> tuple[ServerReply, Explanation | None]:
    """The reply without its explanation, and the explanation if it has one."""
    lines = [_LINE.fullmatch(text) for text in reply.texts]
    for first, line in enumerate(lines):
        who = _WORKER.fullmatch(line["told"]) if line else None
        if who and first:
            told = (each["told"] for each in lines[first + 1 :] if each)
            return replace(reply, texts=reply.texts[:first]), Explanation(
                who["worker"], who["step"], tuple(map(_change, told))
            )
    return reply, None


def _change(told: str) -> tuple[str, str, str]:
    name, _, values = told.partition(": ")
    before, _, after = values.partition(_ARROW)
    return name, before, after


def in_words(explanation: Explanation | None, seconds: float, language: Language) -> list[str]:
    """The explanation in words, a line each.

    :param seconds: from the line's sending to its reply.
    """
    time = number(seconds * 1000, language)
    if explanation is None:
        return [_TIME_ALONE.say(language, time=time)]
    who = _BY_WORKER.say(language, worker=explanation.worker, step=explanation.step, time=time)
    changes = [_changed(*change, language) for change in explanation.changes]
    return [who, *(changes or [_NO_CHANGE.say(language)])]


def _changed(name: str, before: str, after: str, language: Language) -> str:
    values = _ARROW.join(_value(name, value, language) for value in (before, after))
    return f"{_in_language(_FIELDS, name, language)}: {values}"


def _value(name: str, value: str, language: Language) -> str:
    # Only the words of the protocol's own, never a name that happens to be one of them.
    return _in_language(_VALUES, value, language) if name == "phase" or value == "(none)" else value


def _in_language(words: dict[str, Phrase], name: str, language: Language) -> str:
    return words[name].say(language) if name in words else name
