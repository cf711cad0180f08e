"""Answers that are known without a step: those that a worker foresaw, and those that were given a moment ago.

A step is a pure function, so a worker tells with its answer what the session's next line would be answered
(`Foreseen`), and for how long the same lines in the same state would be answered the same (`again`): wire/SPEC.md.
Sessions that say the same have the same state, so what one of them was answered spares the others the step.

Gives: `foreseen`, a search; `Answers`, what all sessions of a gateway share.
Limits: `_MOST` answers of `_WEIGHT` octets each; when there are more, all are forgotten and learned anew.

Pure: no socket, and the time is passed in.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wire.messages import Foreseen, Injected, Input, Lines, Step, StepDone

# Nothing is foreseen for longer, in ms: a clock that was set back must not make it hold for hours.
_FORESIGHT = 1000
_MOST = 1024
_WEIGHT = 8 * 1024
_VERB = re.compile(rb"[A-Za-z]{4}(?![^ ])")
_CODE = re.compile(rb"^([0-9]{3})(?: |\r)", re.MULTILINE)


def foreseen(answers: tuple[Foreseen, ...], spoken: Input, now: int) -> Foreseen | None:
    """The answer to the first line of what was said, if there is one and it still holds.

    :param answers: those of the session's latest step.
    :param now: ms since the epoch, by the clock that steps are timed with.
    """
    if isinstance(spoken, Lines):
        for answer in answers:
            if spoken.lines[0] in answer.lines and answer.until - _FORESIGHT <= now <= answer.until:
                return answer
    return None


class Answer(NamedTuple):
    """What a worker answered, until when it would answer so again, and the verb and code of each reply in it."""

    done: StepDone
    worker: bytes
    until: float
    counted: tuple[tuple[bytes, bytes], ...]


class Answers:
    """What lines were answered a moment ago, by any worker in any session."""

    def __init__(self) -> None:
        # By state, by peer while there is no state, and by lines.
        self._given: dict[tuple[bytes, str, tuple[bytes | None, ...]], Answer] = {}

    def learn(self, step: Step, done: StepDone, worker: bytes, begun: float) -> None:
        """A step was answered, and begun at that time; what can be said again is kept."""
        if not done.again or not isinstance(step.input, Lines) or isinstance(done.next, Injected):
            return
        lines = step.input.lines
        verbs = [verb[0].upper() for line in lines if line is not None and (verb := _VERB.match(line))]
        codes = _CODE.findall(done.replies)
        # What cannot be counted is not kept: replies that no worker counts are counted here.
        if not len(lines) == done.consumed == len(verbs) == len(codes) or _weight(step, done) > _WEIGHT:
            return
        if len(self._given) >= _MOST:
            self._given.clear()
        answer = Answer(done, worker, begun + done.again / 1000, tuple(zip(verbs, codes, strict=True)))
        self._given[step.state, step.peer, step.input.lines] = answer

    def find(self, state: bytes, peer: str, lines: tuple[bytes | None, ...], now: float) -> Answer | None:
        """What a step of these lines would be answered, if that is known; `now` is by the clock of `learn`."""
        answer = self._given.get((state, peer, lines))
        return answer if answer is not None and now < answer.until else None


def _weight(step: Step, done: StepDone) -> int:
    assert isinstance(step.input, Lines)
    lines = sum(len(line) for line in step.input.lines if line is not None)
    later = sum(len(answer.state) + len(answer.replies) for answer in done.foreseen)
    return len(step.state) + lines + len(done.state) + len(done.replies) + later
