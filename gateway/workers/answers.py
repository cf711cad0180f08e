"""Answers that are known without a step: those that a worker foresaw, and those that were given before.

A step is a pure function, so a worker tells with its answer what the session's next line would be answered
(`Foreseen`), and how long the same lines in the same state would be answered the same: for some ms (`again`), or,
where the store decides, as long as its epoch lasts. Sessions that say the same have the same state, so what one of
them was answered spares the others the step. wire/SPEC.md has the rules.

Gives: `Answers`, what all sessions of a gateway share.
Limits: so many octets of answers that last for a moment, and of those that last as long as the store's epoch; when
there are more, all of that kind are forgotten.

Pure: no socket, and the time is passed in.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from wire.limits import EPOCH_SECONDS
from wire.messages import Foreseen, Injected, Input, Lines, Step, StepDone

# Nothing is foreseen for longer, in ms: a clock that was set back must not make it hold for hours.
_FORESIGHT = 1000
# In octets. What lasts as long as the store's epoch has room for some 10,000 recipients of one sender.
_ROOM = 4 * 1024 * 1024
_ROOM_OF_EPOCH = 20 * 1024 * 1024
_WEIGHT = 32 * 1024
# What the interpreter needs for an answer, and for each line of it, beside its octets.
_OVERHEAD = 1100
_OVERHEAD_OF_LINE = 200
_VERB = re.compile(rb"[A-Za-z]{4}(?![^ ])")
_CODE = re.compile(rb"^([0-9]{3})(?: |\r)", re.MULTILINE)


class Answer(NamedTuple):
    """What a worker answered, the verb and code of each reply in it, and until when it would answer so again.

    Where it has an epoch, of the store, that decides, and not the time. `weight`: the octets that it takes.
    """

    done: StepDone
    worker: bytes
    counted: tuple[tuple[bytes, bytes], ...]
    until: float = 0.0
    epoch: int = 0
    weight: int = 0


# The state, the peer while there is no state, and the lines.
_Key: TypeAlias = tuple[bytes, str, tuple[bytes | None, ...]]


class _Room:
    """Answers of so many octets together; when there are more, all are forgotten and learned anew."""

    def __init__(self, octets: int) -> None:
        self.answers: dict[_Key, Answer] = {}
        self._free = self._octets = octets

    def keep(self, key: _Key, answer: Answer) -> None:
        before = self.answers.get(key)
        self._free -= answer.weight if before is None else answer.weight - before.weight
        if self._free < 0:
            self.clear()
            self._free -= answer.weight
        self.answers[key] = answer

    def clear(self) -> None:
        self.answers.clear()
        self._free = self._octets


class Answers:
    """What lines were answered before, by any worker in any session."""

    def __init__(self) -> None:
        self._for_a_moment = _Room(_ROOM)
        self._for_an_epoch = _Room(_ROOM_OF_EPOCH)
        # The store's epoch as it was last heard of, and when the step was begun that heard of it.
        self._epoch = 0
        self._heard = float("-inf")

    def hear(self, epoch: int, begun: float) -> None:
        """The store has named its epoch, in a step that was begun at that time."""
        # Workers hear of it one after another: what an older step has heard is older.
        if begun >= self._heard:
            self._heard = begun
            if epoch != self._epoch:
                self._epoch = epoch
                self._for_an_epoch.clear()

    def holds(self, epoch: int, now: float) -> bool:
        """Is what was said in this epoch of the store still so?"""
        return epoch == self._epoch and now - self._heard < EPOCH_SECONDS

    def foreseen(self, answers: tuple[Foreseen, ...], spoken: Input, wall: int, now: float) -> Foreseen | None:
        """The answer to the first line of what was said, if there is one and it still holds.

        :param answers: those of the session's latest step.
        :param wall: ms since the Unix epoch, by the clock that steps are timed with.
        """
        if isinstance(spoken, Lines):
            for answer in answers:
                if spoken.lines[0] in answer.lines:
                    epoch = answer.epoch
                    if self.holds(epoch, now) if epoch else answer.until - _FORESIGHT <= wall <= answer.until:
                        return answer
        return None

    def learn(self, step: Step, done: StepDone, worker: bytes, begun: float, *, seen_before: bool) -> None:
        """A step was answered, and begun at that time; what can be said again is kept, and the store's epoch heard.

        :param seen_before: others had come to that state before. Where they had not, what rests on an epoch is not
            worth its room: senders that write once are many.
        """
        if done.heard:
            self.hear(done.heard, begun)
        # A worker that remembers may not have heard yet which epoch it is.
        wanted = seen_before and done.epoch == self._epoch if done.epoch else done.again
        if not wanted or not isinstance(step.input, Lines):
            return
        lines = step.input.lines
        verbs = [verb[0].upper() for line in lines if line is not None and (verb := _VERB.match(line))]
        codes = _CODE.findall(done.replies)
        weight = _weight(step, done)
        # What cannot be counted is not kept: replies that no worker counts are counted here.
        if isinstance(done.next, Injected) or not len(lines) == done.consumed == len(verbs) == len(codes):
            return
        if weight > _WEIGHT:
            return
        counted = tuple(zip(verbs, codes, strict=True))
        answer = Answer(done, worker, counted, begun + done.again / 1000, done.epoch, weight)
        room = self._for_an_epoch if done.epoch else self._for_a_moment
        room.keep((step.state, step.peer, step.input.lines), answer)

    def find(self, state: bytes, peer: str, lines: tuple[bytes | None, ...], now: float) -> Answer | None:
        """What a step of these lines would be answered, if that is known; `now` is by the clock of `learn`."""
        key = state, peer, lines
        answer = self._for_an_epoch.answers.get(key)
        if answer is not None:
            return answer if self.holds(answer.epoch, now) else None
        answer = self._for_a_moment.answers.get(key)
        return answer if answer is not None and now < answer.until else None

    def forget(self) -> None:
        """Nothing that was answered need be the answer now: a worker has gone, so another release may have come."""
        self._for_a_moment.clear()
        self._for_an_epoch.clear()


def _weight(step: Step, done: StepDone) -> int:
    assert isinstance(step.input, Lines)
    lines = sum(len(line or b"") + _OVERHEAD_OF_LINE for line in step.input.lines)
    later = sum(len(answer.state) + len(answer.replies) for answer in done.foreseen)
    return _OVERHEAD + len(step.state) + lines + len(done.state) + len(done.replies) + later
