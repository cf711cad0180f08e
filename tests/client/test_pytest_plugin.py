"""The pytest plugin, in runs of pytest of its own: what tests are given, and how its failures look."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from client.pytest_plugin import Mail, MailTimeout, _settings
from client.stack.owned_stack import StackError
from client.testing import fixture
from client.testing.private_stack import PrivateStack
from tests.stack import ROOT

pytestmark = pytest.mark.stack

TESTS = """
import smtplib
import time
import pytest

def test_a_mail_that_is_sent_is_there(mail):
    first = mail.send(to="ana@example.com", subject="First", text="Ol\\u00e1\\n.dot\\n")
    found = mail.wait(to="Ana@example.com", subject="^Fir")
    assert (found.id, found.text, found.message["Subject"]) == (first, "Ol\\u00e1\\n.dot\\n", "First")
    second = mail.send(to=["ana@example.com", "bruno@example.com"], sender="", message=b"Subject: Second\\n\\ntext")
    assert mail.wait(to="ana@example.com", after=found).id == second
    assert [each.subject for each in mail.mailbox("ana@example.com")] == ["First", "Second"]
    assert mail.wait(to="bruno@example.com").sender == ""
    # smtplib's letter case is another in each Python.
    assert "c: mail from:<>" in mail.conversations.lower()

def test_mailboxes_are_empty_at_the_start(mail):
    assert mail.mailbox("ana@example.com") == []
    with smtplib.SMTP(mail.host, mail.port) as session:
        assert session.noop()[0] == 250

def test_what_the_server_refuses_is_raised(mail):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        mail.send(to=["ana@example.com", "nobody@example.com"])
    with pytest.raises(smtplib.SMTPSenderRefused):
        mail.send(to="ana@example.com", sender="no address")
    with pytest.raises(smtplib.SMTPDataError, match="451"):
        mail.send(to="ana+fail-451-at-end@example.com")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        mail.send(to="ana+drop-at-250@example.com", subject="Stored all the same")
    assert [each.subject for each in mail.mailbox("ana@example.com")] == ["Stored all the same"]

def test_an_address_without_a_mailbox_is_no_empty_mailbox(mail):
    for ask in (mail.mailbox, lambda address: mail.wait(to=address)):
        with pytest.raises(AssertionError, match="nina@example.com is no user of this server; these are: ana@"):
            ask("nina@example.com")
    assert mail.mailbox("ana+tag@example.com") == []
    mail.send(to="ana+tag@example.com", subject="tagged")
    assert [each.subject for each in mail.mailbox("ana+tag@example.com")] == ["tagged"]

def test_each_of_several_recipients_in_one_mailbox_finds_the_mail(mail):
    addresses = ["ana+one@example.com", "Ana+Two@example.com", "ana@example.com"]
    sent = mail.send(to=addresses, message=b"To: somebody@else.example\\nSubject: blind copies\\n\\nx")
    for address in addresses:
        assert [each.id for each in mail.mailbox(address)] == [sent]
        assert mail.wait(to=address.lower()).id == sent
    assert mail.mailbox("ana+three@example.com") == []

def test_a_user_can_be_added(mail):
    mail.add_user("dora@example.org")
    mail.send(to="dora@example.org")
    assert mail.wait(to="dora@example.org")

def test_a_user_is_known_as_soon_as_it_was_added(mail):
    with smtplib.SMTP(mail.host, mail.port) as session:
        session.ehlo()
        for address in ("eva@example.org", "\\"e va\\"@example.org", "*@catch.example"):
            session.mail("bo@example.net")
            mail.add_user(address)
            assert session.docmd("RCPT", f"TO:<{address}>")[0] == 250
            session.rset()

def test_a_user_that_is_there_or_cannot_be_keeps_no_other_out(mail):
    mail.add_user("fred@example.org")
    mail.add_user("Fred@Example.org")
    for address in ("not an address", "a/b@example.org", "two@example.org\\nlines@example.org"):
        with pytest.raises(AssertionError, match="can have no mailbox: "):
            mail.add_user(address)
    mail.add_user("josé@example.org")
    mail.send(to="fred@example.org")
    assert mail.wait(to="fred@example.org")

def test_the_time_of_wait_holds_whatever_the_pattern_and_the_mail(mail):
    for subject in ("a" * 20_000 + "!", "=?punycode?q?" + "a" * 400 + "-" + "bcd" * 100 + "?="):
        mail.send(to="ana@example.com", message=f"Subject: {subject}\\n\\nx\\n".encode())
    began = time.process_time()
    with pytest.raises(AssertionError, match="subjects? searching for the pattern took too long"):
        mail.wait(to="ana@example.com", subject="(a+)+$", timeout=1)
    assert time.process_time() - began < 2

def test_a_mail_is_read_as_the_commands_read_it(mail):
    mail.send(to="ana@example.com", message=b"\\xef\\xbb\\xbfSubject : s\\nContent-Type: multipart/x\\n\\nx\\n")
    found = mail.wait(to="ana@example.com", subject="^s$")
    assert ([part.type for part in found.parts], found.problems, found.text) == (["text/plain"], [], "x\\n")
    assert found.message["Subject"] == "s"
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = ["-p", "client.pytest_plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *arguments, str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "two workers of xdist"])
def test_what_tests_are_given(tmp_path: Path, workers: list[str]) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    done = run(tmp_path, *workers, "-W", "error")
    assert done.returncode == 0, done.stdout
    assert "10 passed" in done.stdout


def test_a_user_is_added_once_the_server_takes_its_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = PrivateStack(["ana@example.com"])
    stack.mailboxes, stack.users_file = tmp_path, tmp_path / "users.txt"
    stack.users_file.write_text("ana@example.com\n")
    (tmp_path / "eva@example.com.txt").touch()
    answers = [True, False]
    monkeypatch.setattr(fixture, "takes_mail", lambda *_: answers.pop())
    Mail(stack).add_user("eva@example.com")
    assert answers == []
    monkeypatch.setattr(fixture, "takes_mail", lambda *_: False)
    monkeypatch.setattr(fixture, "_RELOAD_SECONDS", 0.0)
    with pytest.raises(MailTimeout, match=r"the server takes no mail for eva@example\.com after 0 s"):
        Mail(stack).add_user("eva@example.com")


def test_a_mail_that_does_not_come_fails_the_test_and_says_what_came_instead(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(mail):\n    mail.send(to='ana@example.com', subject='Other')\n"
        "    mail.wait(to='ana@example.com', subject='Code', timeout=0.1)\n"
    )
    done = run(tmp_path)
    assert done.returncode == 1
    assert "MailTimeout: no such mail for ana@example.com within 0.1 s. The mailbox has 1 message:" in done.stdout
    assert "sender@example.net  Other" in done.stdout


def test_users_and_settings_come_from_the_ini_file_or_a_fixture(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmail_users =\n  eva@x.example\nmail_settings =\n  VRFY = off\n")
    (tmp_path / "test_ini.py").write_text(
        "import smtplib\ndef test_it(mail):\n    mail.send(to='eva@x.example')\n"
        "    with smtplib.SMTP(mail.host, mail.port) as session:\n        assert session.verify('eva')[0] == 252\n"
    )
    assert run(tmp_path).returncode == 0
    (tmp_path / "conftest.py").write_text(
        "import pytest\n@pytest.fixture(scope='session')\ndef mail_users():\n    return ['*@catch.example']\n"
    )
    (tmp_path / "test_ini.py").write_text("def test_it(mail):\n    mail.send(to='anybody@catch.example')\n")
    assert run(tmp_path).returncode == 0


ANYBODY = """
def test_it(mail):
    sent = mail.send(to=["new@far.example", "Other+tag@x.example"])
    for address in ("New@far.example", "new@far.example", "other+tag@x.example"):
        assert [each.id for each in mail.mailbox(address)] == [sent]
    assert mail.mailbox("nobody@far.example") == []
    assert sorted(path.name for path in mail.mailboxes.iterdir()) == {names}
"""


@pytest.mark.parametrize(
    ("ini", "names"),
    [
        (
            "mail_settings =\n  UNKNOWN=create\nmail_users =\n  a@b",
            ["a@b.txt", "new@far.example.txt", "other@x.example.txt"],
        ),
        ("mail_users =\n  *@*", ["*@*.txt"]),
    ],
)
def test_a_server_may_take_mail_for_anybody(tmp_path: Path, ini: str, names: list[str]) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    (tmp_path / "test_it.py").write_text(ANYBODY.replace("{names}", repr(names)))
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("PROFILE=lax", "cannot be started: session_worker: PROFILE=lax"),
        ("VRFY", "mail_settings: 'VRFY' is not NAME=value"),
        # As `make up` has it, and in its words.
        ("MAX_MESAGE_BYTES=1", "MAX_MESAGE_BYTES: there is no such setting; did you mean MAX_MESSAGE_BYTES?"),
        # What would be overridden without a word.
        ("PORT=2525", "mail_settings: PORT: the server of a test run has its own: mail.port"),
    ],
)
def test_a_server_that_cannot_start_is_an_error_in_one_line(tmp_path: Path, setting: str, said: str) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmail_settings =\n  {setting}\n")
    (tmp_path / "test_it.py").write_text("def test_it(mail):\n    pass\n")
    done = run(tmp_path)
    assert done.returncode == 1
    assert said in done.stdout
    assert "During handling" not in done.stdout
    assert "1 error" in done.stdout


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("=off", "mail_settings: '=off' is not NAME=value"),
        ("vrfy=off", "vrfy: there is no such setting; did you mean VRFY?"),
        ("PYTHON=python3", "PYTHON: there is no such setting"),
        ("MAX_CONNECTIONS=none", "MAX_CONNECTIONS=none: "),
        ("USERS=users.txt", "mail_settings: USERS: the server of a test run has its own: the ini option mail_users"),
    ],
)
def test_a_setting_that_cannot_be_is_told(setting: str, said: str) -> None:
    with pytest.raises(StackError, match=re.escape(said)), PrivateStack(["ana@example.com"], _settings([setting])):
        pass
