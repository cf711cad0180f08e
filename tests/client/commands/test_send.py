from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
ENDS = ["--from", "ana@example.org", "--to", "joao@example.com"]


def send(port: int, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "client", "send", "--port", str(port), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False, **options)


def test_a_text_from_a_pipe_is_delivered_and_the_server_s_answer_shown(serve: Any, answers: Any) -> None:
    done = send(serve(answers), *ENDS, "--subject", "Olá", input=b"See you at 8\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"250 2.0.0 Delivered abc.1\n", b"")
    assert b"Subject: =?utf-8?q?Ol=C3=A1?=\r\n" in answers.bodies[0]
    assert answers.bodies[0].endswith(b"\r\n\r\nSee you at 8\r\n")


def test_a_file_goes_to_all_recipients_with_names_in_the_header_only(
    serve: Any, answers: Any, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_bytes(b"Dear all\n")
    ends = ["--from", "Ana B. <ana@example.org>", "--to", "<joao@example.com>", "--to", '"a b"@example.com']
    assert send(serve(answers), *ends, "--helo", "home", str(letter)).returncode == 0
    assert answers.heard[0] == "EHLO home"
    assert answers.heard[1].startswith("MAIL FROM:<ana@example.org>")
    assert answers.heard[2:4] == ["RCPT TO:<joao@example.com>", 'RCPT TO:<"a b"@example.com>']
    assert b'From: "Ana B." <ana@example.org>\r\n' in answers.bodies[0]
    assert b'To: joao@example.com,\r\n "a b"@example.com\r\n' in answers.bodies[0]


def test_the_null_sender_is_an_empty_path(serve: Any, answers: Any) -> None:
    assert send(serve(answers), "--from", "<>", "--to", "joao@example.com", input=b"x").returncode == 0
    assert answers.heard[1].startswith("MAIL FROM:<> ")
    assert b"From: MAILER-DAEMON@localhost\r\n" in answers.bodies[0]


def test_a_refusal_is_printed_as_the_server_said_it(serve: Any, answers: Any) -> None:
    answers.changed["RCPT"] = "550-5.1.1 No such user\n550 5.1.1 Try again"
    done = send(serve(answers), *ENDS, input=b"x")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"RCPT TO:<joao@example.com>\n550-5.1.1 No such user\n550 5.1.1 Try again\n" in done.stderr


def test_nobody_listening_has_an_exit_status_of_its_own() -> None:
    done = send(1, *ENDS, input=b"x")
    assert done.returncode == 3
    assert b"Nobody listens on 127.0.0.1:1. Start a stack with: make up, or correio serve" in done.stderr


def test_a_server_that_closes_without_a_word_is_a_lost_connection(serve: Any) -> None:
    done = send(serve(lambda _: None), *ENDS, input=b"x")
    assert done.returncode == 3
    assert b"The server closed the connection" in done.stderr or b"The connection was lost" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--from", "a@b"],
        ["--to", "a@b"],
        ["--from", "a@b", "--to", "<>"],
        ["--from", "", "--to", "a@b"],
        ["--from", "a@b>\r\nRSET", "--to", "a@b"],
        ["--from", "a@b", "--to", b"\xff@b"],
        [*ENDS, "--helo", "x\ny"],
        [*ENDS, "/nowhere/no-such-file"],
    ],
)
def test_wrong_usage_is_found_before_anybody_is_called(arguments: list[str]) -> None:
    assert send(1, *arguments, input=b"x").returncode == 2


def test_a_header_that_cannot_be_is_wrong_usage(serve: Any, answers: Any) -> None:
    done = send(serve(answers), *ENDS, "--header", "no colon", input=b"x")
    assert done.returncode == 2
    assert b"a header field is Name: value" in done.stderr


def test_the_dialogue_can_be_watched_on_standard_error(serve: Any, answers: Any) -> None:
    done = send(serve(answers), "-v", *ENDS, input=b"hidden")
    assert b"C: EHLO [127.0.0.1]\n" in done.stderr
    assert b"S: 354 Go ahead\n" in done.stderr
    assert b"hidden" not in done.stderr


def test_a_large_message_from_a_pipe_takes_little_memory(serve: Any) -> None:
    """The client alone, with less address space for its data than the message has."""
    size = 0

    def server(peer: Any) -> None:
        nonlocal size
        peer.say("220 hello")
        peer.hear()
        peer.say("250 hello")
        while peer.hear() != b"DATA":
            peer.say("250 ok")
        peer.say("354 go")
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            octets = peer.connection.recv(1024 * 1024)
            assert octets
            size += len(octets)
            tail = (tail + octets)[-5:]
        peer.say("250 ok")
        assert peer.connection.recv(100) == b"QUIT\r\n"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (60 * 1024 * 1024,) * 2)

    line = b"x" * 98 + b"\n"
    done = send(serve(server), *ENDS, input=line * 1_000_000, preexec_fn=limit)
    assert (done.returncode, done.stderr) == (0, b"")
    assert size > 100_000_000


@pytest.mark.parametrize("from_pipe", [True, False])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_a_file_in_utf16_is_sent_as_utf8(
    serve: Any, answers: Any, tmp_path: Path, codec: str, from_pipe: bool
) -> None:
    octets = "\ufeffSubject: Olá\r\n\r\nolá ✉\r\n".encode(codec)
    letter = tmp_path / "letter.txt"
    letter.write_bytes(octets)
    source: dict[str, Any] = {"input": octets} if from_pipe else {}
    done = send(serve(answers), *ENDS, *([] if from_pipe else [str(letter)]), **source)
    assert (done.returncode, done.stderr) == (0, b"")
    assert answers.bodies[0].startswith("Subject: Olá\r\n".encode())
    assert answers.bodies[0].endswith("\r\n\r\nolá ✉\r\n".encode())


def test_what_only_begins_as_utf16_is_sent_octet_by_octet(serve: Any, answers: Any) -> None:
    assert send(serve(answers), *ENDS, input=b"\xff\xfe\x00\xd8x").returncode == 0
    assert b"application/octet-stream" in answers.bodies[0]
    assert answers.bodies[0].endswith(b"\r\n\r\n//4A2Hg=\r\n")


def test_a_header_over_the_limit_is_wrong_usage_and_nothing_is_sent(serve: Any, answers: Any) -> None:
    done = send(serve(answers), *ENDS, input=b"Subject: x\nTo: " + b"a@b,\n " * 50_000 + b"\n\nbody\n")
    assert done.returncode == 2
    assert b"the message's header has over 256 KiB" in done.stderr
    assert answers.bodies == []


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux has a file that cannot be read")
def test_an_input_that_cannot_be_read_is_told_in_one_line() -> None:
    done = send(1, *ENDS, "/proc/self/mem")
    assert done.returncode == 2
    said = b"Error: The message cannot be read, or not be kept until it is sent: Input/output error\n"
    assert done.stderr == said
