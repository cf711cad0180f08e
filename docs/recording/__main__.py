"""`python -m docs.recording [FILE]`: play the session of the README on a real stack, and make its picture.

A stack of its own is started (`make up`), a person types into the real client on a real terminal, restarts the
workers from another one in the middle of the mail, and reads the mailbox. What the picture shows is what the programs
said; only the time between two keys is made up, so that it is the same picture each time but for ids and dates.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docs.recording.film import Film
from docs.recording.pane import Pane
from tests.stack import free_port

ROOT = Path(__file__).parent.parent.parent
PICTURE = ROOT / "docs" / "session.svg"
LABEL = (
    "Two terminals. In one a mail is typed by hand with the client correio: mistakes are answered with the right "
    "form. In the other the session workers are restarted in the middle of that mail, which goes on, is delivered, "
    "and is read with cat."
)
_COLUMNS, _SESSION_ROWS, _SHELL_ROWS = 106, 20, 13
_KEY, _REPLY, _READ, _END = 0.05, 0.3, 1.4, 6.0
# After an answer a program draws its prompt, and then what stands below it, in its own time.
_DRAWN = 0.4
# What stands before the cursor once a program waits for the next line.
_SMTP, _MESSAGE, _SHELL = r"\nsmtp> ", r"\nmessage> ", r"(?:\A|\n)\$ "


@contextmanager
def stack() -> Iterator[tuple[Path, dict[str, str]]]:
    """A running stack in a folder that looks like a checkout; gives the folder, and the environment to use it in."""
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        folder = Path(name)
        for path in ROOT.iterdir():
            if path.name not in ("run", "mailboxes", "users.txt", ".git"):
                (folder / path.name).symlink_to(path)
        (folder / "users.txt").write_text("ana@correio.localhost\nbruno@correio.localhost\n")
        port = str(free_port())
        environment = {
            "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}",
            "HOME": name,
            "LANG": "C.UTF-8",
            "MODE": "processes",
            "PORT": port,
            "CORREIO_PORT": port,
            "XDG_STATE_HOME": name,
        }

        def make(target: str) -> None:
            command = ["make", "--silent", target]
            subprocess.run(command, cwd=folder, env=environment, check=True, timeout=120, stdout=subprocess.DEVNULL)

        make("up")
        try:
            yield folder, environment
        finally:
            make("down")


class Person:
    """Somebody who types into panes while the film runs."""

    def __init__(self, film: Film) -> None:
        self._film = film

    def types(self, pane: Pane, line: str, then: str, pause: float = _READ) -> None:
        """A line and Enter; then the answer, at whose end `then` stands before the cursor, is read."""
        for count, key in enumerate(line, 1):
            pane.type(key)
            pane.settle(re.escape(line[:count]))
            self._film.show(pane, _KEY)
        self._film.show(pane, _REPLY)
        pane.type("\r")
        pane.settle(then, _DRAWN)
        self._film.show(pane, pause)


def play(session: Pane, shell: Pane) -> Film:
    """The whole session."""
    film = Film([("a mail, typed by hand", session), ("meanwhile, in another terminal", shell)])
    person = Person(film)
    for pane in (session, shell):
        pane.settle(_SHELL)
    film.show(session, 1.0)
    person.types(session, "correio", rf"220 [^\n]*{_SMTP}")
    person.types(session, "HELLO", rf"hint: [^\n]*{_SMTP}", 2.2)
    person.types(session, "HELO gmail.com", rf"250 [^\n]*{_SMTP}")
    person.types(session, "MAIL FROM:<you@yahoo.com>", rf"hint: [^\n]*{_SMTP}", 2.2)
    person.types(session, "MAIL FROM:<you@gmail.com>", rf"250 [^\n]*{_SMTP}")
    person.types(session, "RCPT TO:<ana@correio.localhost>", rf"250 [^\n]*{_SMTP}")
    person.types(shell, "make restart-workers", rf"mail is taken{_SHELL}", 2.2)
    person.types(session, "DATA", rf"354 [^\n]*{_MESSAGE}")
    person.types(session, "Subject: hello", _MESSAGE, _REPLY)
    person.types(session, "", rf"\nmessage>{_MESSAGE}", _REPLY)
    person.types(session, "The workers that began this mail are gone by now.", _MESSAGE, _REPLY)
    person.types(session, ".", rf"250 2.0.0 Message delivered, [^\n]*{_SMTP}", 1.8)
    person.types(shell, "cat mailboxes/ana@correio.localhost.txt", rf"gone by now\.\n{_SHELL}", 2.5)
    person.types(session, "QUIT", rf"221 [^\n]*{_SHELL}", _END)
    return film


def main(path: Path) -> None:
    """Play it and write the picture."""
    with (
        stack() as (folder, environment),
        Pane(_SESSION_ROWS, _COLUMNS, folder, environment) as session,
        Pane(_SHELL_ROWS, _COLUMNS, folder, environment) as shell,
    ):
        path.write_text(play(session, shell).svg(LABEL), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
