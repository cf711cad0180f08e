from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from client.mailbox import files
from client.mailbox.files import MailboxError, file_names, open_mailbox

FROM = b"From ana@example.org Mon Nov 23 07:05:55 2026"


def test_a_mailbox_is_found_in_any_letter_case(tmp_path: Path) -> None:
    (tmp_path / "ana@example.org.txt").write_bytes(b"x\n")
    with open_mailbox(tmp_path, "Ana@Example.ORG") as found:
        assert list(found.pieces()) == [b"x\n"]


def test_a_name_is_compared_in_normal_form() -> None:
    assert file_names("jose\u0301@x")[0] == "jos\u00e9@x.txt"


def test_a_missing_mailbox_is_said_with_names_that_are_near(tmp_path: Path) -> None:
    for name in ("maria@example.com.txt", "joao@example.com.txt", "maria@example.com.bak"):
        (tmp_path / name).touch()
    with pytest.raises(MailboxError) as raised, open_mailbox(tmp_path, "mariah@example.com"):
        pass
    assert raised.value.message.startswith(
        f"There is no mailbox mariah@example.com in {tmp_path}. Is it one of these?"
    )
    assert "maria@example.com" in raised.value.message
    assert ".bak" not in raised.value.message


def test_a_name_without_its_domain_is_near_each_that_begins_with_it(tmp_path: Path) -> None:
    for name in ("ana@correio.localhost.txt", "anabel@example.com.txt"):
        (tmp_path / name).touch()
    with pytest.raises(MailboxError) as raised, open_mailbox(tmp_path, "ana"):
        pass
    assert raised.value.message.endswith("Is it one of these? ana@correio.localhost")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(MailboxError, match=r"There is no folder .*nowhere"),
        open_mailbox(tmp_path / "nowhere", "a@b"),
    ):
        pass


@pytest.mark.parametrize("address", ["../secret", "/etc/passwd", "a\0b", ".hidden"])
def test_no_address_leads_out_of_the_folder(tmp_path: Path, address: str) -> None:
    (tmp_path / "secret.txt").touch()
    (tmp_path / "box").mkdir()
    with pytest.raises(MailboxError, match="not the address of a mailbox"), open_mailbox(tmp_path / "box", address):
        pass


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a@b.txt").mkdir()
    os.mkfifo(tmp_path / "c@d.txt")
    for address in ("a@b", "c@d"):
        with pytest.raises(MailboxError, match="is not a file"), open_mailbox(tmp_path, address):
            pass


def test_a_name_too_long_for_a_file_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(MailboxError, match="File name too long"), open_mailbox(tmp_path, "x" * 300):
        pass


def test_what_is_appended_while_it_is_read_is_left_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "a@b.txt"
    path.write_bytes(FROM + b"\none\n")
    with open_mailbox(tmp_path, "a@b") as box:
        with path.open("ab") as file:
            file.write(b"half an app")
        assert b"".join(box.pieces()) == FROM + b"\none\n"


def lock_of_another_process(path: Path) -> str:
    """ "taken" if another process gets an exclusive lock on the file at once."""
    script = (
        "import fcntl, sys\n"
        "with open(sys.argv[1], 'r+b') as file:\n"
        "    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "    print('taken', flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout.strip()


def test_no_lock_is_held_while_a_mailbox_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a@b.txt"
    path.write_bytes(b"x\n")
    with open_mailbox(tmp_path, "a@b"):
        assert lock_of_another_process(path) == "taken"


def test_a_lock_that_is_not_given_back_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.05)
    path = tmp_path / "a@b.txt"
    path.write_bytes(b"x\n")

    def held(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "lockf", held)
    with open_mailbox(tmp_path, "a@b") as box:
        assert list(box.pieces()) == [b"x\n"]


def test_the_first_of_these_mailboxes_that_is_there_counts(tmp_path: Path) -> None:
    for name, shared in (("*@b", True), ("a@b", True), ("a+c@b", False)):
        (tmp_path / f"{name}.txt").write_text(f"From {name}\n")
        with open_mailbox(tmp_path, "A+C@b") as found:
            assert (list(found.pieces()), found.shared) == ([f"From {name}\n".encode()], shared)


@pytest.mark.parametrize(
    "address",
    [
        "a/b@x.example",
        '"../../box"@x.example',
        '".hidden"@x.example',
        "n" * 64 + "@" + ("d" * 60 + ".") * 3 + "example",
    ],
)
@pytest.mark.parametrize("catch_all", ["*@*", ""])
def test_the_mail_of_an_address_that_names_no_file_is_in_a_catch_all(
    tmp_path: Path, address: str, catch_all: str
) -> None:
    name = catch_all or f"*@{address.rpartition('@')[2]}"
    (tmp_path / f"{name}.txt").write_bytes(FROM + b"\nSubject: one\n\n")
    with open_mailbox(tmp_path, address) as found:
        assert (found.shared, found.size > 0) == (True, True)


@pytest.mark.parametrize("domain", ["b/../..", "../b", "b\0"])
def test_no_other_mailbox_is_looked_for_outside_of_the_folder(tmp_path: Path, domain: str) -> None:
    (tmp_path / "*@b").mkdir()
    with pytest.raises(MailboxError, match="not the address of a mailbox"), open_mailbox(tmp_path, f"a@{domain}"):
        pass


def test_reading_stops_when_its_time_is_over(tmp_path: Path) -> None:
    (tmp_path / "a@b.txt").write_bytes(b"x\n")
    with open_mailbox(tmp_path, "a@b") as box, pytest.raises(TimeoutError):
        list(box.pieces(until=0))
