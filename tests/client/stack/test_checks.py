"""Each thing that can be wrong is found, and comes with what to do about it."""

from __future__ import annotations

import errno
import os
import socket
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from client.run_folder import Server
from client.stack import checks
from client.stack.checks import FAILED, OK, WARNING, Finding, listeners
from tests.client.conftest import Answers, Peer

Serve = Callable[[Callable[[Peer], None]], int]


def found(folder: Path, port: int = 1) -> dict[str, Finding]:
    all_of_them = checks.checks(Server("127.0.0.1", port), folder / "users.txt", folder / "mailboxes")
    return {finding.check: finding for finding in all_of_them}


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    (tmp_path / "users.txt").write_text(
        "# course\nana@example.org\n*@example.org\n*@*\njos\u00e9@ex\u00e1mple.org\n", "utf-8"
    )
    (tmp_path / "mailboxes").mkdir()
    return tmp_path


def test_a_sound_machine_has_nothing_to_mend(
    sound: Path, serve: Serve, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", {"CONFIG_ARGS": "'--enable-optimizations'"}.get)
    answers.ehlo = (*answers.ehlo, "ENHANCEDSTATUSCODES")
    findings = found(sound, serve(answers))
    findings.pop("docker")
    assert {finding.state for finding in findings.values()} == {OK}
    assert f"pid {os.getpid()}" in findings["port"].what
    assert findings["users"].what.endswith("users.txt: 4 users")


def test_a_users_file_that_is_elsewhere_is_no_failure_where_mail_is_taken(
    sound: Path, serve: Serve, answers: Answers
) -> None:
    (sound / "users.txt").unlink()
    finding = found(sound, serve(answers))["users"]
    assert (finding.state, "is not here" in finding.what, "--users" in finding.advice) == (WARNING, True, True)


def test_a_server_that_is_not_there_or_another_one_is_told(
    sound: Path, serve: Serve, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN", str(sound))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert found(sound, port)["port"].advice.startswith(f"start it: make up PORT={port}")
    (sound / "stack.json").write_text('{"port": 2525}')
    assert found(sound, port)["port"].advice == "name that port: --port"
    assert found(sound, serve(answers))["smtp"].state == WARNING
    answers.changed["RCPT"] = "451 4.3.2 No store"
    assert found(sound, serve(answers))["smtp"].state == FAILED
    other = found(sound, serve(lambda peer: peer.say("SSH-2.0-OpenSSH_9")))["smtp"]
    assert (other.state, "another program" in other.advice) == (FAILED, True)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"ana\n", "users.txt:1: "),
        (b"ana@b\nana@@b\n", "users.txt:2: this is no address"),
        (b"Ana <ana@b>\n", "users.txt:1: this is no address"),
        (b"ana@b\n#\nAna@B # again\n", "users.txt:3: the same mailbox as on line 1"),
        (b"\n#\n", "has no address"),
        (b"\xff@b\n", "utf-8"),
        (None, "No such file"),
    ],
)
def test_a_users_file_that_will_not_do_is_named(sound: Path, octets: bytes | None, said: str) -> None:
    if octets is None:
        (sound / "users.txt").unlink()
    else:
        (sound / "users.txt").write_bytes(octets)
    finding = found(sound)["users"]
    assert (finding.state, said in finding.what) == (FAILED, True)
    assert finding.advice


@pytest.mark.parametrize(
    ("given", "prefix", "state"),
    [
        ("'--prefix=/root/.pyenv/versions/3.11.7' '--enable-shared'", "/root/.pyenv/versions/3.11.7", WARNING),
        ("'--prefix=/root/.pyenv/versions/3.11.7' '--enable-optimizations'", "/root/.pyenv/versions/3.11.7", OK),
        ("'--build=x86_64-linux-gnu' '--enable-optimizations' '--with-lto'", "/usr/local", OK),
        # Debian's own says nothing of it.
        ("'--enable-shared' '--prefix=/usr' '--with-computed-gotos'", "/usr", OK),
        ("", "/usr/local", WARNING),
        # Windows has no such thing.
        (None, "C:\\Python", OK),
    ],
)
def test_a_python_that_was_not_optimized_is_told(
    sound: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, prefix: str, state: str
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", {"CONFIG_ARGS": given}.get)
    monkeypatch.setattr(sys, "base_prefix", prefix)
    finding = found(sound)["python"]
    assert finding.state == state
    assert ("without its optimizations" in finding.what) is (state == WARNING)
    assert bool(finding.advice) is (state == WARNING)


def test_a_mailbox_folder_that_will_not_do_is_named(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert found(sound)["mailboxes"].state == FAILED
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert f"chown -R $(id -u) {sound}" in found(sound)["mailboxes"].advice
    (sound / "mailboxes").rmdir()
    assert found(sound)["mailboxes"].state == WARNING
    (sound / "mailboxes").touch()
    assert found(sound)["mailboxes"].state == FAILED


def test_an_old_python_a_full_disk_and_no_engine_are_told(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_OLDEST", (4, 0))
    monkeypatch.setattr(checks, "_LEAST_SPACE", 2**80)
    monkeypatch.setenv("PATH", str(sound))
    findings = found(sound)
    assert [findings[name].state for name in ("python", "disk", "docker")] == [FAILED, FAILED, WARNING]
    (sound / "docker").write_text("#!/bin/sh\necho Cannot connect >&2\nexit 1\n")
    (sound / "docker").chmod(0o755)
    assert found(sound)["docker"].what == "no Docker engine: Cannot connect"
    (sound / "docker").write_text("#!/bin/sh\necho 20.10\n")
    assert found(sound)["docker"] == Finding("docker", OK, "Docker engine 20.10")


@pytest.mark.parametrize("call", ["statvfs", "stat"])
def test_what_cannot_be_looked_at_is_a_finding(sound: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(os, call)

    def broken(path: str | Path, **how: bool) -> os.stat_result:
        if "mailboxes" in str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        findings = found(sound)
    assert findings["disk"].state == FAILED
    assert findings["disk"].what == f"cannot be looked at: {sound / 'mailboxes'}: Input/output error"
    assert findings["mailboxes"].state == (FAILED if call == "stat" else OK)


def test_a_folder_that_everybody_can_write_to_is_told(sound: Path) -> None:
    (sound / "mailboxes").chmod(0o777)
    finding = found(sound)["mailboxes"]
    assert (finding.state, finding.advice) == (WARNING, f"chmod o-w {sound / 'mailboxes'}")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_listens_is_found(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {address} here: {error}")
    with listening:
        port = listening.getsockname()[1]
        assert any(each.startswith(f"pid {os.getpid()}: ") for each in listeners(port))
    assert listeners(port) == []


def test_where_there_is_no_proc_nobody_is_found(tmp_path: Path) -> None:
    assert listeners(25, tmp_path) == []
