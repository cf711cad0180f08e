from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from client.options import complete_address, mailboxes_option, run_option, server_options
from client.run_folder import Server, run_folder


@click.group(invoke_without_command=True)
@server_options
@click.pass_context
def outer(context: click.Context, server: Server) -> None:
    context.obj = server
    if context.invoked_subcommand is None:
        click.echo(f"{server.host} {server.port}")


@outer.command()
@server_options
def inner(server: Server) -> None:
    click.echo(f"{server.host} {server.port}")


@outer.command()
@server_options
@mailboxes_option
@run_option
def both(server: Server, mailboxes: Path) -> None:
    click.echo(f"{server.host} {server.port} {mailboxes} {run_folder().path}")


@outer.command()
@click.argument("address", shell_complete=complete_address)
@mailboxes_option
def reader(address: str, mailboxes: Path) -> None:
    click.echo(f"{address} {mailboxes}")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with no stack in it, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("RUN", "MAILBOXES", "CORREIO_HOST", "CORREIO_PORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def start_stack(run: Path, port: int, mailboxes: str) -> None:
    run.mkdir()
    told = {"host": "127.0.0.1", "port": port, "settings": {"MAILBOXES": mailboxes, "WORKERS": "2"}}
    (run / "stack.json").write_text(json.dumps(told))


def said(*arguments: str, **environment: str) -> str:
    result = CliRunner().invoke(outer, arguments, env=environment)
    assert result.exit_code == 0, result.output
    return result.output.strip()


ENVIRONMENT = {"CORREIO_HOST": "env", "CORREIO_PORT": "25"}
NO_ENVIRONMENT = {"CORREIO_HOST": None, "CORREIO_PORT": None}


@pytest.mark.parametrize("subcommand", [[], ["inner"]])
@pytest.mark.parametrize(
    ("arguments", "environment", "server"),
    [
        ([], NO_ENVIRONMENT, "127.0.0.1 12000"),
        ([], {"CORREIO_HOST": "", "CORREIO_PORT": ""}, "127.0.0.1 12000"),
        ([], ENVIRONMENT, "env 25"),
        (["--host", "h"], ENVIRONMENT, "h 25"),
        (["--port", "1"], ENVIRONMENT, "env 1"),
    ],
)
def test_options_are_above_the_environment_and_that_above_the_defaults(
    subcommand: list[str], arguments: list[str], environment: dict[str, str | None], server: str
) -> None:
    for ordered in ([*arguments, *subcommand], [*subcommand, *arguments]):
        result = CliRunner().invoke(outer, ordered, env=environment)
        assert (result.exit_code, result.output.strip()) == (0, server)


def test_a_subcommand_s_own_options_are_above_those_before_it() -> None:
    result = CliRunner().invoke(outer, ["--host", "a", "--port", "1", "inner", "--port", "2"], env=ENVIRONMENT)
    assert result.output.strip() == "a 2"


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", "²"])
def test_what_is_no_port_is_wrong_usage(port: str) -> None:
    assert CliRunner().invoke(outer, ["--port", port], env=NO_ENVIRONMENT).exit_code == 2
    result = CliRunner().invoke(outer, [], env={"CORREIO_PORT": port})
    assert result.exit_code == 2
    assert "a port is a number from 1 to 65535" in result.output


def test_what_nobody_tells_the_stack_in_run_does(elsewhere: Path) -> None:
    start_stack(elsewhere / "run", 2525, "/srv/mail")
    start_stack(elsewhere / "other", 2626, "/srv/other")
    assert said() == said("inner") == "127.0.0.1 2525"
    assert said("both") == "127.0.0.1 2525 /srv/mail run"
    assert said("reader", "ana@a.example") == "ana@a.example /srv/mail"
    # Another RUN: by option, before the command or behind it, and by the environment, which is below the option.
    for arguments in (["both", "--run", "other"], ["--run", "other", "both"]):
        assert said(*arguments) == said(*arguments, RUN="run") == "127.0.0.1 2626 /srv/other other"
    assert said("--run", "run", "both", "--run", "other") == said("both", RUN="other")
    assert said("both", RUN="") == said("both")


def test_options_and_environment_are_above_the_stack(elsewhere: Path) -> None:
    start_stack(elsewhere / "run", 2525, "/srv/mail")
    assert said("both", "--port", "1") == said("both", CORREIO_PORT="1") == "127.0.0.1 1 /srv/mail run"
    assert said("both", "--host", "h") == said("both", CORREIO_HOST="h") == "h 12000 /srv/mail run"
    assert said("both", "--mailboxes", "m") == said("both", MAILBOXES="m") == "127.0.0.1 2525 m run"
    assert said("both", "--mailboxes", "m", MAILBOXES="n").split()[2] == "m"


def test_a_stack_that_was_named_and_is_not_there_is_an_error_and_no_default(elsewhere: Path) -> None:
    assert said("both") == "127.0.0.1 12000 mailboxes run"
    for arguments, environment in ((["--run", "none"], {}), ([], {"RUN": "none"})):
        for command, status in (("inner", 3), ("both", 1)):
            result = CliRunner().invoke(outer, [command, *arguments], env=environment)
            assert result.exit_code == status
            assert "No stack runs in RUN=none" in result.output
        # It is not asked where it is not needed.
        assert said("both", "--port", "1", "--mailboxes", "m", *arguments, **environment) == "127.0.0.1 1 m none"


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_stack_file_that_cannot_be_read_is_named_where_it_is_needed(elsewhere: Path, text: str) -> None:
    (elsewhere / "run").mkdir()
    (elsewhere / "run" / "stack.json").write_text(text)
    result = CliRunner().invoke(outer, ["inner"])
    assert result.exit_code == 3
    assert "run/stack.json" in result.output
    assert said("--port", "1", "inner") == "127.0.0.1 1"
    assert said("reader", "a@b", "--mailboxes", "m") == "a@b m"


def test_a_stack_file_that_tells_nothing_leaves_the_defaults(elsewhere: Path) -> None:
    (elsewhere / "run").mkdir()
    (elsewhere / "run" / "stack.json").write_text("{}")
    assert said("both") == "127.0.0.1 12000 mailboxes run"


def test_addresses_are_completed_from_the_mailboxes_of_the_stack(elsewhere: Path) -> None:
    boxes = elsewhere / "boxes"
    boxes.mkdir()
    for name in ("ana@a.example.txt", "bruno@a.example.txt"):
        (boxes / name).touch()
    start_stack(elsewhere / "run", 2525, str(boxes))
    context = reader.make_context("reader", [], resilient_parsing=True)
    assert [item.value for item in complete_address(context, reader.params[0], "an")] == ["ana@a.example"]
