"""What a server tells of its own work: the lines that XEXPLAIN ON adds to each reply of Correio; no I/O.

Gives: `REQUEST`, which asks for them; `split`, which takes them out of a reply; `told`, which says them in words.
Limits: they end a reply, one line `XEXPLAIN worker NAME step N` and then one per change, `XEXPLAIN name: before ->
after`. A reply without them is left as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..language import Language, Text, number
from .smtp import Reply

REQUEST = b"XEXPLAIN ON"

_LINE = re.compile(r"(?:[245]\.[0-9]{1,3}\.[0-9]{1,3} )?XEXPLAIN (?P<told>.+)")
_WORKER = re.compile(r"worker (?P<worker>\S+) step (?P<step>[0-9]+)")

_BY_WORKER = Text("worker {worker}, step {step}, {time} ms", "worker {worker}, passo {step}, {time} ms")
_TIME_ALONE = Text("{time} ms", "{time} ms")
_NO_CHANGE = Text("the session stays as it was", "a sessão fica como estava")
# The fields of the session by the server's names for them.
_FIELDS = {
    "phase": Text("phase", "fase"),
    "hello": Text("greeting", "saudação"),
    "sender": Text("sender", "remetente"),
    "recipients": Text("recipients", "destinatários"),
    "delivery": Text("delivery id", "id da entrega"),
    "errors": Text("errors", "erros"),
}
_VALUES = {
    "connected": Text("connected", "conectado"),
    "greeted": Text("greeted", "cumprimentado"),
    "sender": Text("sender", "remetente"),
    "recipients": Text("recipients", "destinatários"),
    "message": Text("message", "mensagem"),
    "(none)": Text("(none)", "(nada)"),
}
_ARROW = " -> "


@dataclass(frozen=True, slots=True)
class Explanation:
    """Who served a line, in which step of the session, and what that changed: field, before, after."""

    worker: str
    step: str
    changes: tuple[tuple[str, str, str], ...]


def split(reply: Reply) -> tuple[Reply, Explanation | None]:
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


def told(explanation: Explanation | None, seconds: float, language: Language) -> list[str]:
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
    return f"{_in_words(_FIELDS, name, language)}: {values}"


def _value(name: str, value: str, language: Language) -> str:
    # Only the words of the protocol's own, never a name that happens to be one of them.
    return _in_words(_VALUES, value, language) if name == "phase" or value == "(none)" else value


def _in_words(words: dict[str, Text], name: str, language: Language) -> str:
    return words[name].say(language) if name in words else name
