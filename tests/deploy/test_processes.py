"""What processes get of the settings. Their life is tested in test_stack.py."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from deploy.config import StackSettings
from deploy.processes import Processes, _raise_file_limit
from deploy.supervisord import Program
from deploy.telling import DeployError, Trouble


def test_services_get_private_sockets_and_a_clean_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "of the person's shell")
    settings = StackSettings().model_copy(update={"port": 2525, "workers": 3})
    stack = Processes(folder, print)
    given = stack._environment(settings, stack.prepare(settings))
    assert "A_SECRET" not in given
    assert given["GATEWAY_ENDPOINT"] == f"ipc://{folder}/sockets/gateway"
    assert given["STORE_ENDPOINT"] == f"ipc://{folder}/sockets/store"
    assert given["FEED_ENDPOINT"] == f"ipc://{folder}/sockets/feed"
    assert given["LOG_FORMAT"] == "human"
    assert given["JOURNAL"] == f"{folder}/journal/journal.sqlite3"
    assert (given["PORT"], given["CORREIO_WORKERS"]) == ("2525", "3")


def test_without_a_port_for_numbers_no_service_is_told_one(folder: Path) -> None:
    stack = Processes(folder, print)
    for port, told in ((0, ("", "", "")), (9120, ("127.0.0.1:9120", "127.0.0.1:9121", "9120"))):
        settings = StackSettings().model_copy(update={"metrics_port": port})
        given = stack._environment(settings, stack.prepare(settings))
        names = ("CORREIO_METRICS_GATEWAY", "CORREIO_METRICS_STORE", "CORREIO_METRICS_PORT")
        assert tuple(given[name] for name in names) == told


def test_logs_of_the_stack_before_are_set_aside(folder: Path) -> None:
    (folder / "logs").mkdir()
    (folder / "logs" / "gateway.log").write_text("an old complaint\n")
    stack = Processes(folder, print)
    remembered = stack.prepare(StackSettings())
    assert stack.last_lines(remembered, 5) == ""
    assert (folder / "logs" / "gateway.log.before").read_text() == "an old complaint\n"


def test_a_file_where_a_folder_has_to_be_is_named(folder: Path) -> None:
    (folder / "logs").touch()
    with pytest.raises(DeployError, match=f"^{folder}/logs: is not a folder$"):
        Processes(folder, print).prepare(StackSettings())


STARTED = "2026-10-01 10:00:00,000 INFO supervisord started with pid 7\n"
REFUSED = "2026-10-01 10:00:01,000 WARN exited: gateway (exit status 78; not expected)\n"
KILLED = "2026-10-01 10:00:02,000 WARN exited: gateway (terminated by SIGKILL; not expected)\n"
OF_OTHERS = "2026-10-01 10:00:03,000 WARN exited: gateway_2 (exit status 1; not expected)\n"


@pytest.mark.parametrize(
    ("log", "status"),
    [
        (None, -1),
        (STARTED, -1),
        (STARTED + REFUSED + OF_OTHERS, 78),
        (STARTED + REFUSED + KILLED, -1),
        (STARTED + KILLED + REFUSED, 78),
        # The end of another run, and what is left of a log whose beginning went to the next file.
        (STARTED + REFUSED + STARTED + OF_OTHERS, -1),
        (KILLED + REFUSED, 78),
    ],
)
def test_the_exit_status_is_that_of_the_last_end_in_this_run(folder: Path, log: str | None, status: int) -> None:
    if log is not None:
        (folder / "supervisord.log").write_text(log)
    assert Processes(folder, print)._exit_status("gateway") == status


class Retrying:
    """A supervisor that has started every program, this one once more."""

    def programs(self) -> list[Program]:
        return [Program("gateway", "gateway", "STARTING", 8, 0)]


@pytest.mark.parametrize(("log", "told"), [(STARTED, False), (STARTED + KILLED, False), (STARTED + REFUSED, True)])
def test_a_service_that_refuses_its_settings_is_trouble_also_while_it_is_tried_again(
    log: str, told: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Processes(folder, print)
    remembered = stack.prepare(StackSettings())
    (folder / "supervisord.log").write_text(log)
    (folder / "logs" / "gateway.log").write_text("gateway: PORT=x: no number\n")
    monkeypatch.setattr("deploy.processes._supervisor", lambda _: Retrying())
    trouble = Trouble("gateway has ended with status 78", "gateway: PORT=x: no number", 78)
    assert stack.trouble(remembered) == (trouble if told else None)


def test_the_limit_of_open_files_is_raised_as_far_as_it_may() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        _raise_file_limit(300)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
        _raise_file_limit(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
