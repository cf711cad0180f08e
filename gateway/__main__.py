"""`python -m gateway`: run the gateway with the settings of the environment until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from gateway.config import GatewaySettings
from gateway.server import CannotStart, serve
from runtime import process
from runtime.logs import configure
from runtime.settings import load
from runtime.telling import EventLog


async def _run(settings: GatewaySettings, events: EventLog | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in process.STOP:
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop, events=events)


def main() -> int:
    """Run the service; the exit status is 0 after an ordered stop, 1 if it could not start, 78 on a bad setting."""
    settings = load(GatewaySettings, "gateway")
    process.begin()
    events = configure("gateway", settings.log_level, settings.log_format, settings.log_file)
    try:
        uvloop.run(_run(settings, events if settings.conversation == "on" else None))
    except CannotStart as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    process.heed_no_more()
    return 0


if __name__ == "__main__":
    sys.exit(main())
