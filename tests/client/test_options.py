from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from client.options import Server, server_options


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
