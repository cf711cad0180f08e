"""What shall go wrong and when, as people write it: in a recipient's address, or as rules.

    word      = action ["-at-" stage]             in a local part or behind its "+"; the stage is rcpt if none is said
                                                  fail-452-4.2.2   ana+delay-5s-at-data   drop-at-250
    rule      = "at" stage *condition action      one a line, or several with ";" between; "#" begins a comment
                                                  at rcpt to ana@* nth 2 fail 452 4.2.2 Mailbox full
    condition = "from" pattern / "to" pattern     shell patterns for addresses: * ? [abc]; letter case does not count
              / "nth" n                           the n-th time in a session that all the other conditions hold
              / "connection" n                    the n-th connection since the gateway started
              / "chance" p                        0 to 1
    action    = "fail" code [enhanced] [text] / "delay" time / "drop"       time: 5s, 0.5s, 200ms

Stages are the commands (helo, which is EHLO too, mail, rcpt, data, rset, noop, vrfy, help, quit), and connect: the
greeting; end: the final dot, before anything is stored; 250: after it is stored, so that the client does not hear of
it. A word has the stages from rcpt on.

Gives: `word`, `parse`. Fails: `RuleError` says which rule and what is wrong with it; a word that is none is None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from session_worker.dialogue.verbs import LISTED
from wire.records import Record, replace

# Longer than any client's time limit (RFC 5321 section 4.5.3.2.6: ten minutes).
MAX_DELAY_MS = 15 * 60 * 1000
# EHLO is a helo.
COMMANDS = tuple(name.lower() for name in LISTED if name != "EHLO")
STAGES = ("connect", *COMMANDS, "end", "250")
# Stages at which a recipient is known.
_OF_RECIPIENTS = ("rcpt", "data", "end", "250")
_OF_SENDERS = ("mail", *_OF_RECIPIENTS)

_CODE = re.compile(r"[45][0-9][0-9]")
# RFC 3463 section 2: class "." subject "." detail.
_ENHANCED = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")
_TIME = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s)")
_WORD = re.compile(r"(fail|delay|drop)(?:-([0-9.]+m?s?))?(?:-([0-9.]+))?(?:-at-(rcpt|data|end|250))?")


class RuleError(ValueError):
    """A rule breaks the grammar; the text names the rule by its number and says what is wrong."""


class Fail(Record):
    """Reply with this code; `text` is "" for one that says what was injected."""

    code: int
    enhanced: str
    text: str = ""

    def __str__(self) -> str:
        return f"fail {self.code} {self.enhanced}"


class Delay(Record):
    """Reply so many milliseconds later."""

    milliseconds: int

    def __str__(self) -> str:
        return f"delay {self.milliseconds} ms"


class Drop(Record):
    """Close the connection without a reply."""

    def __str__(self) -> str:
        return "drop"


Action: TypeAlias = Fail | Delay | Drop


class Rule(Record):
    """When (`stage` and conditions; "" and 0 hold always), and what."""

    stage: str
    action: Action
    sender: str = ""
    recipient: str = ""
    nth: int = 0
    connection: int = 0
    chance: float = 1.0

    def __str__(self) -> str:
        return f"{self.action} at {self.stage}"


def word(local: str) -> Rule | None:
    """The rule that a local part, or what stands behind its first "+", is the word of; None where it is none."""
    base, _, tag = local.lower().partition("+")
    found = _WORD.fullmatch(tag or base)
    if found is None:
        return None
    kind, first, second, stage = found.groups()
    arguments = [argument for argument in (first, second) if argument is not None]
    try:
        action = _ACTIONS[kind](arguments)
        return _checked(Rule(stage or "rcpt", action))
    except RuleError:
        return None


def parse(text: str) -> tuple[Rule, ...]:
    """The rules of a text.

    :raises RuleError: for the first that is none.
    """
    lines = (line.partition("#")[0] for line in text.replace(";", "\n").splitlines())
    rules = []
    for number, line in enumerate((line.split() for line in lines if line.strip()), 1):
        try:
            rules.append(_checked(_rule(line)))
        except RuleError as error:
            raise RuleError(f'rule {number}, "{" ".join(line)}": {error}') from None
    return tuple(rules)


def _rule(words: list[str]) -> Rule:
    if len(words) < 2 or words[0] != "at" or words[1] not in STAGES:
        raise RuleError(f'begins with "at" and one of {", ".join(STAGES)}')
    rule = Rule(words[1], Drop())
    rest = words[2:]
    while rest and rest[0] in _CONDITIONS:
        if len(rest) < 2:
            raise RuleError(f'"{rest[0]}" needs a value')
        rule = _CONDITIONS[rest[0]](rule, rest[1])
        rest = rest[2:]
    if not rest or rest[0] not in _ACTIONS:
        if not rest:
            raise RuleError(f"there is no action: {', '.join(_ACTIONS)}")
        raise RuleError(
            f'"{rest[0]}" is neither a condition ({", ".join(_CONDITIONS)}) nor an action ({", ".join(_ACTIONS)})'
        )
    return replace(rule, action=_ACTIONS[rest[0]](rest[1:]))


def _checked(rule: Rule) -> Rule:
    if rule.recipient and rule.stage not in _OF_RECIPIENTS:
        raise RuleError(f'"to" has no meaning at {rule.stage}: no recipient is known')
    if rule.sender and rule.stage not in _OF_SENDERS:
        raise RuleError(f'"from" has no meaning at {rule.stage}: no sender is known')
    if rule.stage == "250" and isinstance(rule.action, Fail):
        raise RuleError('the mail is stored "at 250", which must not be answered by a failure; drop, or fail at end')
    return rule


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 10**9):
        raise RuleError(f'"{text}" is no number from 1')
    return int(text)


def _chance(text: str) -> float:
    if not re.fullmatch(r"(?:0?\.[0-9]{1,9}|[01](?:\.0*)?)", text):
        raise RuleError(f'"{text}" is no chance from 0 to 1, such as 0.25')
    return float(text)


def _fail(arguments: list[str]) -> Fail:
    if not arguments or not _CODE.fullmatch(arguments[0]):
        raise RuleError("fail needs a code from 400 to 599")
    code, rest = arguments[0], arguments[1:]
    enhanced = f"{code[0]}.0.0"  # RFC 3463 section 3.1: other or undefined
    if rest and _ENHANCED.fullmatch(rest[0]):
        enhanced, rest = rest[0], rest[1:]
    if enhanced[0] != code[0]:
        raise RuleError(f"{code} and {enhanced} are of different classes")
    text = " ".join(rest)
    if not (text.isascii() and text.isprintable()):
        raise RuleError("the text of a reply is ASCII")
    return Fail(int(code), enhanced, text)


def _delay(arguments: list[str]) -> Delay:
    found = _TIME.fullmatch(arguments[0]) if len(arguments) == 1 else None
    if found is None:
        raise RuleError("delay needs a time, such as 5s or 200ms")
    milliseconds = round(float(found[1]) * (1000 if found[2] == "s" else 1))
    if milliseconds > MAX_DELAY_MS:
        raise RuleError(f"a delay is at most {MAX_DELAY_MS // 1000} s")
    return Delay(milliseconds)


def _drop(arguments: list[str]) -> Drop:
    if arguments:
        raise RuleError("drop takes nothing")
    return Drop()


_ACTIONS: dict[str, Callable[[list[str]], Action]] = {"fail": _fail, "delay": _delay, "drop": _drop}
_CONDITIONS: dict[str, Callable[[Rule, str], Rule]] = {
    "from": lambda rule, value: replace(rule, sender=value.lower()),
    "to": lambda rule, value: replace(rule, recipient=value.lower()),
    "nth": lambda rule, value: replace(rule, nth=_count(value)),
    "connection": lambda rule, value: replace(rule, connection=_count(value)),
    "chance": lambda rule, value: replace(rule, chance=_chance(value)),
}
