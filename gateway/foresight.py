"""Answers that workers have given beforehand (wire/SPEC.md, Foreseen): which of them is that to what a client said.

Pure: no socket, and the time is passed in.
"""

from __future__ import annotations

from wire.messages import Foreseen, Input, Lines


def find(answers: tuple[Foreseen, ...], spoken: Input, now: int) -> Foreseen | None:
    """The answer to the first line of what was said, if there is one and it still holds.

    :param answers: those of the session's latest step.
    :param now: ms since the epoch, by the clock that steps are timed with.
    """
    if isinstance(spoken, Lines):
        for answer in answers:
            if spoken.lines[0] in answer.lines and (answer.until is None or now <= answer.until):
                return answer
    return None
