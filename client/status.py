"""`correio status`: is the server there, and does it take mail? Asked over SMTP, as any client would."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from .connection import EXIT_NO_SERVER
from .options import Server, json_option, server_options
from .probe import Probe, probe
from .terminal import harmless_line, harmless_text

# Services touch their file each second while they are ready.
_FRESH_SECONDS = 5.0


@click.command(
    name="status",
    epilog="Exit status: 0 mail is taken, 1 somebody listens but mail is not taken, 2 wrong usage, 3 nobody listens.",
)
@server_options
@click.option(
    "--run",
    envvar="RUN",
    default="run",
    type=click.Path(path_type=Path),
    help="The stack's folder, for the state of each of its services. [env RUN, else ./run]",
)
@json_option
def command(server: Server, run: Path, as_json: bool) -> None:
    """Tell whether the server takes mail: its greeting, its extensions, how long each reply took.

    Nothing is stored: the session goes as far as an accepted recipient. Where the stack's RUN folder can be read,
    and the services run as processes, it tells which of them are ready.

    \b
    Examples:
      $ correio status
      $ correio --port 2525 status --json | jq .milliseconds.greeting
      $ until correio status >/dev/null 2>&1; do sleep 0.2; done
    """
    seen = probe(server)
    services = ready_services(run)
    if as_json:
        click.echo(json.dumps({**seen.as_json(), "services": services}, ensure_ascii=False))
    else:
        click.echo(_in_words(seen, services))
    sys.exit(0 if seen.takes_mail else 1 if seen.listening else EXIT_NO_SERVER)


def ready_services(run: Path) -> dict[str, bool]:
    """Which of the services that ever were ready in this RUN folder are so now."""
    found = {}
    with suppress(OSError):
        logs = {path.stem for path in (run / "logs").glob("*.log")}
        for name in sorted(logs | {path.name for path in (run / "ready").iterdir()}):
            found[name] = False
            with suppress(OSError):
                found[name] = time.time() - (run / "ready" / name).stat().st_mtime < _FRESH_SECONDS
    return found


def _in_words(seen: Probe, services: dict[str, bool]) -> str:
    lines = [f"{seen.server.host} port {seen.server.port}: {'takes mail' if seen.takes_mail else 'takes no mail'}"]
    if seen.trouble:
        lines.append(f"  {harmless_text(seen.trouble)}")
    if seen.greeting:
        lines.append(f"  greeting    {harmless_line(seen.greeting)}")
    if seen.extensions:
        offered = (f"{name} {value}".strip() for name, value in seen.extensions.items())
        lines.append(f"  extensions  {harmless_line(', '.join(offered))}")
    if seen.times:
        lines.append("  times       " + ", ".join(f"{name} {value:.1f} ms" for name, value in seen.times.items()))
    lines += [f"  {name:22}{'ready' if ready else 'not ready'}" for name, ready in services.items()]
    return "\n".join(lines)
