"""How a stack is: what a short session shows, and what its services tell."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.run_folder import Server
from client.stack.status import probe, services, table, versions, why_no_mail
from runtime.vitals import Vitals
from tests.client.conftest import Answers, Peer

Serve = Callable[[Callable[[Peer], None]], int]


def test_a_server_that_takes_mail_is_known_and_nothing_is_sent(serve: Serve, answers: Answers) -> None:
    seen = probe(Server("127.0.0.1", serve(answers)))
    assert seen.takes_mail
    assert (seen.greeting, seen.trouble) == ("220 test ESMTP", "")
    assert seen.extensions["SIZE"] == "1000000"
    assert answers.heard == ["EHLO localhost", "MAIL FROM:<>", "RCPT TO:<postmaster>", "QUIT"]
    assert set(seen.times) == {"connect", "greeting", "ehlo", "mail", "rcpt", "quit"}
    assert all(0 <= value < 5000 for value in seen.times.values())


def test_a_server_that_refuses_says_why(serve: Serve, answers: Answers) -> None:
    answers.changed["RCPT"] = "451 4.3.2 The store does not answer"
    seen = probe(Server("127.0.0.1", serve(answers)))
    assert (seen.listening, seen.takes_mail) == (True, False)
    assert seen.trouble == "RCPT TO:<postmaster> was answered: 451 4.3.2 The store does not answer"


@pytest.mark.parametrize(
    ("said", "greeting", "trouble"),
    [
        ("554 no", "554 no", "the greeting is a refusal: 554 no"),
        (
            "SSH-2.0-OpenSSH_9",
            "",
            "This is not an SMTP server, or it is broken: not a reply line (code, blank or hyphen, ",
        ),
        ("", "", "The server closed the connection"),
        ("220 hi", "220 hi", "The server closed the connection"),
    ],
)
def test_what_is_no_smtp_server_or_none_for_us_is_told(serve: Serve, said: str, greeting: str, trouble: str) -> None:
    def peer_says(peer: Peer) -> None:
        if said:
            peer.say(said)
            peer.hear()

    seen = probe(Server("127.0.0.1", serve(peer_says)))
    assert (seen.listening, seen.takes_mail, seen.greeting) == (True, False, greeting)
    assert seen.trouble.startswith(trouble)


def test_a_refusal_is_told_whole_and_a_server_without_ehlo_takes_mail(serve: Serve, answers: Answers) -> None:
    answers.changed["RCPT"] = "550-5.1.1 Nobody\n550 5.1.1 of this name"
    refusal = "RCPT TO:<postmaster> was answered: 550-5.1.1 Nobody\n550 5.1.1 of this name"
    assert probe(Server("127.0.0.1", serve(answers))).trouble == refusal
    answers.changed = {"EHLO": "502 what?"}
    seen = probe(Server("127.0.0.1", serve(answers)))
    assert (seen.takes_mail, seen.extensions, seen.trouble) == (True, {}, "")


def test_nobody_is_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen = probe(Server("127.0.0.1", port))
    assert (seen.listening, seen.as_json()["takes_mail"]) == (False, False)
    assert "Nobody listens" in seen.trouble


def test_a_stack_whose_disk_is_full_takes_no_mail_though_it_answers(
    serve: Serve, answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = serve(answers)
    monkeypatch.setenv("RUN", str(tmp_path))
    (tmp_path / "stack.json").write_text(json.dumps({"host": "127.0.0.1", "port": port}))
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "mailbox_store").write_text(json.dumps({"why_not": "no room for mail"}))
    seen = probe(Server("127.0.0.1", port))
    assert (seen.listening, seen.takes_mail, seen.trouble) == (True, False, "no room for mail")


def sign(run: Path, name: str, age: float = 0, **told: Any) -> None:
    path = run / "ready" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"service": name, "version": "1.0", "pid": 7, "since": time.time() - 130, **told}))
    os.utime(path, (time.time() - age,) * 2)


def started(run: Path, mode: str, workers: int) -> None:
    (run / "stack.json").write_text(json.dumps({"mode": mode, "settings": {"WORKERS": str(workers)}}))


def test_where_nothing_ever_ran_there_is_nothing(tmp_path: Path) -> None:
    assert services(tmp_path) == []
    assert table([]) == []


def test_a_service_is_ready_while_it_writes_its_file(tmp_path: Path) -> None:
    sign(tmp_path, "gateway")
    sign(tmp_path, "mailbox_store", age=60)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "session_worker_1.log").touch()
    (tmp_path / "ready" / ".gateway.new").touch()
    assert {each.name: each.ready for each in services(tmp_path)} == {
        "gateway": True,
        "mailbox_store": False,
        "session_worker_1": False,
    }


def test_a_file_of_a_service_s_own_making_is_understood(tmp_path: Path) -> None:
    (tmp_path / "ready").mkdir()
    Vitals("gateway", str(tmp_path / "ready" / "gateway"), notify="").beat(True, {"connections": 3})
    (gateway,) = services(tmp_path)
    assert gateway.ready
    assert gateway.as_json()["connections"] == 3
    assert gateway.seconds is not None
    assert gateway.seconds < 60


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\udcff", '{"since": "x", "version": 5, "steps": "many"}'])
def test_a_file_that_says_nothing_sensible_is_ready_all_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "gateway").write_text(text, errors="surrogateescape")
    found = services(tmp_path)
    assert [each.ready for each in found] == [True]
    assert table(found)[1].startswith("gateway  ready")


def test_of_containers_those_that_are_missing_are_named(tmp_path: Path) -> None:
    started(tmp_path, "docker", workers=3)
    sign(tmp_path, "gateway-0a1b")
    sign(tmp_path, "session_worker-0c2d")
    assert {each.name: each.ready for each in services(tmp_path)} == {
        "gateway-0a1b": True,
        "mailbox_store": False,
        "session_worker (missing 1)": False,
        "session_worker (missing 2)": False,
        "session_worker-0c2d": True,
    }


def test_the_table_has_a_line_each_with_release_age_and_load(tmp_path: Path) -> None:
    sign(tmp_path, "gateway", connections=2, workers=1, steps_waiting=0, messages=12)
    sign(tmp_path, "mailbox_store", deliveries=9, journal_messages=3, journal_oldest_seconds=200.4, users=4)
    sign(tmp_path, "session_worker_1", age=60, steps=5)
    assert table(services(tmp_path)) == [
        "service           state      version  up     load",
        "gateway           ready      1.0      2 min  2 connections, 1 worker, 0 steps waiting, 12 messages",
        "mailbox_store     ready      1.0      2 min  9 deliveries, 4 users, 3 messages in the journal, "
        "the oldest for 3 min",
        "session_worker_1  not ready  1.0      -",
    ]


def test_releases_that_differ_are_told_in_words(tmp_path: Path) -> None:
    sign(tmp_path, "gateway")
    sign(tmp_path, "session_worker_1", version="1.1")
    sign(tmp_path, "session_worker_2", version="0.9", age=60)
    found = services(tmp_path)
    assert versions(found) == {"1.0": ["gateway"], "1.1": ["session_worker_1"]}
    assert table(found)[-1].startswith("! releases differ: 1.0 in gateway; 1.1 in session_worker_1; ")


def test_nothing_in_a_file_reaches_the_terminal_as_it_is(tmp_path: Path) -> None:
    sign(tmp_path, "gateway", version="\x1b[2J")
    assert "\x1b" not in "\n".join(table(services(tmp_path)))


def test_what_keeps_a_ready_service_from_its_work_stands_in_its_place(tmp_path: Path) -> None:
    sign(tmp_path, "mailbox_store", why_not="no room\x1b[2J for mail")
    assert table(services(tmp_path))[1].split("  ")[1] == "no room␛[2J for mail"


def test_only_of_the_stack_in_run_it_is_known_why_it_takes_no_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN", str(tmp_path))
    sign(tmp_path, "mailbox_store", why_not="no room for mail")
    sign(tmp_path, "gateway")
    assert why_no_mail(Server("127.0.0.1", 2525)) == ""
    (tmp_path / "stack.json").write_text(json.dumps({"host": "127.0.0.1", "port": 2525}))
    assert why_no_mail(Server("127.0.0.1", 2525)) == "no room for mail"
    assert why_no_mail(Server("127.0.0.1", 2526)) == ""
    assert why_no_mail(Server("mail.example.org", 2525)) == ""
    sign(tmp_path, "mailbox_store", age=60, why_not="no room for mail")
    assert why_no_mail(Server("127.0.0.1", 2525)) == ""
