"""What the client adds to a session for the one who learns by it: colours, hints, explanations, and a record.

Gives: `Guide`, which is told every line and reply and gives the text to show for it; what `--lang`, `--color`,
`--hints`, `--explain` and `--save` ask for is decided by whoever makes one. As it is by default it adds nothing.
Fails: nothing in it ends a session; a record that cannot be written any more is reported once.
Limits: a reply is shown as the server sent it, with what could act on the terminal made visible; all that the guide
adds stands on lines of its own. Only the lines of an explanation that it asked for itself are shown in other words.
"""

from __future__ import annotations

from ..language import Language, Text
from ..terminal import Paint, harmless_text
from . import explanation
from .connection import ServerError
from .hints import hint, next_forms
from .record import Record
from .smtp import GREETING, Expects, Reply
from .standing import Stage, Standing

NOT_EXPLAINED = Text(
    "This server does not explain its work, only times are shown. Correio does when started with: make up EXPLAIN=on",
    "Este servidor não explica o seu trabalho; só os tempos aparecem. O Correio explica com: make up EXPLAIN=on",
)
NOT_DELIVERED = Text(
    "The message was not ended with a single dot, so it is not delivered.",
    "A mensagem não foi encerrada com um ponto sozinho, por isso não é entregue.",
)
NOT_RECORDED = Text("The session is not saved any more: {why}", "A sessão não está mais sendo salva: {why}")

_STANDS = {
    Stage.CONNECTED: Text("connected, not greeted yet", "conectado, falta cumprimentar"),
    Stage.GREETED: Text("greeted as {hello}", "cumprimentado como {hello}"),
    Stage.SENDER: Text("mail from {sender}", "mensagem de {sender}"),
    Stage.RECIPIENTS: Text("mail from {sender}, recipients: {recipients}", "mensagem de {sender}, para {recipients}"),
    Stage.MESSAGE: Text("in the message", "na mensagem"),
}
_NEXT = Text("next: {next}", "agora: {next}")
_KEYS = Text("Tab completes", "Tab completa")
_ANSWER = Text("the server asks a question; * alone gives up", "o servidor faz uma pergunta; * sozinho desiste")
_IN_MESSAGE = Text(
    "Enter: new line, arrows: go back and correct | send: a single dot on a line | Ctrl-C: clear, leave",
    "Enter: nova linha, setas: voltar e corrigir | enviar: um ponto sozinho na linha | Ctrl-C: limpar, sair",
)
_HINT = Text("hint: {text}", "dica: {text}")
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
        record: Record | None = None,
    ) -> None:
        self.language = language
        self.paint = paint
        self.standing = Standing()
        self.explain = explain
        self._hints = hints
        self._record = record
        self._trouble_told = False
        self._asking = False

    def asks(self) -> bytes | None:
        """What the guide has to say to the server itself once the session is open, or None."""
        self._asking = self.explain
        return explanation.REQUEST if self.explain else None

    def said(self, line: bytes, expects: Expects) -> None:
        """A line was sent."""
        if self._record and not self._asking:
            self._record.said(line, expects)

    def heard(self, line: bytes | None, reply: Reply, seconds: float) -> str:
        """A reply came to this line (GREETING: to none, None: unasked) after so long; gives what to show, or ""."""
        about: explanation.Explanation | None = None
        if self.explain:
            reply, about = explanation.split(reply)
        if self._asking and line == explanation.REQUEST:
            self._asking = False
            if reply.code != 421:
                return "" if reply.positive else self.note(NOT_EXPLAINED)
        if line is not None:
            self.standing.exchanged(line, reply)
        if self._record:
            self._record.heard(reply)
        shown = [self.paint.reply(harmless_text(str(reply)))]
        shown += self._explained(line, about, seconds)
        shown += self._hint(line or b"", reply)
        return "\n".join([*shown, *self._trouble()])

    def _explained(self, line: bytes | None, about: explanation.Explanation | None, seconds: float) -> list[str]:
        if not self.explain or line is None or line == GREETING:
            return []
        who, *changes = explanation.told(about, seconds, self.language)
        lines = [f"  = {who}", *(f"    {change}" for change in changes)]
        return [self.paint.note(harmless_text(each)) for each in lines]

    def _hint(self, line: bytes, reply: Reply) -> list[str]:
        text = hint(self.standing, line, reply, self.language) if self._hints else ""
        return [self.paint.hint(harmless_text(f"  {_HINT.say(self.language, text=text)}"))] if text else []

    def _trouble(self) -> list[str]:
        if self._record and self._record.trouble and not self._trouble_told:
            self._trouble_told = True
            return [self.note(NOT_RECORDED, why=self._record.trouble)]
        return []

    def note(self, text: Text, **values: object) -> str:
        """Something about the session or the client, to be shown by itself."""
        return self._aside(text.say(self.language, **values))

    def _aside(self, text: str) -> str:
        return self.paint.note(harmless_text(f"({text})"))

    def lost(self, how: ServerError) -> str:
        """What to show when the connection is lost."""
        if self._record:
            self._record.closed()
        return self._aside(how.in_language(self.language).message)

    def over(self, *, closed: bool) -> None:
        """The session is over; `closed`: the server has said so, else the client leaves."""
        if self._record:
            if closed:
                self._record.closed()
            else:
                self._record.left()

    def status(self, expects: Expects) -> str:
        """One line: where the dialogue stands and what may come next."""
        if expects is Expects.RESPONSE:
            return _ANSWER.say(self.language)
        standing = self.standing
        if expects is Expects.MESSAGE:
            return _IN_MESSAGE.say(self.language)
        stands = _STANDS[standing.stage].say(
            self.language,
            hello=standing.hello[:_CLIPPED],
            sender=f"<{standing.sender[:_CLIPPED]}>",
            recipients=standing.recipients,
        )
        following = _NEXT.say(self.language, next=next_forms(standing, self.language)[:_CLIPPED_FORMS])
        return " | ".join([stands, following, _KEYS.say(self.language)])
