"""`correio status`: does the server take mail? Asked over SMTP, as any client would, in stack/status.py.

Where the stack's RUN folder is at hand, its services' own figures are told as well.
"""

from __future__ import annotations

import sys

import click

from ..options import json_option, run_option, server_options
from ..output import write_json
from ..run_folder import EXIT_NO_SERVER, Server, run_folder
from ..stack.status import Probe, probe, services, table, versions
from ..terminal import harmless_line, harmless_text


@click.command(
    name="status",
    epilog="Exit status: 0 mail is taken, 1 somebody listens but mail is not taken, 2 wrong usage, 3 nobody listens.",
)
@server_options
@run_option
@json_option
def command(server: Server, as_json: bool) -> None:
    """Tell whether the server takes mail: its greeting, its extensions, how long each reply took.

    Nothing is stored: the session goes as far as an accepted recipient. Where the stack's RUN folder can be read, it
    tells of each service whether it is ready, its release, how long it has been running, and its load; and without
    --host and --port the server that is asked is that stack's.

    \b
    Examples:
      $ correio status
      $ correio --port 2525 status --json | jq .milliseconds.greeting
      $ correio status --json | jq '.services[] | select(.service == "gateway").connections'
      $ until correio status >/dev/null 2>&1; do sleep 0.2; done
    """
    seen = probe(server)
    found = services(run_folder().path)
    if as_json:
        told = {
            **seen.as_json(),
            "services": {service.name: service.as_json() for service in found},
            "versions": versions(found),
        }
        write_json(told)
    else:
        click.echo("\n".join([*_in_words(seen), *(f"  {line}" for line in table(found))]))
    sys.exit(0 if seen.takes_mail else 1 if seen.listening else EXIT_NO_SERVER)


def _in_words(seen: Probe) -> list[str]:
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
    return lines
