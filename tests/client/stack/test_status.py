from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from client.run_folder import Server
from client.stack.probe import probe
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


@pytest.mark.parametrize("greeting", ["554 no", "SSH-2.0-OpenSSH_9"])
def test_what_is_no_smtp_server_or_none_for_us_is_told(serve: Serve, greeting: str) -> None:
    seen = probe(Server("127.0.0.1", serve(lambda peer: peer.say(greeting))))
    assert (seen.listening, seen.takes_mail) == (True, False)
    assert seen.trouble


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
