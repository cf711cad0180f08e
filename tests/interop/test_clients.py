"""Mail sent with real clients arrives, whole, in every recipient's mailbox."""

from __future__ import annotations

import base64
import random
import smtplib
import subprocess
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from pathlib import Path

import pytest

from tests import mailboxes
from tests.conditions import wait_until
from tests.interop.conftest import program
from tests.stack import Stack

pytestmark = pytest.mark.stack

MARIA, JOAO, ANA, JOSE = "maria@example.com", "joao@example.com", "ana@example.org", "josé@exemplo.com.br"
AWKWARD = "From the start\n>From quoted\n.\n..\n.leading dot\n\nFrom again\n  trailing blanks  \n"


def last(stack: Stack, address: str) -> bytes:
    return mailboxes.read(stack.mailboxes / f"{address}.txt")[-1].text


def count(stack: Stack, address: str) -> int:
    return len(mailboxes.read(stack.mailboxes / f"{address}.txt"))


def test_smtplib_delivers_to_one_and_to_several(stack: Stack) -> None:
    text = f"Subject: from smtplib\n\n{AWKWARD}"
    with smtplib.SMTP("127.0.0.1", stack.port) as client:
        assert client.sendmail("someone@gmail.com", [MARIA], text) == {}
        refused = client.sendmail("someone@gmail.com", [JOAO, "nobody@example.com", ANA, JOAO], text)
        assert refused.keys() == {"nobody@example.com"}
    for address in (MARIA, JOAO, ANA):
        assert last(stack, address) == text.encode()
    assert count(stack, JOAO) == 1


def test_smtplib_delivers_a_10_mib_attachment(stack: Stack) -> None:
    attachment = random.Random(1).randbytes(10 * 1024 * 1024)
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "someone@gmail.com", MARIA, "large"
    message.set_content("see the attachment\n")
    message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="a.bin")
    message.set_boundary("=the-boundary=")
    with smtplib.SMTP("127.0.0.1", stack.port) as client:
        client.send_message(message)
    sent = message.as_bytes().replace(b"\r\n", b"\n")
    # A copy of over 8 MiB is whole in the mailbox soon after its 250: docs/operations.md.
    wait_until(lambda: last(stack, MARIA) == sent, "the whole mail is in the mailbox")
    assert base64.b64encode(attachment[:57]) in stack.mailbox(MARIA)


def test_smtplib_delivers_between_utf8_addresses(stack: Stack) -> None:
    message = EmailMessage(policy=SMTPUTF8)
    message["From"], message["To"], message["Subject"] = "joão@gmail.com", JOSE, "olá, José"
    message.set_content("Até já — ção\n", cte="8bit")
    with smtplib.SMTP("127.0.0.1", stack.port) as client:
        client.send_message(message)
    stored = mailboxes.read(stack.mailboxes / f"{JOSE}.txt")[-1]
    assert stored.text == message.as_bytes().replace(b"\r\n", b"\n")
    assert b"with UTF8SMTP" in stored.trace
    assert b"Return-Path: <jo\xc3\xa3o@gmail.com>" in stored.trace


def test_swaks_delivers_to_one_and_to_several(stack: Stack) -> None:
    command = [program("swaks"), "--server", f"127.0.0.1:{stack.port}", "--from", "someone@gmail.com"]
    body = f"Subject: from swaks\n\n{AWKWARD}".replace("\n", "\r\n")
    for recipients in (MARIA, f"{JOAO},{ANA}"):
        subprocess.run(
            [*command, "--to", recipients, "--data", "-"], input=body, text=True, check=True, capture_output=True
        )
    for address in (MARIA, JOAO, ANA):
        assert b"Subject: from swaks\n" in last(stack, address)
        assert AWKWARD.encode() in last(stack, address)


def test_swaks_pipelines(stack: Stack) -> None:
    command = [program("swaks"), "--server", f"127.0.0.1:{stack.port}", "--from", "someone@gmail.com", "--pipeline"]
    command += ["--to", f"{MARIA},{JOAO}", "--h-Subject", "pipelined"]
    run = subprocess.run(command, text=True, check=True, capture_output=True)
    assert "250 2.0.0" in run.stdout
    for address in (MARIA, JOAO):
        assert b"Subject: pipelined\n" in last(stack, address)


def test_msmtp_delivers_to_one_and_to_several(stack: Stack) -> None:
    text = f"Subject: from msmtp\n\n{AWKWARD}"
    command = [
        program("msmtp"),
        "--file=/dev/null",
        "--host=127.0.0.1",
        f"--port={stack.port}",
        "--from=me@gmail.com",
    ]
    for recipients in ([MARIA], [JOAO, ANA]):
        subprocess.run([*command, "--", *recipients], input=text, text=True, check=True, capture_output=True)
    for address in (MARIA, JOAO, ANA):
        assert last(stack, address).endswith(text.encode())


def test_msmtp_exits_with_an_error_when_the_recipient_is_unknown(stack: Stack) -> None:
    command = [
        program("msmtp"),
        "--file=/dev/null",
        "--host=127.0.0.1",
        f"--port={stack.port}",
        "--from=me@gmail.com",
    ]
    run = subprocess.run([*command, "--", "nobody@example.com"], input="x\n", text=True, capture_output=True)
    assert run.returncode != 0
    assert "550" in run.stderr


def test_curl_delivers_to_one_and_to_several(stack: Stack, tmp_path: Path) -> None:
    text = f"Subject: from curl\n\n{AWKWARD}"
    mail = tmp_path / "mail.txt"
    mail.write_bytes(text.replace("\n", "\r\n").encode())
    for recipients in ([MARIA], [JOAO, ANA]):
        to = [word for recipient in recipients for word in ("--mail-rcpt", recipient)]
        command = [program("curl"), "--silent", "--show-error", "--mail-from", "someone@gmail.com", *to]
        command += ["--upload-file", str(mail), f"smtp://127.0.0.1:{stack.port}/client.example.net"]
        subprocess.run(command, check=True, capture_output=True)
    for address in (MARIA, JOAO, ANA):
        assert last(stack, address) == text.encode()


def test_s_nail_greets_with_helo_and_delivers(stack: Stack) -> None:
    command = [program("s-nail"), "-:/", "-S", f"mta=smtp://127.0.0.1:{stack.port}", "-S", "v15-compat"]
    command += [
        "-S",
        "smtp-auth=none",
        "-S",
        "smtp-config=-all,ehlo",
        "-S",
        "hostname=gmail.com",
        "-r",
        "me@gmail.com",
    ]
    run = subprocess.run(
        [*command, "-s", "from s-nail", MARIA], input="hello\n", text=True, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert b"Subject: from s-nail\n" in last(stack, MARIA)
