"""What the feed of a gateway tells (wire/SPEC.md, "The feed"): its events, which of them are wanted, and their look.

Gives: `parse`; `Gaps`, which sees by the numbers how many events were missed; `Chosen`, which lets pass what is asked
for; `Look`, which makes a line of an event. All of it is pure.
Fails: never; what is no event is None, and an event of a kind that is not known here has no line.
Limits: an address may be said late in a session, so `Chosen` keeps the lines before: `_KEPT` of each of `_SESSIONS`
sessions at most, the oldest go first.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from ..language import Language, Phrase, counted
from ..mail.ids import number_of, session_of, short
from ..pattern import found
from ..terminal import Paint, harmless_line

# The blank ends the version: without it this would be the beginning of a version 10 as well.
TOPIC = b"correio-feed/1 "
Event: TypeAlias = dict[str, Any]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_KEPT = 50
# An address needs microseconds; an expression that takes longer is one that may take years.
_SEARCH_SECONDS = 0.1
_SESSIONS = 1000
# MAIL FROM:<a@b>, RCPT TO:a@b, VRFY a@b: what follows the verb, its word and its bracket (RFC 5321 section 4.1.1).
_ADDRESS = re.compile(r"^(?:MAIL\s+FROM:|RCPT\s+TO:|VRFY\s)\s*<?([^<>\s]+)", re.IGNORECASE)

_EVENT = Phrase("event", "evento")
_MISSED = Phrase("… {missed} missed", "… sem {missed}")
_CONNECTED = Phrase("connection from {peer}", "conexão de {peer}")
_MESSAGE = Phrase("message, {size}", "mensagem, {size}")
_OCTET = Phrase("octet", "octeto")
_TOO_BIG = Phrase("too big", "grande demais")
_OF_UNKNOWN_SIZE = Phrase("of unknown size", "de tamanho desconhecido")
_DELIVERED = Phrase("= delivered {delivery}", "= entregue {delivery}")
_INJECTED = Phrase("! injected: {text}", "! provocada: {text}")
_CLOSED = Phrase("closed: {why}", "encerrada: {why}")


def parse(frames: Sequence[bytes]) -> Event | None:
    """One message of the feed; None if it is none."""
    if len(frames) != 1 or not frames[0].startswith(TOPIC):
        return None
    try:
        event = json.loads(frames[0][len(TOPIC) :])
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("seq"), int) else None


class Gaps:
    """Counts the events that were missed: each gateway process numbers its own, one by one."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def before(self, event: Event) -> int:
        """How many are missing between the last event of the same gateway and this one."""
        gateway, seq = str(event.get("gateway", "")), event["seq"]
        missing = seq - self._last[gateway] - 1 if gateway in self._last else 0
        # Of those that have ended nothing comes any more.
        self._last = {gateway: seq}
        return max(0, missing)


@dataclass(frozen=True, slots=True)
class WantedSessions:
    """What a session must be like; what is empty asks for nothing.

    `session` is its id, the short form of it, or the id of one of its deliveries. `address` is searched in the
    addresses that the client names.
    """

    session: str = ""
    peer: Network | None = None
    address: re.Pattern[str] | None = None


class Chosen:
    """Lets the events of those sessions pass that are wanted."""

    def __init__(self, wanted: WantedSessions) -> None:
        self._wanted = wanted
        self._ids = {wanted.session, session_of(wanted.session)} - {""}
        # The sessions that named such an address, and what is known of the others.
        self._named: dict[str, None] = {}
        self._kept: dict[str, deque[Event]] = {}

    def take(self, event: Event) -> list[Event]:
        """What is to be shown now: nothing, the event, or with it those of its session that came before."""
        session = str(event.get("session", ""))
        if not session or not self._fits(event, session):
            return []
        if self._wanted.address is None:
            return [event]
        over = event.get("event") == "closed"
        if session in self._named:
            if over:
                del self._named[session]
            return [event]
        if over:
            self._kept.pop(session, None)
            return []
        kept = self._kept.setdefault(session, deque(maxlen=_KEPT))
        kept.append(event)
        if self._names(event, self._wanted.address):
            self._named[session] = None
            _shorten(self._named)
            return list(self._kept.pop(session))
        _shorten(self._kept)
        return []

    def _fits(self, event: Event, session: str) -> bool:
        if self._ids and session not in self._ids and short(session) not in self._ids:
            return False
        if self._wanted.peer is None:
            return True
        try:
            return ipaddress.ip_address(str(event.get("peer"))) in self._wanted.peer
        except ValueError:
            return False

    def _names(self, event: Event, address: re.Pattern[str]) -> bool:
        said = _ADDRESS.match(str(event.get("text", ""))) if event.get("event") == "client" else None
        if said is None:
            return False
        try:
            return found(address, said[1], _SEARCH_SECONDS)
        except TimeoutError:  # it does not fit, and neither the terminal nor the feed waits for it
            return False


def _shorten(sessions: dict[str, Any]) -> None:
    if len(sessions) > _SESSIONS:
        del sessions[next(iter(sessions))]


class Look:
    """Events as lines for people.

    :param paint: whether and how they are coloured.
    :param language: that of our own words.
    """

    def __init__(self, paint: Paint, language: Language = Language.ENGLISH) -> None:
        self._paint = paint
        self._language = language

    def line(self, event: Event) -> str | None:
        """`12:00:00.000 9f3a-1 C: QUIT`; None for an event that is not known here."""
        said = self._said(event)
        if said is None:
            return None
        session = str(event.get("session", ""))
        named = self._paint.session(harmless_line(short(session)), number_of(session))
        return f"{self._paint.note(_clock(event.get('time')))} {named} {said}"

    def missed(self, count: int) -> str:
        missed = counted(count, _EVENT.say(self._language))
        return self._paint.hint(_MISSED.say(self._language, missed=missed))

    def _said(self, event: Event) -> str | None:
        kind, text = event.get("event"), harmless_line(str(event.get("text", "")))
        match kind:
            case "connected":
                return self._note(_CONNECTED, peer=event.get("peer"))
            case "client":
                return f"C: {text}"
            case "message":
                return f"C: ({_MESSAGE.say(self._language, size=self._size(event))})"
            case "server":
                return f"S: {self._paint.reply(text)}{self._served(event, text)}"
            case "delivered":
                return self._note(_DELIVERED, delivery=event.get("delivery"))
            case "injected":
                return self._paint.hint(_INJECTED.say(self._language, text=text))
            case "closed":
                return self._note(_CLOSED, why=event.get("why"))
        return None

    def _size(self, event: Event) -> str:
        octets = event.get("octets")
        if event.get("too_big"):
            return _TOO_BIG.say(self._language)
        return (
            counted(octets, _OCTET.say(self._language))
            if isinstance(octets, int)
            else _OF_UNKNOWN_SIZE.say(self._language)
        )

    def _note(self, text: Phrase, **values: object) -> str:
        return self._paint.note(
            text.say(self._language, **{name: harmless_line(str(value)) for name, value in values.items()})
        )

    def _served(self, event: Event, text: str) -> str:
        """Who served it and how long that took, behind the last line of a reply."""
        worker, ms = event.get("worker"), event.get("ms")
        if not worker or text[3:4] == "-":
            return ""
        took = f", {ms:.1f} ms" if isinstance(ms, int | float) else ""
        return self._paint.note(f"  [{harmless_line(str(worker))}{took}]")


def _clock(time: object) -> str:
    """The time of day here."""
    try:
        return datetime.fromisoformat(str(time)).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return "--:--:--.---"
