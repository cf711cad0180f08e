"""`python -m session_worker`: one session worker, with settings from the environment (`config.py`)."""

from __future__ import annotations

import asyncio
import sys

import uvloop
import zmq

from runtime import logs, process
from runtime.metrics import Exposition
from runtime.probes import Probes, ProbesError
from runtime.settings import load
from runtime.telling import EventLog
from session_worker.config import WorkerSettings
from session_worker.worker import HEARTBEAT_SECONDS, Worker

# A step's own work is milliseconds. The gateways have given up on a loop that stands still for so long.
_STUCK_SECONDS = 5.0


async def _serve(settings: WorkerSettings, events: EventLog | None) -> int:
    with zmq.Context() as context:
        try:
            worker = Worker(settings, context, events)
        except ConnectionError as error:
            print(f"session_worker: {error}", file=sys.stderr)
            return 1
        try:
            exposition = Exposition(worker.vitals, worker.families)
            probes = Probes(settings.metrics, worker.vitals, exposition.render)
        except ProbesError as error:
            print(f"session_worker: {error}", file=sys.stderr)
            worker.close()
            return 1
        process.settled()
        loop = asyncio.get_running_loop()
        for number in process.STOP:
            loop.add_signal_handler(number, worker.stop)
        watching = asyncio.create_task(_end_if_stuck())
        try:
            await worker.run()
        finally:
            watching.cancel()
            probes.close()
    return 0


async def _end_if_stuck() -> None:
    try:
        while True:
            process.end_if_stuck(_STUCK_SECONDS)
            await asyncio.sleep(HEARTBEAT_SECONDS)
    finally:
        process.end_if_stuck(0)


def main() -> int:
    """Run a worker until SIGTERM or SIGINT; gives the exit status."""
    settings = load(WorkerSettings, "session_worker")
    process.begin()
    events = logs.configure("session_worker", settings.log_level, settings.log_format, settings.log_file)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(_serve(settings, events if settings.conversation == "on" else None))
    process.heed_no_more()
    return status


if __name__ == "__main__":
    sys.exit(main())
