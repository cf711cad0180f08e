"""`python -m deploy up|down|restart-…|status|logs`: what the Makefile's targets run.

`images` builds the images and prints their tag. `serve` is for `correio serve` and whoever else has a stack of its
own: as `up`, but what it starts ends as soon as the other end of standard input is closed. Settings are environment
variables.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys

from deploy import engine, stack, start
from deploy.config import OF_LOGS, OF_MAKE, LogSettings, OwnedSettings, RunSettings, StackSettings, unknown
from deploy.telling import EX_CONFIG, DeployError, ServiceFailed, refused
from runtime.settings import load

# The shell's status for a command that Ctrl-C ended: 128 + SIGINT.
_EX_INTERRUPTED = 130
_RESTARTS = {
    "restart-workers": "session_worker",
    "restart-store": "mailbox_store",
    "restart-gateway": "gateway",
}


_STARTS: dict[str, type[StackSettings]] = {"up": StackSettings, "serve": OwnedSettings}


def main() -> int:
    """Do one command; returns the exit status. What is wrong goes to standard error, one line first."""
    parser = argparse.ArgumentParser(prog="python -m deploy", description=__doc__)
    parser.add_argument("command", choices=("up", "serve", "down", *_RESTARTS, "status", "logs", "images"))
    parser.add_argument("--at-once", action="store_true", help="down: open transactions are not waited for")
    arguments = parser.parse_args()
    command = arguments.command
    # Whoever ends this tool in another way than by Ctrl-C is to find nothing half-started either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if command in _STARTS:
            return _up(command)
        if command == "images":
            # The tag alone is the output; what is being done goes beside it.
            _say(engine.build(os.environ.get("BASE", ""), lambda text: print(text, file=sys.stderr, flush=True)))
            return 0
        _refuse_unknown(command)
        if command == "logs":
            return stack.logs(load(LogSettings, _typed(command)), _say)
        run = load(RunSettings, _typed(command)).run
        if command == "down":
            return stack.down(run, _say, at_once=arguments.at_once)
        if command in _RESTARTS:
            return stack.restart(run, _RESTARTS[command], _say)
        return stack.status(run, _say)
    except DeployError as error:
        return _fail(command, error)
    except OSError as error:
        return _fail(command, refused(error))
    except KeyboardInterrupt:
        print(f"{_typed(command)}: interrupted", file=sys.stderr)
        return _EX_INTERRUPTED


def _fail(command: str, error: DeployError) -> int:
    print(error if isinstance(error, ServiceFailed) else f"{_typed(command)}: {error}", file=sys.stderr)
    if error.details:
        print(error.details, file=sys.stderr)
    return error.status


def _typed(command: str) -> str:
    return "correio serve" if command == "serve" else f"make {command}"


def _refuse_unknown(command: str) -> None:
    """Of the environment's variables most are not ours; those of make's command line are meant for us."""
    besides = frozenset() if command == "serve" else OF_MAKE | OF_LOGS if command == "logs" else OF_MAKE
    if lines := unknown(os.environ.get("CORREIO_GIVEN", "").split(), besides):
        raise DeployError(lines[0], EX_CONFIG, "\n".join(lines[1:]))


def _up(command: str) -> int:
    _refuse_unknown(command)
    return start.up(load(_STARTS[command], _typed(command)), _say)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
