from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from client.__main__ import main
from tests.client.boxes import entry, put


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["list", "ana@example.org", "--mailboxes", str(folder), *arguments])
    return result.exit_code, result.output


def test_each_message_is_a_line(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", "One \x1b[2J"), entry("a.2", "Two", sender=""))
    status, output = run(tmp_path)
    assert status == 0
    assert [line.split() for line in output.splitlines()] == [
        ["1", "a.1", "2026-11-23", "07:05:55", "Bo", "<bo@example.net>", "One", "\u241b[2J"],
        ["2", "a.2", "2026-11-23", "07:05:55", "Bo", "<MAILER-DAEMON>", "Two"],
    ]


def test_for_programs_each_is_an_object_on_a_line(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", "Olá"), entry("a.2"))
    _, output = run(tmp_path, "--json")
    assert [(each["number"], each["id"], each["subject"]) for each in map(json.loads, output.splitlines())] == [
        (1, "a.1", "Olá"),
        (2, "a.2", "Hello"),
    ]


def test_no_mail_and_no_mailbox_are_two_things(tmp_path: Path) -> None:
    assert run(tmp_path)[0] == 1
    put(tmp_path)
    assert run(tmp_path) == (0, "No mail for ana@example.org.\n")
    assert run(tmp_path, "--json") == (0, "")


def test_of_a_shared_mailbox_only_the_address_s_own_mail_is_listed(tmp_path: Path) -> None:
    put(
        tmp_path,
        *(entry(f"a.{n}", to=f"{who}@example.org", mailbox="*@example.org") for n, who in ((1, "eva"), (2, "ana"))),
        name="*@example.org",
    )
    status, output = run(tmp_path)
    assert (status, [line.split()[:2] for line in output.splitlines()]) == (0, [["2", "a.2"]])
