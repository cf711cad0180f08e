"""What documents and sources call by name is there: files, folders, modules, and what links lead to."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.stack import ROOT

PACKAGES = ["mail", "wire", "runtime", "gateway", "session_worker", "mailbox_store", "client", "deploy", "bench"]
FOLDERS = [*PACKAGES, "tests", "docs", "requirements", ".ci"]
FILES = [
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*"), *(each for folder in FOLDERS for each in (ROOT / folder).rglob("*"))]
    if path.is_file() and "__pycache__" not in path.parts
]
KINDS = (".md", ".py", ".toml", ".yaml", ".conf", ".sh", ".service", "Makefile", "Dockerfile", ".ci/run")
# Tests make up files of their own.
TEXTS = [name for name in FILES if name.endswith(KINDS) and not (name.startswith("tests/") and name.endswith(".py"))]
DOCUMENTS = [name for name in TEXTS if name.endswith(".md")]
# `framing.py`, clients/framing.py, gateway/clients/framing.py: a file, by the end of its path.
FILE = re.compile(r"(?<![\w.*/%{}-])(\w[\w/-]*\.(?:py|toml|yaml|conf|sh|md))\b(?![\w(])")
# gateway/clients/, deploy/systemd, tests/transcripts/*.smtp: a path that begins at the root.
PATH = re.compile(rf"(?<![\w./~-])((?:{'|'.join(FOLDERS[:-1])})/[\w*][\w.*/-]*[\w*/])")
# `gateway.clients`, `python -m tests.faults.chaos`: a module.
MODULE = re.compile(rf"`(?:python -m )?((?:{'|'.join(FOLDERS[1:10])})(?:\.\w+)+)[` ]")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
# `StepDone`, `sent_octets`, `Framer.take(...)`: what the sources define, in documents about them.
WORD = re.compile(r"`([A-Z][a-z]\w+|\w+_\w+)(?:\([^`]*\))?`")
OF_MODULE = re.compile(r"`([a-z]\w+)\.(\w+)(?:\([^`]*\))?`")
ABOUT_SOURCES = ["README.md", "docs/life-of-a-message.md", "wire/SPEC.md"]
# What the reader of docs/ci.md makes in a project of their own, and a file that RUN has.
OF_READERS = {"ci.sh", "test_signup.py", "mail/mailboxes", "gateway.log.1"}


def missing(document: str, named: re.Pattern[str]) -> list[str]:
    found = set(named.findall((ROOT / document).read_text("utf-8"))) - OF_READERS
    return sorted(name for name in found if not is_there(document, name, named))


def is_there(document: str, name: str, named: re.Pattern[str]) -> bool:
    if named is LINK:
        return (ROOT / document).parent.joinpath(name).exists()
    if named is MODULE:
        # A module, or what one has.
        return _is_module(name) or _is_module(name.rpartition(".")[0])
    if named is FILE:
        return any(f"/{path}".endswith(f"/{name}") for path in FILES)
    return any(True for _ in ROOT.glob(name))


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(
    ("named", "documents"), [(FILE, TEXTS), (PATH, TEXTS), (LINK, DOCUMENTS), (MODULE, DOCUMENTS)]
)
def test_what_is_named_exists(named: re.Pattern[str], documents: list[str]) -> None:
    gone = {document: missing(document, named) for document in documents}
    assert {document: names for document, names in gone.items() if names} == {}


@pytest.mark.parametrize("document", ABOUT_SOURCES)
def test_what_is_called_by_its_name_in_the_sources_is_there(document: str) -> None:
    sources = {name: (ROOT / name).read_text("utf-8") for name in TEXTS if not name.endswith(".md")}
    words = set(re.findall(r"\w+", "\n".join(sources.values())))
    text = (ROOT / document).read_text("utf-8")
    assert [word for word in WORD.findall(text) if word not in words] == []
    for module, name in OF_MODULE.findall(text):
        having = [source for path, source in sources.items() if path.endswith(f"/{module}.py")]
        known = not having or name == "py" or any(re.search(rf"\b{name}\b", source) for source in having)
        assert known or f"{module}.{name}" == "correio.localhost", f"{module}.py has no {name}"


def test_a_name_that_is_gone_would_be_seen(tmp_path: Path) -> None:
    text = "see gateway/gone.py, `gone.toml`, [it](gone.md), tests/gone/*.smtp and `python -m gateway.gone.more`"
    (tmp_path / "x.md").write_text(text)
    seen = [missing(str(tmp_path / "x.md"), each) for each in (FILE, PATH, LINK, MODULE)]
    assert seen == [
        ["gateway/gone.py", "gone.md", "gone.toml"],
        ["gateway/gone.py", "tests/gone/*.smtp"],
        ["gone.md"],
        ["gateway.gone.more"],
    ]
