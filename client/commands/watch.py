"""`correio watch`: a running stack's conversations, live: stack/feed.py hears, stack/events.py makes lines of it."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

import click

from ..options import color_option, json_option, run_option
from ..output import write_json
from ..pattern import Pattern
from ..run_folder import run_folder
from ..stack.events import Chosen, Gaps, Look, Network, WantedSessions
from ..terminal import Paint


class PeerNetwork(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 only
    """An IP address, or a network such as 10.0.0.0/8."""

    name = "ip"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Network:
        try:
            return ipaddress.ip_network(str(value), strict=False)
        except ValueError:
            self.fail(f"{value!r} is no IP address, and no network such as 10.0.0.0/8", param, ctx)


@click.command(
    name="watch",
    epilog="Exit status: 0 after Ctrl-C, 2 wrong usage, 3 no stack runs there or it has no feed.",
)
@click.option(
    "--session", default="", metavar="ID", help="Only this session: its id, its short one, or a delivery's."
)
@click.option(
    "--peer", type=PeerNetwork(), metavar="IP", help="Only clients of this address, or of a network: 10.0.0.0/8."
)
@click.option("--address", type=Pattern(), metavar="REGEX", help="Only sessions that name such an address.")
@color_option
@run_option
@json_option
def command(
    *, session: str, peer: Network | None, address: re.Pattern[str] | None, paint: Paint, as_json: bool
) -> None:
    """Watch the conversations of a running stack as they happen; Ctrl-C ends it.

    A line for each event: the time, the end of the session's id, then `C:` what the client said or `S:` what the
    server said, with the worker that served it and how long that took. Of a message only its size is shown. When the
    stack goes away that is said, and watching goes on once it is back. Who reads too slowly misses events, and is
    told how many.

    \b
    Examples:
      $ correio watch
      $ correio watch --address '@example\\.org$'
      $ correio watch --peer 192.0.2.7 --json | jq -r 'select(.event == "delivered").delivery'
      $ correio watch --session 9f3a-12
    """
    # It needs ZeroMQ, which takes a moment to load.
    from ..stack.feed import Change, FeedReader

    look, chosen, gaps = (
        Look(paint if not as_json else Paint()),
        Chosen(WantedSessions(session, peer, address)),
        Gaps(),
    )
    run = run_folder().path
    with suppress(KeyboardInterrupt), FeedReader(run) as feed:
        click.echo(f"Watching the stack in RUN={run}; Ctrl-C ends it.", err=True)
        while True:
            happened = feed.next()
            if isinstance(happened, Change):
                gone = happened is Change.GONE
                said = "The stack has gone; waiting for it to come back." if gone else "The stack is back."
                click.echo(said, err=True)
                continue
            if missed := gaps.before(happened):
                if as_json:
                    write_json({"event": "missed", "count": missed})
                else:
                    click.echo(look.missed(missed))
            for event in chosen.take(happened):
                if as_json:
                    write_json(event)
                elif (line := look.line(event)) is not None:
                    click.echo(line, color=True)
