"""`correio list`, `show` and `read`: what is told of a mailbox, and that nothing in it does harm."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given

from client.__main__ import main
from tests.client.boxes import entry, put
from tests.client.pseudo_terminal import Terminal
from tests.mail.hostile import HOSTILE, octets


def listed(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["list", "ana@example.org", "--mailboxes", str(folder), *arguments])
    return result.exit_code, result.output


def test_each_message_is_a_line(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", "One \x1b[2J"), entry("a.2", "Two", sender=""))
    status, output = listed(tmp_path)
    assert status == 0
    assert [line.split() for line in output.splitlines()] == [
        ["1", "a.1", "2026-11-23", "07:05:55", "Bo", "<bo@example.net>", "One", "\u241b[2J"],
        ["2", "a.2", "2026-11-23", "07:05:55", "Bo", "<MAILER-DAEMON>", "Two"],
    ]


def test_for_programs_each_is_an_object_on_a_line(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", "Olá"), entry("a.2"))
    _, output = listed(tmp_path, "--json")
    assert [(each["number"], each["id"], each["subject"]) for each in map(json.loads, output.splitlines())] == [
        (1, "a.1", "Olá"),
        (2, "a.2", "Hello"),
    ]


def test_no_mail_and_no_mailbox_are_two_things(tmp_path: Path) -> None:
    assert listed(tmp_path)[0] == 1
    put(tmp_path)
    assert listed(tmp_path) == (0, "No mail for ana@example.org.\n")
    assert listed(tmp_path, "--json") == (0, "")


def test_of_a_shared_mailbox_only_the_address_s_own_mail_is_listed(tmp_path: Path) -> None:
    put(
        tmp_path,
        *(entry(f"a.{n}", to=f"{who}@example.org", mailbox="*@example.org") for n, who in ((1, "eva"), (2, "ana"))),
        name="*@example.org",
    )
    status, output = listed(tmp_path)
    assert (status, [line.split()[:2] for line in output.splitlines()]) == (0, [["2", "a.2"]])


@pytest.fixture
def mailboxes(tmp_path: Path) -> Path:
    put(tmp_path, entry("a.1"), entry("a.2", text="second\n"), entry("a.3"))
    return tmp_path


def show(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["show", "--mailboxes", str(folder), *arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("which", "number"),
    [([], 3), (["1"], 1), (["a.2"], 2), (["--", "-3"], 1), (["--", "-2"], 2), (["--", "-1"], 3)],
)
def test_one_is_shown_by_its_number_or_its_id(mailboxes: Path, which: list[str], number: int) -> None:
    before = which[:1] if which[:1] == ["--"] else []
    status, output = show(mailboxes, *before, "ana@example.org", *which[len(before) :])
    assert (status, output.splitlines()[0]) == (0, f"Message {number}")


@pytest.mark.parametrize("which", ["0", "4", "a.4"])
def test_one_that_is_not_there_is_an_error_that_says_how_to_find_it(mailboxes: Path, which: str) -> None:
    status, output = show(mailboxes, "ana@example.org", which)
    assert (status, "correio list ana@example.org" in output) == (1, True)


@pytest.mark.parametrize("which", ["-4", "-0", f"-{2**63 - 1}", f"-{10**30}"])
def test_from_the_end_too(mailboxes: Path, which: str) -> None:
    status, output = show(mailboxes, "--", "ana@example.org", which)
    assert (status, output.count("\n"), "correio list ana@example.org" in output) == (1, 1, True)


def test_where_there_is_no_mail_no_number_is_told_that_nobody_has_typed(tmp_path: Path) -> None:
    put(tmp_path)
    assert show(tmp_path, "ana@example.org") == (1, "Error: There is no mail for ana@example.org\n")


def test_it_is_json_or_the_octets_themselves(mailboxes: Path) -> None:
    shown = json.loads(show(mailboxes, "ana@example.org", "a.2", "--json")[1])
    assert (shown["text"], shown["headers"][0]) == ("second\n", ["Return-Path", "<bo@example.net>"])
    assert show(mailboxes, "ana@example.org", "a.2", "--raw")[1].startswith("Return-Path: <bo@example.net>\n")


def test_of_a_shared_mailbox_only_the_address_s_own_mail_is_shown(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", to="ana+x@example.org"), entry("a.2"), entry("a.3", to="ana+y@example.org"))
    assert show(tmp_path, "ana+x@example.org")[1].splitlines()[0] == "Message 1"
    assert show(tmp_path, "ana+x@example.org", "2")[0] == 1
    assert show(tmp_path, "ana@example.org", "3")[0] == 0


PDF = b"%PDF \0\xff"
WITH_PARTS = (
    "hi\nContent-Type: multipart/mixed; boundary=b",
    "--b\n\nolá \x1b[2J\n--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n"
    f'Content-Disposition: attachment; filename="../in.pdf"\n\n{base64.b64encode(PDF).decode()}\n'
    "--b\nContent-Type: text/html; name=p.html\n\n<script>x</script>\n--b--\n",
)


@pytest.fixture
def with_parts(tmp_path: Path) -> Path:
    put(tmp_path, entry("a.1", *WITH_PARTS[:1], text=WITH_PARTS[1]))
    return tmp_path


def test_a_part_is_written_as_its_octets(with_parts: Path) -> None:
    result = CliRunner().invoke(main, ["show", "ana@example.org", "--part", "2", "--mailboxes", str(with_parts)])
    assert (result.exit_code, result.stdout_bytes) == (0, PDF)
    assert show(with_parts, "ana@example.org", "--part", "1") == (0, "olá \x1b[2J")


def test_parts_are_saved_under_harmless_names(with_parts: Path) -> None:
    folder = with_parts / "out"
    assert show(with_parts, "ana@example.org", "--save", str(folder)) == (
        0,
        f"1  {folder}/part-1.txt\n2  {folder}/in.pdf\n3  {folder}/p.html.txt\n",
    )
    assert (folder / "in.pdf").read_bytes() == PDF
    assert show(with_parts, "ana@example.org", "--part", "2", "--save", str(folder)) == (0, f"2  {folder}/in-2.pdf\n")


def test_a_part_that_is_not_there_is_an_error(with_parts: Path) -> None:
    status, output = show(with_parts, "ana@example.org", "--part", "4")
    assert (status, output) == (1, "Error: Message 1 has no part 4; it has 3 parts\n")
    assert not (with_parts / "x").exists()
    assert show(with_parts, "ana@example.org", "--part", "4", "--save", str(with_parts / "x"))[0] == 1
    assert not (with_parts / "x").exists()


@pytest.mark.parametrize(
    "both", [["--raw", "--json"], ["--json", "--part", "1"], ["--raw", "--save", "x"], ["--part", "0"]]
)
def test_what_excludes_each_other_is_wrong_usage(with_parts: Path, both: list[str]) -> None:
    assert show(with_parts, "ana@example.org", *both)[0] == 2


def test_a_part_does_nothing_to_a_terminal(with_parts: Path) -> None:
    shown = []
    for wish in (["--part", "1"], ["--part", "2"], ["--raw"]):
        terminal = Terminal(1, with_parts, "show", "ana@example.org", *wish, "--mailboxes", str(with_parts))
        try:
            shown.append((terminal.end(), terminal.raw))
        finally:
            terminal.close()
    assert shown[0][0] == 0
    assert "olá ␛[2J" in shown[0][1]
    assert shown[2][0] == 0
    assert "olá ␛[2J" in shown[2][1]
    assert shown[1][0] == 2
    assert "which no terminal shows: --save DIR, or > FILE" in " ".join(shown[1][1].split())


def test_to_and_cc_are_shown_where_there_are_any(tmp_path: Path) -> None:
    put(tmp_path, entry("a.1", "s\nTo: =?utf-8?q?Jos=C3=A9=2C?= <j@x>,\n b@c\nCc: d@e\x1b"), entry("a.2"))
    lines = show(tmp_path, "ana@example.org", "a.1")[1].splitlines()
    assert lines[1:4] == ["From: Bo <bo@example.net>", 'To: "José," <j@x>, b@c', "Cc: d@e␛"]
    assert "To:" not in show(tmp_path, "ana@example.org", "a.2")[1]


FROM = b"From ana@example.org Mon Nov 23 07:05:55 2026"
TRACE = (
    b"Return-Path: <ana@example.org>\nDelivered-To: joao@example.com\n"
    b"Received: from home ([127.0.0.1]) by correio.localhost with ESMTP\n id abc123.1 for <joao@example.com>;\n"
    b" Mon, 23 Nov 2026 07:05:55 +0000\n"
)


@pytest.fixture
def of_joao(tmp_path: Path) -> Path:
    message = FROM + b"\n" + TRACE + b"Subject: %s\n\n>From the start\n\n"
    (tmp_path / "joao@example.com.txt").write_bytes(message % b"one" + message % b"two")
    (tmp_path / "ana@example.org.txt").touch()
    return tmp_path


def test_the_command_shows_each_message_with_its_number(of_joao: Path) -> None:
    result = CliRunner().invoke(main, ["read", "Joao@example.com", "--mailboxes", str(of_joao)])
    assert result.exit_code == 0
    assert [line for line in result.output.splitlines() if line.startswith(("Message", "Subject"))] == [
        "Message 1",
        "Subject: one",
        "Message 2",
        "Subject: two",
    ]
    assert "\nFrom the start\n" in result.output


def test_raw_is_the_file_octet_by_octet(of_joao: Path) -> None:
    result = CliRunner().invoke(main, ["read", "--raw", "joao@example.com"], env={"MAILBOXES": str(of_joao)})
    assert result.stdout_bytes == (of_joao / "joao@example.com.txt").read_bytes()


def test_an_empty_mailbox_is_no_error(of_joao: Path) -> None:
    result = CliRunner().invoke(main, ["read", "ana@example.org", "--mailboxes", str(of_joao)])
    assert (result.exit_code, result.output) == (0, "No mail for ana@example.org.\n")


def test_a_missing_mailbox_is_an_error_with_near_names(of_joao: Path) -> None:
    result = CliRunner().invoke(main, ["read", "joan@example.com", "--mailboxes", str(of_joao)])
    assert result.exit_code == 1
    assert "Is it one of these? joao@example.com" in result.stderr


def test_reading_changes_nothing(of_joao: Path) -> None:
    path = of_joao / "joao@example.com.txt"
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    CliRunner().invoke(main, ["read", "joao@example.com", "--mailboxes", str(of_joao)])
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert sorted(file.name for file in of_joao.iterdir()) == ["ana@example.org.txt", "joao@example.com.txt"]


def test_one_hostile_mail_hides_no_other_from_the_commands(tmp_path: Path) -> None:
    put(tmp_path, *(b"From bo@example.net\n" + content + b"\n" for content in HOSTILE.values()), entry("a.1"))
    for command in (
        ["list", "ana@example.org"],
        ["list", "ana@example.org", "--json"],
        ["read", "ana@example.org"],
        ["show", "ana@example.org"],
        ["wait", "--to", "ana@example.org", "--from", "bo@example.net", "--after", "", "--subject", "Hello"],
    ):
        result = CliRunner().invoke(main, [*command, "--mailboxes", str(tmp_path)])
        assert (result.exit_code, result.exception) == (0, None), command
        assert "a.1" in result.output


@given(octets)
def test_any_octets_are_a_mailbox(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "ana@example.org.txt").write_bytes(content)
    for command in (["list"], ["list", "--json"], ["read"]):
        result = CliRunner().invoke(main, [*command, "ana@example.org", "--mailboxes", str(folder)])
        assert (result.exit_code, result.exception) == (0, None)
