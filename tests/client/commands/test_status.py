from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from client.__main__ import main
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


def test_the_services_of_the_stack_are_told_with_their_figures(
    serve: Callable[[Callable[[Peer], None]], int], answers: Answers, tmp_path: Path
) -> None:
    (tmp_path / "ready").mkdir()
    told = {"service": "gateway", "version": "1.0", "connections": 4}
    (tmp_path / "ready" / "gateway").write_text(json.dumps(told))
    arguments = ["status", "--run", str(tmp_path)]
    shown = CliRunner().invoke(main, ["--port", str(serve(answers)), *arguments]).output
    assert shown.endswith("  service  state  version  up  load\n  gateway  ready  1.0      -   4 connections\n")
    shown = CliRunner().invoke(main, ["--port", str(serve(answers)), *arguments, "--json"]).output
    seen = json.loads(shown)
    assert seen["services"] == {"gateway": {**told, "ready": True}}
    assert seen["versions"] == {"1.0": ["gateway"]}


def test_the_server_is_the_stack_s_unless_another_one_is_named(
    serve: Callable[[Callable[[Peer], None]], int], answers: Answers, tmp_path: Path
) -> None:
    port = serve(answers)
    (tmp_path / "stack.json").write_text(json.dumps({"host": "127.0.0.1", "port": port}))
    arguments = ["status", "--run", str(tmp_path)]
    shown = CliRunner().invoke(main, arguments)
    assert (shown.exit_code, shown.output.splitlines()[0]) == (0, f"127.0.0.1 port {port}: takes mail")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        another = str(listener.getsockname()[1])
    for options, environment in (["--port", another], {}), ([], {"CORREIO_PORT": another}):
        assert CliRunner().invoke(main, [*options, *arguments], env=environment).exit_code == 3
