"""docs/ci.md and docs/cli.md: each marked example is run as it stands, and what is listed is all there is.

A block behind `<!-- run as: NAME -->` is the file NAME.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from client.__main__ import COMMANDS, main
from session_worker.faults.rules import STAGES, parse, word
from tests.stack import ROOT, free_port, takes_mail

CI = (ROOT / "docs" / "ci.md").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text()
MARKED = re.compile(r"<!-- run as: (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)


# A program that sends at once and only once, as one that a compose file starts may.
SEND = (
    "import smtplib; smtplib.SMTP('gateway', 12000, 'program.example', 5)"
    ".sendmail('', ['ana@example.com'], 'Subject: at once\\n\\n')"
)
PROGRAM = ["python3", "-c", SEND]


def example(name: str) -> str:
    return dict(MARKED.findall(CI))[name]


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    needed = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    return subprocess.run(
        command, cwd=cwd, env={**needed, **environment}, capture_output=True, text=True, check=False, timeout=110
    )


@pytest.mark.stack
def test_the_pytest_example_passes_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "test_signup.py").write_text(example("test_signup.py"))
    plugins = ["-p", "client.pytest_plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, str(tmp_path)]
    done = run(command, tmp_path, PYTHONPATH=str(ROOT), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.stack
def test_the_script_of_a_ci_job_does_what_it_says(folder: Path) -> None:
    script = example("ci.sh").replace(".venv/bin/correio", f"{sys.executable} -m client")
    port = str(free_port())
    done = run(
        ["sh", "-c", script],
        ROOT,
        PORT=port,
        CORREIO_PORT=port,
        RUN=f"{folder}/run",
        MAILBOXES=f"{folder}/mailboxes",
        USERS=str(ROOT / "users.txt"),
        VENV=str(Path(sys.executable).parent.parent),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Subject: Welcome" in done.stdout
    assert "stopped" in done.stdout


@pytest.mark.containers
@pytest.mark.usefixtures("engine_answers")
def test_the_compose_example_takes_mail_and_the_mailbox_is_a_file_beside_it(folder: Path) -> None:
    built = run([sys.executable, "-m", "deploy", "images"], ROOT)
    assert built.returncode == 0, built.stderr
    (folder / "compose.yaml").write_text(example("compose.yaml"))
    (folder / "mail").mkdir()
    (folder / "mail" / "users.txt").write_text("ana@example.com\n")
    port = free_port()
    tag = built.stdout.strip()
    settings = {
        "CORREIO_TAG": tag,
        "PORT": str(port),
        "CORREIO_UID": str(os.geteuid()),
        "PROGRAM": f"correio/gateway:{tag}",
    }
    compose = ["docker", "compose"]
    if run([*compose, "version"], folder).returncode:
        compose = ["docker-compose"]
    # The program sends at once, and only once.
    (folder / "program.yaml").write_text(json.dumps({"services": {"program": {"entrypoint": PROGRAM}}}))
    compose += ["--file", "compose.yaml", "--file", "program.yaml", "--project-name", f"correio-example-{port}"]
    try:
        up = run([*compose, "up", "--detach"], folder, **settings)
        assert up.returncode == 0, up.stderr
        assert takes_mail(port)
        boxes = str(folder / "mail" / "mailboxes")
        programs = [
            "wait",
            "--to",
            "ana@example.com",
            "--subject",
            "at once",
            "--mailboxes",
            boxes,
            "--timeout",
            "20",
        ]
        assert run([sys.executable, "-m", "client", *programs], ROOT).returncode == 0
        sent = run(
            [sys.executable, "-m", "client", "--port", str(port), "send", "--from", "a@b.example", "--to",
             "ana@example.com", os.devnull], ROOT,
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        waited = [
            "wait",
            "--to",
            "ana@example.com",
            "--mailboxes",
            boxes,
            "--timeout",
            "5",
        ]
        assert run([sys.executable, "-m", "client", *waited], ROOT).returncode == 0
    finally:
        down = run([*compose, "down", "--volumes", "--timeout", "3"], folder, **settings)
    assert down.returncode == 0, down.stderr


def test_the_words_and_rules_that_are_shown_are_understood() -> None:
    shown = re.findall(r"`([a-z0-9+.-]+)@(?:DOMAIN|example\.com)`", CI)
    assert len(shown) > 7
    assert [local for local in shown if word(local) is None] == []
    text = "\n".join(line for line in CI.splitlines() if re.match(r"    (at|#) ", line))
    assert len(parse(text)) == 4
    assert [stage for stage in STAGES if f"`{stage}`" not in CI] == []


def test_the_page_of_commands_has_each_with_its_exit_statuses() -> None:
    for command in COMMANDS:
        assert f"\n## correio {command.name}" in CLI
        section = CLI.partition(f"\n## correio {command.name}")[2].partition("\n## ")[0]
        text = re.sub(r"\s+", " ", CliRunner().invoke(main, [str(command.name), "--help"]).output)
        statuses = text.partition("Exit status: ")[2].strip()
        assert statuses in re.sub(r"\s+", " ", section), command.name
        options = [name for parameter in command.params for name in parameter.opts if name.startswith("--")]
        assert [name for name in options if f"`{name}" not in section and name not in ("--host", "--port")] == []
