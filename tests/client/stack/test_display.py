"""The lines of the logs that a person should see: of both forms, once each, through rotations."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.language import Language
from client.stack.display import Complaints, Display
from client.terminal import Paint

INFO = "2026-11-27T16:34:28.174 gateway[7] INFO a3-1 C: WARNING me\n"
WARNING = "2026-11-27T16:34:28.175 store[8] WARNING users.txt:2: no address\n"
ERROR = '{"time": "2026-11-27T16:34:28.175Z", "level": "ERROR", "message": "the disk is full"}\n'
NO_ERROR = '{"time": "2026-11-27T16:34:28.175Z", "level": "INFO", "message": "ERROR"}\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "mailbox_store.log"


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_what_is_worse_than_information_is_given_once(log: Path, tmp_path: Path) -> None:
    complaints = Complaints(tmp_path)
    assert list(complaints.read()) == []
    add(log, INFO + WARNING + NO_ERROR + ERROR + "Traceback (most recent call last):\n{}\n[1]\n{\n")
    assert list(complaints.read()) == [WARNING.strip(), ERROR.strip()]
    assert list(complaints.read()) == []


def test_a_line_is_given_when_it_is_whole(log: Path, tmp_path: Path) -> None:
    complaints = Complaints(tmp_path)
    add(log, WARNING[:50])
    assert list(complaints.read()) == []
    add(log, WARNING[50:] + INFO)
    assert list(complaints.read()) == [WARNING.strip()]


def test_each_log_has_its_own_and_a_new_file_begins_anew(log: Path, tmp_path: Path) -> None:
    complaints = Complaints(tmp_path)
    add(log, INFO * 3)
    add(log.with_name("gateway.log"), WARNING)
    assert list(complaints.read()) == [WARNING.strip()]
    log.rename(log.with_name("mailbox_store.log.1"))
    add(log, WARNING)
    assert list(complaints.read()) == [WARNING.strip()]


def test_of_a_flood_the_last_lines_are_looked_at(log: Path, tmp_path: Path) -> None:
    complaints = Complaints(tmp_path)
    add(log, WARNING * 10_000 + ERROR)
    given = list(complaints.read())
    assert given[-1] == ERROR.strip()
    assert set(given[:-1]) == {WARNING.strip()}
    assert 500 < len(given) < 2000
    assert list(complaints.read()) == []


def event(kind: str, session: str, seq: int) -> dict[str, object]:
    return {"event": kind, "session": session, "seq": seq, "gateway": "g", "peer": "192.0.2.1", "why": "QUIT"}


def test_a_connection_is_waited_for_again_once_the_last_one_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Display(Paint(), Language.ENGLISH)
    for seq, (kind, session) in enumerate(
        [
            ("closed", "g-0"),  # of who looked whether mail is taken, before
            ("connected", "g-1"),
            ("connected", "g-2"),
            ("closed", "g-1"),
            ("alive", ""),
            ("closed", "g-2"),
        ]
    ):
        screen.show(event(kind, session, seq))
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "g-1 connection from 192.0.2.1",
        "g-2 connection from 192.0.2.1",
        "g-1 closed: QUIT",
        "g-2 closed: QUIT",
        "for a connection.",
    ]


def test_connections_whose_end_was_missed_are_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Display(Paint(), Language.PORTUGUESE)
    screen.show(event("connected", "g-1", 0))
    screen.show(event("connected", "g-3", 7))
    screen.show(event("closed", "g-3", 8))
    assert "… sem 6 eventos" in capsys.readouterr().out
    screen.show(event("connected", "g-4", 9))
    screen.change(gone=True)
    screen.show(event("connected", "g-5", 10))
    screen.show(event("closed", "g-5", 11))
    # One that is older than the gap.
    screen.show(event("closed", "g-1", 12))
    assert capsys.readouterr().out.count("Aguardando conexão.\n") == 2
