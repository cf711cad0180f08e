"""Steps that cost three workers their life, set aside so that somebody can find out why.

Gives: a `PoisonCabinet`, whose `keep` logs a poisoned step and writes it to a file of its own: JSON with the step's
frames as the wire carries them, in base64, so that it can be decoded and run again under a debugger.
Fails: if a file cannot be written that is logged, and the gateway goes on.
Limits: at most MAX_FILES files, the oldest go first. They hold what the client sent, mail included: only the user who
runs the gateway can read them, and nothing of that is logged.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from pathlib import Path

from wire.codec import encode
from wire.messages import Step

log = logging.getLogger(__name__)

# Enough to see what they have in common. A step is at most 2 MiB, and a third larger in base64.
MAX_FILES = 32
_SUFFIX = ".poison.json"


class PoisonCabinet:
    """A folder of poisoned steps.

    :param folder: made when it is first needed; None to keep none, and only log.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def keep(self, step: Step) -> None:
        """Set a step aside."""
        kind = type(step.input).__name__
        about = {"event": "poisoned", "session": step.session}
        log.error(
            "step %d of session %s (%s) was lost too often, it may be what kills workers; it is given up",
            step.seq,
            step.session,
            kind,
            extra=about,
        )
        if self._folder is None:
            return
        try:
            path = self._write(self._folder, step)
        except OSError as error:
            log.error(  # noqa: TRY400
                "step %d of session %s could not be kept: %s", step.seq, step.session, error, extra=about
            )
        else:
            log.error("step %d of session %s is kept in %s", step.seq, step.session, path, extra=about)

    def _write(self, folder: Path, step: Step) -> Path:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = sorted(folder.glob("*" + _SUFFIX), key=lambda path: path.stat().st_mtime_ns)
        for path in kept[: max(0, len(kept) - MAX_FILES + 1)]:
            path.unlink(missing_ok=True)
        record = {
            "session": step.session,
            "seq": step.seq,
            "time": step.time,
            "input": type(step.input).__name__,
            "frames": [base64.b64encode(frame).decode() for frame in encode([step])],
        }
        path = folder / f"{step.session}-{step.seq}{_SUFFIX}"
        # A session's step is given up once, so the file is new; O_EXCL follows no link that lies in wait.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(record, file, indent=1)
        return path
