"""`make client`: one file, which speaks, sends, reads and watches with nothing around it but Python."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import VERSION
from client.testing.private_stack import PrivateStack
from deploy import engine
from tests.client.pseudo_terminal import Screen
from tests.deploy.deploying import processes_of
from tests.stack import ROOT, free_port

# The interpreter itself, not that of the tests' environment, without any package but its own library.
BARE = [str(Path(sys.base_prefix) / "bin" / "python3"), "-I", "-S"]

EXERCISE = (ROOT / "docs" / "exercicio.md").read_text("utf-8")


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    folder.chmod(0o755)
    command = ["make", "--no-print-directory", "-C", str(ROOT), "client", f"DIST={folder}", f"VENV={sys.prefix}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr
    assert f"{folder}/correio.pyz: for Python 3.11 3.12 3.13 3.14 on machines of this kind" in done.stdout
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


def test_its_lock_has_every_library_of_the_client() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^a-z_-]", each)[0].replace("_", "-") for each in project["dependencies"]}
    locked = re.findall(r"^([a-z-]+)==", (ROOT / "requirements" / "client.txt").read_text(), re.MULTILINE)
    assert needed <= set(locked)


def test_it_needs_python_alone(pyz: Path, elsewhere: Path) -> None:
    assert run(pyz, elsewhere, "--version") == f"correio, version {VERSION}\n"


def test_what_is_not_python_is_there_for_every_python(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as file:
        names = file.namelist()
    compiled = {name.partition(".cpython-311-")[0] for name in names if ".cpython-311-" in name}
    assert compiled
    for minor in (12, 13, 14):
        for module in compiled:
            ours = (f"{module}.abi3.so", f"{module}.cpython-3{minor}-")
            assert [name for name in names if name.startswith(ours)], (module, minor)


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


@pytest.mark.stack
def test_the_exercise_is_as_its_page_shows_it_on_two_screens(pyz: Path, folder: Path, tmp_path: Path) -> None:
    page = dict(re.findall(r"^```(\w+).*\n((?:(?!```).*\n)*)```$", EXERCISE, re.MULTILINE))
    (folder / "usuarios.txt").write_text(page["users"])
    port = str(free_port())
    serve = [sys.executable, "-m", "client", "serve", "usuarios.txt", "--lang", "pt"]
    # So wide that no line is broken.
    server = Screen(tmp_path, serve, folder, columns=300, PYTHONPATH=str(ROOT), PORT=port)
    try:
        server.wait_for("Aguardando conexão.")
        # It knows by itself the port of the server that was started in this folder.
        client = Screen(tmp_path, [*BARE, str(pyz), "--lang", "pt"], folder, columns=300, HOME=str(tmp_path))
        try:
            for line in page["client"].splitlines()[1:]:
                prompt, typed = re.match(r"((?:smtp|mensagem)> |)(.*)", line).groups()
                if prompt:
                    client.wait_for(prompt.strip())
                    client.type(f"{typed}\r")
                else:
                    client.wait_for(line.partition(", id ")[0])
            assert client.end() == 0
        finally:
            client.close()
        server.wait_for("encerrada")
        server.wait_for("Aguardando conexão.")
        server.type("\x03")
        assert server.end() == 0
    finally:
        server.close()
    assert processes_of(folder / "run") == []
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", server.raw).replace("^C", "^C\n").replace(port, "12000")
    assert what_stays(shown) == what_stays(page["server"].partition("\n")[2])
    mailbox = (folder / "mailboxes" / "maria@gmail.com.txt").read_text()
    assert what_stays(mailbox) == what_stays(page["mailbox"])


def what_stays(text: str) -> list[str]:
    """The lines without the time, the ids, and who served them how fast."""
    text = re.sub(r"  \[[0-9a-f]{8}(, [0-9.]+ ms)?\]", "", text)
    text = re.sub(r"\b[0-9a-f]{4}([0-9a-f]{8})?-[0-9]+(\.1)?\b", "ID", text)
    text = re.sub(r"[A-Z][a-z]{2},? .{6,13}[0-9:]{8} (20[0-9]{2}|\+0000)|[0-9:]{8}\.[0-9]{3}", "TIME", text)
    return [line.rstrip() for line in text.strip().splitlines()]


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
    root = ("--network", "host", "--volume", f"{pyz.parent}:/client:ro", engine.base_image(print))
    client = ("python3", "-I", "-S", "/client/correio.pyz", "send", "--port", str(stack.port))
    mail = ("--from", "a@b.example", "--to", "ana@gmail.com", "--subject", "From a container")
    said = engine.docker("run", "--rm", *somebody, *root, *client, *mail)
    assert said.startswith("250 2.0.0")
    assert "Subject: From a container" in (stack.mailboxes / "ana@gmail.com.txt").read_text()
