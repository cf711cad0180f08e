from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.__main__ import main
from tests.client.boxes import entry, put


@pytest.fixture
def mailboxes(tmp_path: Path) -> Path:
    put(tmp_path, entry("a.1"), entry("a.2", text="second\n"), entry("a.3"))
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["show", "--mailboxes", str(folder), *arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("which", "number"),
    [([], 3), (["1"], 1), (["a.2"], 2), (["--", "-3"], 1), (["--", "-1"], 3)],
)
def test_one_is_shown_by_its_number_or_its_id(mailboxes: Path, which: list[str], number: int) -> None:
    before = which[:1] if which[:1] == ["--"] else []
    status, output = run(mailboxes, *before, "ana@example.org", *which[len(before) :])
    assert (status, output.splitlines()[0]) == (0, f"Message {number}")


@pytest.mark.parametrize("which", ["0", "4", "a.4"])
def test_one_that_is_not_there_is_an_error_that_says_how_to_find_it(mailboxes: Path, which: str) -> None:
    status, output = run(mailboxes, "ana@example.org", which)
    assert (status, "correio list ana@example.org" in output) == (1, True)
    assert run(mailboxes, "--", "ana@example.org", "-4")[0] == 1


def test_it_is_json_or_the_octets_themselves(mailboxes: Path) -> None:
    shown = json.loads(run(mailboxes, "ana@example.org", "a.2", "--json")[1])
    assert (shown["text"], shown["headers"][0]) == ("second\n", ["Return-Path", "<bo@example.net>"])
    assert run(mailboxes, "ana@example.org", "a.2", "--raw")[1].startswith("Return-Path: <bo@example.net>\n")


def test_of_a_shared_mailbox_only_the_address_s_own_mail_is_shown(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", to="ana+x@example.org"), entry("a.2"), entry("a.3", to="ana+y@example.org"))
    assert run(tmp_path, "ana+x@example.org")[1].splitlines()[0] == "Message 1"
    assert run(tmp_path, "ana+x@example.org", "2")[0] == 1
    assert run(tmp_path, "ana@example.org", "3")[0] == 0
