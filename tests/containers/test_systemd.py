"""The units of `deploy/systemd` under a systemd of their own in a container, installed as docs/operations.md says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import docker
import pytest
from docker.models.containers import Container

from deploy.engine import have_wheels
from tests.conditions import wait_until
from tests.stack import ROOT, Connection, free_port, takes_mail

# The image may have to be made first, which is a small Debian.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]
IMAGE = "correio/systemd:bookworm"
IMAGE_SECONDS = 600
WORKERS = ("correio-session-worker@1", "correio-session-worker@2")
ALL = ("correio-gateway", *WORKERS, "correio-mailbox-store")
ANA = "/var/lib/correio/mailboxes/ana@example.com.txt"
# Docker gives a container's control groups read-only, and where there is one hierarchy systemd needs to write to it.
BOOT = """
[ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ] || mount -o remount,bind,rw /sys/fs/cgroup
exec /lib/systemd/systemd
"""


def documented() -> list[str]:
    """The commands of the chapter, block by block."""
    text = (ROOT / "docs" / "operations.md").read_text()
    chapter = text.partition("\n## Under systemd\n")[2].partition("\n## ")[0]
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^    .+\n)+", chapter, re.M)]


@dataclass(frozen=True)
class Machine:
    """A container in which systemd is process 1 and Correio is installed; `port` of 127.0.0.1 is its gateway's."""

    container: Container
    port: int

    def run(self, script: str, status: int = 0) -> str:
        """Run a script as root, in the checkout."""
        done = self.container.exec_run(["bash", "-euc", script], workdir=str(ROOT))
        output = str(done.output.decode())
        assert done.exit_code == status, f"{script}\n{output}"
        return output.strip()

    def show(self, unit: str, name: str) -> str:
        return self.run(f"systemctl show --property {name} --value {unit}")

    def active(self) -> bool:
        return all(self.show(unit, "ActiveState") == "active" for unit in ALL)

    def put(self, path: str, text: str) -> None:
        self.run(f"printf %s {shlex.quote(text)} > {path}")

    def journal(self) -> str:
        return self.run("journalctl --no-pager --output cat --unit 'correio*'")

    def connect(self) -> Connection:
        return Connection(self.port)


@pytest.fixture(scope="module")
def image(engine_client: docker.DockerClient) -> str:
    try:
        engine_client.images.get(IMAGE)
    except docker.errors.ImageNotFound:
        command = [str(ROOT / "deploy" / "base-image.sh"), IMAGE, "systemd,dbus"]
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=IMAGE_SECONDS)
        if made.returncode and os.environ.get("CI") != "true":
            pytest.skip(made.stderr)
        assert made.returncode == 0, made.stderr
    return IMAGE


@pytest.fixture(scope="module")
def machine(engine_client: docker.DockerClient, image: str) -> Iterator[Machine]:
    port = free_port()
    container = engine_client.containers.run(
        image,
        ["sh", "-euc", BOOT],
        detach=True,
        environment={"container": "docker", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(have_wheels(print))},
        # What systemd needs to set up namespaces and filters for its services.
        cap_add=["SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        cgroupns="private",
        tmpfs={"/run": "", "/run/lock": "", "/tmp": ""},
        volumes={str(ROOT): {"bind": str(ROOT), "mode": "ro"}},
        ports={"12000/tcp": ("127.0.0.1", port)},
    )
    try:
        there = Machine(container, port)
        wait_until(lambda: is_up(container), "systemd is up")
        release, once, start = documented()
        there.run(release)
        there.run(once)
        there.put("/etc/correio/users.txt", "ana@example.com\n")
        there.run("sed -i s/^BIND=.*/BIND=0.0.0.0/ /etc/correio/correio.env")
        there.run(start)
        yield there
    except BaseException:
        print(container.logs().decode()[-4000:])
        raise
    finally:
        container.remove(force=True, v=True)


def is_up(container: Container) -> bool:
    container.reload()
    assert container.status in ("created", "running"), container.logs().decode()[-4000:]
    said = container.exec_run(["systemctl", "is-system-running"]).output.decode().strip()
    return said in ("running", "degraded")


def test_it_takes_mail_as_soon_as_the_start_has_returned(machine: Machine) -> None:
    with machine.connect() as session:
        session.begin("ana@example.com")
        assert session.command("as told\r\n.").startswith("250 2.0.0")
    assert machine.run(f"cat {ANA}").endswith("\n\nas told")
    assert machine.active()


def test_mailboxes_are_the_service_s_and_its_group_may_read_them(machine: Machine) -> None:
    assert machine.run(f"stat -c '%U %G %a' {ANA}") == "correio correio 640"
    machine.run("useradd --groups correio maria; runuser -u maria -- cat " + ANA)
    machine.run("useradd joao")
    machine.run(f"runuser -u joao -- cat {ANA}", status=1)
    machine.run("runuser -u maria -- ls /var/lib/correio/poison", status=2)
    machine.run("runuser -u maria -- ls /run/correio", status=2)


def test_a_session_goes_on_when_every_worker_is_killed_and_they_come_back(machine: Machine) -> None:
    with machine.connect() as session:
        session.begin("ana@example.com")
        before = [machine.show(unit, "MainPID") for unit in WORKERS]
        machine.run(f"systemctl kill --signal KILL {' '.join(WORKERS)}")
        assert session.command("through it all\r\n.").startswith("250 2.0.0")
    wait_until(machine.active, "the workers are back")
    assert not set(before) & {machine.show(unit, "MainPID") for unit in WORKERS}


def test_a_session_goes_on_while_workers_and_store_are_restarted_one_after_another(machine: Machine) -> None:
    with machine.connect() as session:
        session.begin("ana@example.com")
        for unit in (*WORKERS, "correio-mailbox-store"):
            machine.run(f"systemctl restart {unit}")
            assert machine.active()
        assert session.command("all are new\r\n.").startswith("250 2.0.0")
    assert machine.run(f"grep -c '^all are new' {ANA}") == "1"


def test_a_worker_that_hangs_is_replaced(machine: Machine) -> None:
    before = machine.show(WORKERS[0], "MainPID")
    machine.run(f"systemctl kill --signal STOP {WORKERS[0]}")
    wait_until(lambda: machine.show(WORKERS[0], "MainPID") not in (before, "0"), "there is another")
    wait_until(machine.active, "it is ready")
    wait_until(lambda: f"{WORKERS[0]}.service: Watchdog timeout" in machine.journal(), "the journal tells why")


def test_port_25_may_be_had(machine: Machine) -> None:
    settings = machine.run("cat /etc/correio/correio.env")
    machine.put("/etc/correio/correio.env", settings.replace("PORT=12000", "PORT=25"))
    machine.run("systemctl restart correio-gateway")
    assert machine.run("exec 3<>/dev/tcp/127.0.0.1/25; head -n 1 <&3").startswith("220 ")
    machine.put("/etc/correio/correio.env", settings)
    machine.run("systemctl restart correio-gateway")
    assert takes_mail(machine.port)


def test_a_bad_setting_is_told_and_not_tried_again(machine: Machine) -> None:
    settings = machine.run("cat /etc/correio/correio.env")
    machine.put("/etc/correio/correio.env", f"{settings}\nMAX_ERRORS=many\n")
    machine.run(f"systemctl restart {WORKERS[1]}", status=1)
    states = [machine.show(WORKERS[1], name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")]
    assert states == ["failed", "78", "0"]
    assert "session_worker: MAX_ERRORS=many: " in machine.run(f"systemctl status {WORKERS[1]}", status=3)
    machine.put("/etc/correio/correio.env", settings)
    machine.run(f"systemctl start {WORKERS[1]}")


def test_a_stop_ends_the_gateway_first_and_the_store_last(machine: Machine) -> None:
    machine.run("systemctl stop correio.target 'correio-*'")
    assert {unit: machine.show(unit, "ActiveState") for unit in ALL} == dict.fromkeys(ALL, "inactive"), (
        machine.journal()
    )
    said = machine.journal()
    ends = [said.rindex(f"Stopped {unit}") for unit in ALL]
    assert ends[0] < min(ends[1:3])
    assert max(ends[1:3]) < ends[3]
    machine.run("systemctl start correio.target")
    assert takes_mail(machine.port)
