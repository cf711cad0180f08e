"""`make client`: one file, which speaks, sends, reads and watches with nothing around it but Python."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import VERSION
from client.private_stack import PrivateStack
from deploy import engine, images
from tests.stack import ROOT

# The interpreter itself, not that of the tests' environment, without any package but its own library.
BARE = [str(Path(sys.base_prefix) / "bin" / "python3"), "-I", "-S"]


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    folder.chmod(0o755)
    command = ["make", "--no-print-directory", "-C", str(ROOT), "client", f"DIST={folder}", f"VENV={sys.prefix}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr
    assert f"{folder}/correio.pyz: for Python 3.11 and newer" in done.stdout
    return folder / "correio.pyz"


@pytest.fixture(scope="module")
def stack() -> Iterator[PrivateStack]:
    with PrivateStack(["ana@gmail.com"], {"DOMAIN": "gmail.com"}) as stack:
        yield stack


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty folder that is home and working folder."""
    return tmp_path


def start(pyz: Path, elsewhere: Path, *arguments: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*BARE, str(pyz), *arguments],
        cwd=elsewhere,
        env={"HOME": str(elsewhere)},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
    )


def run(pyz: Path, elsewhere: Path, *arguments: str, typed: str = "") -> str:
    with start(pyz, elsewhere, *arguments) as client:
        said, complaints = client.communicate(typed.encode(), timeout=60)
    assert (client.returncode, complaints) == (0, b"")
    return said.decode()


def test_it_needs_python_alone(pyz: Path, elsewhere: Path) -> None:
    assert run(pyz, elsewhere, "--version") == f"correio, version {VERSION}\n"


@pytest.mark.stack
def test_a_session_a_mail_and_its_mailbox(pyz: Path, elsewhere: Path, stack: PrivateStack) -> None:
    where = ("--port", str(stack.port))
    dialogue = "HELO gmail.com\nMAIL TO: ana@gmail.com\nRCPT TO: ana@gmail.com\nDATA\nOi, Ana!\n.\nQUIT\n"
    assert "\n250 2.0.0 Message delivered" in run(pyz, elsewhere, *where, typed=dialogue)
    sent = run(pyz, elsewhere, "send", *where, "--from", "a@b.example", "--to", "ana@gmail.com", typed="Olá de novo")
    assert sent.startswith("250 2.0.0")
    mailbox = run(pyz, elsewhere, "read", "ana@gmail.com", "--mailboxes", str(stack.mailboxes))
    assert "Oi, Ana!" in mailbox
    assert "Olá de novo" in mailbox


@pytest.mark.stack
def test_what_it_watches_needs_the_library_that_is_not_python(
    pyz: Path, elsewhere: Path, stack: PrivateStack
) -> None:
    with start(pyz, elsewhere, "watch", "--json", "--run", str(stack.folder / "run")) as watch:
        assert watch.stderr is not None
        assert watch.stdout is not None
        assert watch.stderr.readline().startswith(b"Watching")
        run(pyz, elsewhere, "--port", str(stack.port), typed="QUIT\n")
        assert json.loads(watch.stdout.readline())["event"] == "connected"
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=60)
    assert watch.returncode == 0


def test_a_python_that_is_too_old_is_told_so() -> None:
    old = "import sys; sys.version_info = (3, 9, 2); exec(open(sys.argv[1]).read())"
    command = [sys.executable, "-c", old, str(ROOT / "client" / "__preamble__.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "correio needs Python 3.11 or newer; this is 3.9\n")


def test_nothing_in_it_names_this_machine(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as file:
        for name in file.namelist():
            assert str(ROOT).encode() not in file.read(name), name


@pytest.mark.containers
def test_it_runs_in_a_root_that_has_python_and_nothing_of_ours(
    pyz: Path, stack: PrivateStack, engine_answers: None
) -> None:
    somebody = ("--user", "12345", "--env", "HOME=/tmp", "--workdir", "/tmp")
    root = ("--network", "host", "--volume", f"{pyz.parent}:/client:ro", images.base_image(print))
    client = ("python3", "-I", "-S", "/client/correio.pyz", "send", "--port", str(stack.port))
    mail = ("--from", "a@b.example", "--to", "ana@gmail.com", "--subject", "From a container")
    said = engine.docker("run", "--rm", *somebody, *root, *client, *mail)
    assert said.startswith("250 2.0.0")
    assert "Subject: From a container" in (stack.mailboxes / "ana@gmail.com.txt").read_text()
