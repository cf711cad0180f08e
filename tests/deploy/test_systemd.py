"""The units for systemd: systemd has nothing to say against them, and what they set is what the services take."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import GatewaySettings
from mailbox_store.config import StoreSettings
from runtime.settings import EX_CONFIG, Settings
from session_worker.config import WorkerSettings

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy" / "systemd"
COMMON = FOLDER / "correio-.service.d" / "common.conf"
PYTHON = "/opt/correio/current/bin/python"
SERVICES: dict[str, tuple[str, type[Settings]]] = {
    "correio-gateway.service": ("gateway", GatewaySettings),
    "correio-session-worker@.service": ("session_worker", WorkerSettings),
    "correio-mailbox-store.service": ("mailbox_store", StoreSettings),
}
# For the interpreter and not for a service.
OF_PYTHON = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
# systemd's own measure, 0 to 10, with room for what its releases see differently; a service that is not confined at
# all has 9.6. The gateway speaks with anybody, and may have port 25.
MOST_EXPOSED = {
    "correio-gateway.service": 2.0,
    "correio-session-worker@.service": 1.5,
    "correio-mailbox-store.service": 1.5,
}
DEADLINE = 60


def values(text: str, key: str) -> list[str]:
    """What stands behind each `key=`."""
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def value(unit: str, key: str) -> str:
    """The one that counts: drop-ins are read after the unit."""
    return [*values((FOLDER / unit).read_text(), key), *values(COMMON.read_text(), key)][-1]


def variables(text: str) -> set[str]:
    return {each.partition("=")[0] for line in values(text, "Environment") for each in line.split()}


def fields(*settings: type[Settings]) -> set[str]:
    return {name.upper() for each in settings for name in each.model_fields}


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Copies that name an interpreter which is here."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder)
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace(PYTHON, sys.executable))
    return [str(path) for path in sorted(folder.iterdir()) if path.suffix in (".service", ".target")]


def test_systemd_finds_nothing_wrong_with_the_units(units: list[str]) -> None:
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_find_what_is_wrong(units: list[str]) -> None:
    drop_in = Path(units[0]).parent / "correio-.service.d" / "common.conf"
    drop_in.write_text(f"{drop_in.read_text()}NoSuchKey=yes\n")
    assert "NoSuchKey" in analyze("verify", "--man=no", *units).stderr


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_confined(unit: str) -> None:
    done = analyze("security", "--offline=true", str(FOLDER / unit))
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert exposure, done.stderr
    assert float(exposure[1]) <= MOST_EXPOSED[unit], done.stdout


@pytest.mark.parametrize("unit", SERVICES)
def test_a_unit_starts_a_service_that_is_there(unit: str) -> None:
    module, _ = SERVICES[unit]
    assert value(unit, "ExecStart") == f"{PYTHON} -m {module}"
    assert (ROOT / module / "__main__.py").is_file()


@pytest.mark.parametrize("unit", SERVICES)
def test_what_a_unit_sets_is_a_setting_of_its_service(unit: str) -> None:
    assert variables((FOLDER / unit).read_text()) <= fields(SERVICES[unit][1])


def test_what_all_units_set_is_a_setting_of_some_service() -> None:
    every = [settings for _, settings in SERVICES.values()]
    assert variables(COMMON.read_text()) - OF_PYTHON <= fields(*every)
    given = set(re.findall(r"^#?([A-Z_]+)=", (FOLDER / "correio.env").read_text(), re.MULTILINE))
    assert given
    assert given <= fields(*every)


def test_the_common_part_overrides_nothing_that_a_unit_says() -> None:
    repeatable = {"Environment", "Documentation", "SystemCallFilter"}
    common = set(re.findall(r"^(\w+)=", COMMON.read_text(), re.MULTILINE)) - repeatable
    for unit in SERVICES:
        assert not common & set(re.findall(r"^(\w+)=", (FOLDER / unit).read_text(), re.MULTILINE))


@pytest.mark.parametrize("unit", SERVICES)
def test_a_bad_setting_is_not_tried_again_and_everything_else_for_ever(unit: str) -> None:
    assert value(unit, "RestartPreventExitStatus") == str(EX_CONFIG)
    assert (value(unit, "Restart"), value(unit, "StartLimitIntervalSec")) == ("always", "0")


@pytest.mark.parametrize("unit", ["correio-gateway.service", "correio-session-worker@.service"])
def test_a_stop_may_take_longer_than_what_is_under_way(unit: str) -> None:
    assert int(value(unit, "TimeoutStopSec")) > SERVICES[unit][1].model_fields["shutdown_seconds"].default


def test_there_are_descriptors_for_all_connections() -> None:
    assert (
        int(value("correio-gateway.service", "LimitNOFILE")) > GatewaySettings.model_fields["max_connections"].default
    )


def test_the_target_starts_every_service() -> None:
    wanted = " ".join(values((FOLDER / "correio.target").read_text(), "Wants")).split()
    assert {re.sub(r"@\d+", "@", each) for each in wanted} == set(SERVICES)
