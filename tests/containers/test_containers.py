"""The stack as containers: what it does, what it may not do, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from runtime import VERSION
from tests import mailboxes
from tests.conditions import wait_until
from tests.container_stack import ContainerStack
from tests.containers.conftest import CALLER, USERS
from tests.deploy.deploying import deploy
from tests.faults.restarting import TYPIST, USERS_FILE, restart_workers_and_store
from tests.scraping import page
from tests.stack import ROOT, Connection, free_port

# Images may have to be built first, and a base image before that.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]
OWNER = CALLER if os.geteuid() == 0 else os.geteuid()


def send(stack: ContainerStack, recipient: str, text: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", stack.port, timeout=60) as client:
        client.sendmail("carla@example.net", [recipient], b"Subject: hello\r\n\r\n" + text + b"\r\n")


def mailbox(stack: ContainerStack, address: str) -> Path:
    return stack.folder / "mailboxes" / f"{address}.txt"


def texts(stack: ContainerStack, address: str) -> list[bytes]:
    return [each.text for each in mailboxes.read(mailbox(stack, address))]


def is_healthy(container: Container) -> bool:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"]) == "healthy"


def test_mail_lands_in_a_text_file_of_the_caller(containers: ContainerStack) -> None:
    send(containers, "ana@example.com", b"to a file")
    path = mailbox(containers, "ana@example.com")
    assert texts(containers, "ana@example.com")[-1].endswith(b"to a file\n")
    seen = path.stat()
    assert (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (OWNER, 0o600)


def test_every_container_becomes_healthy(containers: ContainerStack) -> None:
    assert len(containers.containers()) == 4
    for each in containers.containers():
        wait_until(lambda each=each: is_healthy(each), f"{each.name} is healthy")


def test_the_logs_are_shown_whole_in_the_order_of_time(containers: ContainerStack) -> None:
    send(containers, "ana@example.com", b"in the logs")
    everything = deploy("logs", containers.folder, TAIL="all", FOLLOW="no").stdout.splitlines()
    times = [line[:23] for line in everything if line.startswith("2")]
    assert times == sorted(times)
    for said in (" gateway[", " session_worker[", " store[", "stored for 1 mailbox", " C: (message, "):
        assert any(said in line for line in everything), said
    assert len(deploy("logs", containers.folder, TAIL="1", FOLLOW="no").stdout.splitlines()) == 4


def test_containers_have_no_power_and_cannot_write_to_themselves(containers: ContainerStack) -> None:
    for each in containers.containers():
        host = each.attrs["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert each.attrs["Config"]["User"] == f"{OWNER}:{OWNER}"
        status = each.exec_run(["cat", "/proc/1/status"]).output.decode()
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert each.exec_run(["touch", "/opt/correio/app/x"]).exit_code != 0


def test_only_the_gateway_is_reached_from_outside(containers: ContainerStack) -> None:
    for each in containers.containers():
        published = {port: bound for port, bound in each.attrs["NetworkSettings"]["Ports"].items() if bound}
        networks = {name.rpartition("_")[2] for name in each.attrs["NetworkSettings"]["Networks"]}
        if each.labels["com.docker.compose.service"] == "gateway":
            assert published == {"12000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(containers.port)}]}
            assert networks == {"bus", "front"}
        else:
            assert published == {}
            assert networks == {"bus"}
    project = containers.containers()[0].labels["com.docker.compose.project"]
    (bus,) = containers.client.networks.list(names=[f"{project}_bus"])
    assert bus.attrs["Internal"] is True


def test_each_image_holds_its_own_service_alone(containers: ContainerStack) -> None:
    for each in containers.containers():
        held = each.exec_run(["ls", "/opt/correio/app"]).output.decode().split()
        assert sorted(held) == sorted(["mail", "runtime", "wire", each.labels["com.docker.compose.service"]])


def test_a_session_goes_on_when_every_worker_container_is_killed(containers: ContainerStack) -> None:
    with Connection(containers.port, timeout=60) as session:
        session.begin("ana@example.com")
        for each in containers.containers("session_worker"):
            each.exec_run(["sh", "-c", "kill -9 -1"])
        assert session.command("through it all\r\n.").startswith("250 2.0.0")
    assert texts(containers, "ana@example.com")[-1].strip() == b"through it all"
    wait_until(lambda: all(map(is_healthy, containers.containers("session_worker"))), "the workers are back")


def test_a_restart_of_the_store_loses_no_mail(containers: ContainerStack) -> None:
    send(containers, "bruno@example.com", b"before")
    (store,) = containers.containers("mailbox_store")
    store.restart(timeout=30)
    wait_until(lambda: is_healthy(store), "the store is back")
    send(containers, "bruno@example.com", b"after")
    assert [each.split()[-1] for each in texts(containers, "bruno@example.com")] == [b"before", b"after"]


def test_users_edited_by_renaming_a_new_file_over_the_old_are_seen(containers: ContainerStack) -> None:
    edited = containers.folder / "users.txt.new"
    edited.write_text(USERS + "dora@example.com\n")
    edited.replace(containers.folder / "users.txt")
    wait_until(mailbox(containers, "dora@example.com").exists, "the new user has a mailbox", deadline=10)
    send(containers, "dora@example.com", b"welcome")
    assert len(texts(containers, "dora@example.com")) == 1


def test_up_again_is_harmless_and_status_tells_of_each_container(containers: ContainerStack) -> None:
    before = {each.id for each in containers.containers()}
    caller = {"SUDO_UID": str(OWNER), "SUDO_GID": str(OWNER)} if os.geteuid() == 0 else {}
    assert deploy("up", containers.folder, PORT=str(containers.port), MODE="docker", **caller).returncode == 0
    assert {each.id for each in containers.containers()} == before
    status = deploy("status", containers.folder)
    assert status.returncode == 0
    assert [line.split()[1] for line in status.stdout.splitlines()] == ["Up"] * 4 + ["mail"]


def test_conversations_are_watched_from_outside_through_the_feed(containers: ContainerStack) -> None:
    command = [sys.executable, "-m", "client", "watch", "--json", "--run", str(containers.folder / "run")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        try:
            assert watch.stderr.readline().startswith("Watching the stack in RUN=")
            send(containers, "ana@example.com", b"not to be seen")
            events = []
            while not events or events[-1]["event"] != "closed":
                events.append(json.loads(watch.stdout.readline()))
            watch.send_signal(signal.SIGINT)
            assert watch.wait(30) == 0
        finally:
            watch.kill()
    assert "delivered" in [event["event"] for event in events]
    assert "not to be seen" not in str(events)
    seen = (containers.folder / "run" / "sockets").stat()
    assert (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (OWNER, 0o700)


def status_of(containers: ContainerStack) -> dict[str, Any]:
    """What `correio status --json` says of the services."""
    command = [sys.executable, "-m", "client", "--port", str(containers.port), "status", "--json"]
    command += ["--run", str(containers.folder / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert isinstance(services, dict)
    return services


def test_status_tells_of_the_services_in_containers_and_of_none_that_is_gone(containers: ContainerStack) -> None:
    caller = {"SUDO_UID": str(OWNER), "SUDO_GID": str(OWNER)} if os.geteuid() == 0 else {}
    before = {each.id[:12] for each in containers.containers("session_worker")}
    for each in containers.containers("session_worker"):
        each.kill()
    done = deploy("restart-workers", containers.folder, **caller)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: all(each["ready"] for each in status_of(containers).values()), "all are ready")
    found = status_of(containers)
    hosts = {each.id[:12] for each in containers.containers()}
    assert not hosts & before
    assert {each["host"] for each in found.values()} == hosts
    assert {each["version"] for each in found.values()} == {VERSION}
    seen = (containers.folder / "run" / "ready").stat()
    assert (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (OWNER, 0o700)


def test_a_bad_users_file_is_named_as_the_caller_knows_it_and_nothing_stays(
    engine_client: docker.DockerClient, folder: Path
) -> None:
    (folder / "users.txt").write_text("ana@example.com\nbruno\n")
    port = free_port()
    done = deploy("up", folder, MODE="docker", PORT=str(port))
    assert done.returncode == 78
    assert done.stderr.startswith(f"store: {folder}/users.txt:2: ")
    assert len(done.stderr.splitlines()) == 1
    assert_nothing_is_left(engine_client, port)


def assert_nothing_is_left(client: docker.DockerClient, port: int) -> None:
    names = [each.name for each in client.containers.list(all=True)] + [each.name for each in client.networks.list()]
    assert [name for name in names if name and name.startswith(f"correio-{port}-")] == []


@pytest.fixture(scope="module")
def own(engine_client: docker.DockerClient) -> Iterator[tuple[Path, int]]:
    """The folder and the port of a stack of whoever runs the tests, root itself where it is root."""
    with tempfile.TemporaryDirectory(prefix="correio-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        (folder / "users.txt").write_text(USERS_FILE)
        settings = {"MODE": "docker", "PORT": str(port), "METRICS_PORT": "9120", "CONVERSATION": "off"}
        done = deploy("up", folder, **settings)
        try:
            assert done.returncode == 0, done.stderr
            yield folder, port
        finally:
            assert deploy("down", folder).returncode == 0


async def test_containers_are_replaced_under_load_and_in_an_open_session_without_an_error(
    own: tuple[Path, int],
) -> None:
    await restart_workers_and_store(*own)


def test_numbers_are_told_inside_the_internal_network_alone_and_the_list_of_them_stays_true(
    engine_client: docker.DockerClient, own: tuple[Path, int]
) -> None:
    listed = own[0] / "run" / "prometheus-targets.json"

    def told() -> dict[str, set[str]]:
        """Service → addresses, of the targets that answer with their own numbers."""
        found: dict[str, set[str]] = {}
        for group in json.loads(listed.read_text()):
            host, _, port = group["targets"][0].partition(":")
            name = group["labels"]["service"]
            if f"correio_{name.rpartition('_')[2]}_" in page(int(port), "/metrics", host)[1]:
                found.setdefault(name, set()).add(host)
        return found

    before = told()
    assert {name: len(hosts) for name, hosts in before.items()} == {
        "gateway": 1,
        "mailbox_store": 1,
        "session_worker": 2,
    }
    for each in engine_client.containers.list(filters={"label": "com.docker.compose.project"}):
        ports = each.attrs["NetworkSettings"]["Ports"] or {}
        assert not ports.get("9120/tcp"), "it is published"
    assert deploy("restart-workers", own[0]).returncode == 0
    after = told()
    assert {name: len(hosts) for name, hosts in after.items()} == {name: len(hosts) for name, hosts in before.items()}
    assert not after["session_worker"] & before["session_worker"]


def test_down_leaves_no_container_and_no_network(engine_client: docker.DockerClient, own: tuple[Path, int]) -> None:
    folder, port = own
    # Of root itself, the store is root without any capability.
    assert (folder / "mailboxes" / f"{TYPIST}.txt").stat().st_uid == os.geteuid()
    stopped = deploy("down", folder)
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert_nothing_is_left(engine_client, port)
    assert not (folder / "run" / "prometheus-targets.json").exists()
    assert deploy("down", folder).returncode == 0
