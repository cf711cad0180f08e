from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from client.__main__ import main
from client.status import ready_services
from tests.client.conftest import Answers, Peer


def run(port: int, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--port", str(port), "status", "--run", "no-such-folder", *arguments])
    return result.exit_code, result.output


def test_it_says_that_mail_is_taken_and_how_fast(
    serve: Callable[[Callable[[Peer], None]], int], answers: Answers
) -> None:
    status, output = run(serve(answers))
    assert status == 0
    assert "takes mail\n  greeting    220 test ESMTP\n" in output
    assert "extensions  PIPELINING, SIZE 1000000, 8BITMIME, SMTPUTF8\n" in output
    status, output = run(serve(answers), "--json")
    assert (status, json.loads(output)["takes_mail"]) == (0, True)


def test_its_status_tells_trouble_from_nobody(
    serve: Callable[[Callable[[Peer], None]], int], answers: Answers
) -> None:
    answers.changed["MAIL"] = "421 4.3.2 Shutting down"
    assert run(serve(answers))[0] == 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert run(port)[0] == 3


def test_a_service_is_ready_while_it_touches_its_file(tmp_path: Path) -> None:
    assert ready_services(tmp_path) == {}
    for folder, names in {"ready": ["gateway", "mailbox_store"], "logs": ["session_worker_1.log"]}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    long_ago = time.time() - 60
    os.utime(tmp_path / "ready" / "mailbox_store", (long_ago, long_ago))
    assert ready_services(tmp_path) == {"gateway": True, "mailbox_store": False, "session_worker_1": False}
