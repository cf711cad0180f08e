"""The wire contract as one table: each kind of message, its class, and the rule of each of its fields.

A rule is written once, as an expression: `codec.py` builds it into the code that takes a message apart, and into the
words that say which field of a bad one broke it. `SPEC.md` says the same for people.
"""

from __future__ import annotations

from typing import Any

from wire import limits, messages, outcomes
from wire.records import record


@record
class Plain:
    """A field that is what msgpack makes of it.

    `fits` is a Python expression that is true of a good value, which it calls `{0}`; `rule` says it in words, as in
    "must be a whole number". Names in it are those of this module.
    """

    fits: str
    rule: str


@record
class Piece:
    """A field whose octets are a frame of their own; the envelope has the frame's index."""


@record
class Union:
    """A field that is itself an array of a kind and its fields: one of these kinds."""

    kinds: frozenset[str]


def lines_fit(lines: Any) -> bool:
    """Are these the lines of a `Lines`?"""
    if type(lines) is not tuple or not 0 < len(lines) <= limits.MAX_LINES:
        return False
    for line in lines:  # noqa: SIM110  # a generator for all() costs more than a line or two
        if line is not None and (type(line) is not bytes or len(line) > limits.MAX_LINE):
            return False
    return True


def texts_fit(texts: Any, most: int) -> bool:
    """Are these texts of 1 to `most` characters?"""
    if type(texts) is not tuple:
        return False
    for text in texts:  # noqa: SIM110  # as above
        if type(text) is not str or not 0 < len(text) <= most:
            return False
    return True


def _text(least: int, most: int) -> Plain:
    return Plain(
        f"type({{0}}) is str and {least} <= len({{0}}) <= {most}", f"must be text of {least} to {most} characters"
    )


def _octets(most: int) -> Plain:
    return Plain(f"type({{0}}) is bytes and len({{0}}) <= {most}", f"must be at most {most} octets")


def _one_of(*allowed: str) -> Plain:
    return Plain(f"{{0}} in {allowed}", f"must be one of {', '.join(sorted(allowed))}")


_uint = Plain("type({0}) is int and {0} >= 0", "must be a whole number, 0 or more")
_flag = Plain("type({0}) is bool", "must be true or false")
_id = _text(1, limits.MAX_ID)
_name = _text(1, limits.MAX_TEXT)
_any_text = _text(0, limits.MAX_TEXT)
_lines = Plain(
    "lines_fit({0})", f"must be 1 to {limits.MAX_LINES} lines, each nil or octets, {limits.MAX_LINE} of them at most"
)
_sessions = Plain(
    f"{{0}} is None or texts_fit({{0}}, {limits.MAX_ID})",
    f"must be nil or session ids of at most {limits.MAX_ID} characters",
)
_mailboxes = Plain(
    f"texts_fit({{0}}, {limits.MAX_TEXT}) and 0 < len({{0}}) <= {limits.MAX_RECIPIENTS}",
    f"must be 1 to {limits.MAX_RECIPIENTS} mailbox names of 1 to {limits.MAX_TEXT} characters",
)
_more_lines = Plain("{0} == () or lines_fit({0})", f"must be at most {limits.MAX_LINES} lines")
_piece = Piece()

_INPUTS = Union(frozenset({"connected", "lines", "body", "disconnected"}))
_AFTER_ALL = frozenset({"read-lines", "read-body", "close"})
_NEXTS = Union(_AFTER_ALL | {"injected"})
_QUESTIONS = Union(frozenset({"lookup", "check", "stage", "deliver", "discard"}))
_OUTCOMES = Union(
    frozenset(
        {
            "found",
            "no-user",
            "not-ours",
            "writable",
            "unwritable",
            "staged",
            "delivered",
            "discarded",
            "failed",
        }
    )
)

Field = Plain | Piece | Union

# Kind → class, and the rule of each field in the order of the class.
SCHEMA: dict[str, tuple[type[Any], tuple[Field, ...]]] = {
    "step": (messages.Step, (_id, _uint, _uint, _octets(limits.MAX_STATE), _INPUTS, _any_text)),
    "connected": (messages.Connected, (_name,)),
    "lines": (messages.Lines, (_lines,)),
    "body": (messages.Body, (_piece, _uint, _flag, _flag, _flag, _more_lines)),
    "disconnected": (messages.Disconnected, ()),
    "done": (
        messages.StepDone,
        (_id, _uint, _uint, _octets(limits.MAX_STATE), _octets(limits.MAX_REPLIES), _NEXTS, _flag),
    ),
    "read-lines": (messages.ReadLines, ()),
    "read-body": (messages.ReadBody, (_uint,)),
    "close": (messages.Close, ()),
    "injected": (messages.Injected, (_uint, _name, Union(_AFTER_ALL))),
    "refused": (messages.StepRefused, (_id, _uint, _one_of("draining", "state"))),
    "alive": (messages.WorkerAlive, (_name, _uint, _flag, _sessions, _octets(limits.MAX_LINE))),
    "gone": (messages.WorkerGone, ()),
    "ask": (messages.Ask, (_uint, _uint, _QUESTIONS)),
    "lookup": (messages.Lookup, (_name, _any_text)),
    "check": (messages.Check, (_mailboxes,)),
    "stage": (messages.Stage, (_id, _uint, _piece)),
    "deliver": (
        messages.Deliver,
        (_id, _uint, _any_text, _mailboxes, _octets(limits.MAX_TRACE), _uint, _piece),
    ),
    "discard": (messages.Discard, (_id,)),
    "ping": (messages.Ping, ()),
    "answer": (messages.Answer, (_uint, _OUTCOMES)),
    "found": (outcomes.Found, (_name, _flag)),
    "no-user": (outcomes.NoSuchUser, ()),
    "not-ours": (outcomes.NotOurDomain, ()),
    "writable": (outcomes.Writable, ()),
    "unwritable": (outcomes.Unwritable, (_name, _any_text)),
    "staged": (outcomes.Staged, (_uint,)),
    "delivered": (outcomes.Delivered, (_flag,)),
    "discarded": (outcomes.Discarded, ()),
    "failed": (outcomes.Failed, (_one_of(*outcomes.FAILURES), _any_text)),
    "pong": (messages.Pong, (_name,)),
}
# What may stand in an envelope by itself.
MESSAGES = Union(frozenset({"step", "done", "refused", "alive", "gone", "ask", "answer", "ping", "pong"}))
