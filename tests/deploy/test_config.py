"""Settings of a stack: what is taken from the environment, and what services and later commands get of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from deploy.config import TABLE, RunSettings, StackSettings, take_only, unknown
from gateway.config import GatewaySettings
from mailbox_store.config import StoreSettings
from runtime.settings import Settings
from session_worker.config import WorkerSettings
from tests.stack import ROOT

# What each service is given by whoever starts it, and nobody sets.
GIVEN = {
    "ready_file",
    "metrics",
    "log_file",
    "gateway_endpoint",
    "store_endpoint",
    "feed_endpoint",
    "journal",
    "poison_dir",
}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in TABLE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_paths_are_absolute_from_where_the_command_was_typed() -> None:
    settings = StackSettings()
    assert settings.users == Path.cwd() / "users.txt"
    assert settings.mailboxes == Path.cwd() / "mailboxes"
    assert settings.run == Path.cwd() / "run"


def test_a_run_folder_is_the_same_whichever_way_leads_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("RUN", "link")
    assert RunSettings().run == tmp_path / "real"


def test_stacks_with_another_port_or_run_folder_have_another_project(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for port, run in (("12000", "run"), ("12001", "run"), ("12000", "run2")):
        monkeypatch.setenv("PORT", port)
        monkeypatch.setenv("RUN", run)
        names.add(StackSettings().project)
        assert StackSettings().project == StackSettings().project
    assert len(names) == 3


def test_only_settings_that_are_set_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILE", "strict")
    monkeypatch.setenv("VRFY", "")
    passed = StackSettings().for_services()
    assert passed["PROFILE"] == "strict"
    assert "VRFY" not in passed
    assert passed["DOMAIN"] == "correio.localhost"


@pytest.mark.parametrize(("bind", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.1.2.3", "10.1.2.3")])
def test_a_stack_that_listens_everywhere_is_reached_at_home(
    monkeypatch: pytest.MonkeyPatch, bind: str, reached: str
) -> None:
    monkeypatch.setenv("BIND", bind)
    assert StackSettings().connect_host == reached


def test_a_service_may_take_longer_to_stop_than_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUTDOWN_SECONDS", "0.5")
    assert StackSettings().stop_seconds > 1
    assert StackSettings().for_services()["SHUTDOWN_SECONDS"] == "0.5"


def test_everything_a_stack_was_started_with_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    before = StackSettings().remembered()
    for name, value in {"PORT": "2525", "WORKERS": "3", "PROFILE": "strict", "USERS": os.devnull}.items():
        monkeypatch.setenv(name, value)
        assert StackSettings().remembered() != before
        before = StackSettings().remembered()


def test_what_was_remembered_is_all_that_counts_whatever_this_shell_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name, value in {"PORT": "2525", "PROFILE": "strict", "BASE": "mine", "METRICS_PORT": "9120"}.items():
        monkeypatch.setenv(name, value)
    started = StackSettings().remembered()
    monkeypatch.delenv("METRICS_PORT")
    monkeypatch.delenv("PROFILE")
    few = StackSettings().remembered()
    here = {"POSTMASTER": "x@y.example", "SENDER_DOMAIN_RULE": "always", "METRICS_PORT": "9000", "workers": "7"}
    for name, value in (here | {"BASE": "another", "FAULT_RULES": "at data drop"}).items():
        monkeypatch.setenv(name, value)
    for remembered in (few, started, few):
        take_only(remembered)
        assert StackSettings().remembered() == remembered
    assert "PATH" in os.environ


def test_rules_of_failures_reach_the_services_as_text_wherever_their_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rules").write_text("# when\nat rcpt to ana@* fail 452  # what\n\nat data drop\n")
    monkeypatch.setenv("FAULTS", "on")
    monkeypatch.setenv("FAULT_RULES", "rules")
    assert StackSettings().for_services()["FAULT_RULES"] == "at rcpt to ana@* fail 452; at data drop"
    monkeypatch.setenv("FAULT_RULES", "at data drop")
    assert StackSettings().for_services()["FAULT_RULES"] == "at data drop"
    monkeypatch.setenv("FAULT_RULES", "no-such-file")
    with pytest.raises(ValueError, match="must be a file of rules"):
        StackSettings()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"METRICS_PORT": "65534"}, "must be 65532 at most: with 2 workers it takes 65537 too"),
        ({"METRICS_PORT": "9120", "PORT": "9123"}, "takes the ports 9120 to 9123 with 2 workers, and PORT=9123"),
        ({"METRICS_PORT": "-1"}, "greater than or equal to 0"),
    ],
)
def test_ports_for_numbers_are_ports_that_are_free_for_them(
    settings: dict[str, str], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=rule):
        StackSettings()


def test_a_stack_without_numbers_remembers_nothing_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "METRICS_PORT" not in StackSettings().remembered()
    monkeypatch.setenv("METRICS_PORT", "9120")
    assert StackSettings().remembered()["METRICS_PORT"] == "9120"


def test_a_name_that_is_no_setting_is_told_with_the_one_that_it_is_like() -> None:
    assert unknown(["PORT", "MAX_ERRORS", "RUN", "LOG_FORMAT", "PYTHON"]) == []
    assert unknown(["PORTT", "PORT", "METRICS", "xyz"]) == [
        "METRICS: there is no such setting; did you mean METRICS_PORT?",
        "PORTT: there is no such setting; did you mean PORT?",
        "xyz: there is no such setting",
    ]


@pytest.mark.parametrize("cls", [StackSettings, GatewaySettings, WorkerSettings, StoreSettings])
def test_the_table_has_every_setting_with_the_default_that_counts(
    cls: type[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = cls()
    for name in set(cls.model_fields) - GIVEN:
        if said := str(TABLE[name.upper()]["default"]):
            monkeypatch.setenv(name.upper(), said)
        assert getattr(cls(), name) == getattr(unset, name), name
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_table_has_nothing_else() -> None:
    known = {
        name for cls in (StackSettings, GatewaySettings, WorkerSettings, StoreSettings) for name in cls.model_fields
    }
    assert set(TABLE) == {name.upper() for name in known - GIVEN}
    assert all(set(row) <= {"default", "what", "engine"} and row["what"] for row in TABLE.values())


def test_the_readme_tells_of_the_same_settings_with_the_same_defaults() -> None:
    told = {}
    for row in re.findall(r"^\| ([A-Z_, ]+) \| (.+?) \| ", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE):
        names, defaults = row[0].split(", "), row[1].split(", ")
        # MODE's own is told in words, with commas in them.
        told |= dict(zip(names, defaults if len(names) > 1 else [row[1]], strict=True))
    assert sorted(told) == sorted(TABLE)
    wrong = {name: row["default"] for name, row in TABLE.items() if f"`{row['default']}`" not in told[name]}
    assert set(wrong.values()) <= {""}, wrong


def compose_lists() -> tuple[set[str], dict[str, set[str]]]:
    """x-settings of the compose file, and what each service is told beside it."""
    text = (ROOT / "deploy" / "compose.yaml").read_text()
    shared = re.search(r"^x-settings: &settings\n((?:  [A-Z_]+:\n)+)", text, re.MULTILINE)
    assert shared
    own = re.findall(
        r"^  (\w+):\n(?:(?!^  \w).*\n)*?    environment:\n      <<: \*settings\n((?:      [A-Z_]+: .*\n)+)",
        text,
        re.MULTILINE,
    )
    return set(re.findall(r"[A-Z_]+", shared[1])), {
        service: set(re.findall(r"^ +([A-Z_]+):", lines, re.MULTILINE)) for service, lines in own
    }


def test_every_setting_that_a_service_reads_reaches_its_container() -> None:
    shared, own = compose_lists()
    services = {"gateway": GatewaySettings, "session_worker": WorkerSettings, "mailbox_store": StoreSettings}
    # A container's log is its standard output.
    read = {name: {field.upper() for field in cls.model_fields} - {"LOG_FILE"} for name, cls in services.items()}
    assert {name: fields - shared for name, fields in read.items()} == own
    assert shared <= set(TABLE)
    assert shared <= set.union(*read.values()), "no service reads it"


def test_systemd_s_units_get_what_the_file_of_settings_says_and_it_names_no_others() -> None:
    units = ROOT / "deploy" / "systemd"
    files = [path for path in units.rglob("*") if path.suffix in (".service", ".conf")]
    said = {name for path in files for name in re.findall(r"^Environment=([A-Z_]+)=", path.read_text(), re.MULTILINE)}
    assert said <= set(TABLE) | {name.upper() for name in GIVEN} | {"PYTHONUNBUFFERED"}
    assert "EnvironmentFile=-/etc/correio/correio.env" in (units / "correio-.service.d" / "common.conf").read_text()
    assert set(re.findall(r"^#?([A-Z_]+)=", (units / "correio.env").read_text(), re.MULTILINE)) <= set(TABLE)


def test_make_help_tells_the_same_defaults() -> None:
    said = re.findall(r'^\t@echo "  (.*)"$', (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = dict(re.findall(r"\b([A-Z]+)=([\w.]+)(?!\S)", " ".join(said)))
    assert len(told) >= 6
    assert {name: TABLE[name]["default"] for name in told} == told
