"""Parts as files: whatever a sender calls them, they do no harm."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.mail.parts import Part
from client.mailbox.saving import SaveError, harmless_name, save


def named(name: str, kind: str = "application/pdf") -> str:
    return harmless_name(Part(kind, name, b""), 3)


@pytest.mark.parametrize(
    ("name", "harmless"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("currículo €.pdf", "currículo €.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\dir\\f.txt", "f.txt"),
        ("a\0b", "a_b"),
        ("a\nb\x1b[2Jc", "a_b_[2Jc"),
        ("gpj\u202eexe.pdf", "gpj_exe.pdf"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("~root", "root"),
        ("..", "part-3.pdf"),
        (".", "part-3.pdf"),
        ("", "part-3.pdf"),
        ("dir/", "part-3.pdf"),
        ("   ", "part-3.pdf"),
        ("\u200b\ufeff", "part-3.pdf"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("COM1.pdf", "_COM1.pdf"),
        ("console.pdf", "console.pdf"),
        ("a. . ", "a"),
        ("a?*<>|\"$(x)`;&.pdf", "a_______(x)___.pdf"),
        ("%2e%2e%2fx", "_2e_2e_2fx"),
        ("e\u0301.pdf", "é.pdf"),
        ("x" * 300 + ".pdf", "x" * 236 + ".pdf"),
        ("é" * 300 + ".pdf", "é" * 118 + ".pdf"),
        ("x." + "y" * 300, "x." + "y" * 238),
    ],
)  # fmt: skip
def test_a_name_is_made_harmless(name: str, harmless: str) -> None:
    assert named(name) == harmless


@pytest.mark.parametrize(
    ("name", "kind", "harmless"),
    [
        ("page.html", "text/html", "page.html.txt"),
        ("page.HTM", "text/plain", "page.HTM.txt"),
        ("page.pdf", "text/html", "page.pdf.txt"),
        ("", "text/html", "part-3.html.txt"),
        ("x.svg", "image/svg+xml", "x.svg.txt"),
        ("x.svg", "application/octet-stream", "x.svg.txt"),
        ("x.xhtml", "application/octet-stream", "x.xhtml.txt"),
        ("x.mht", "application/octet-stream", "x.mht.txt"),
        ("x", "application/xhtml+xml", "x.txt"),
        ("x.xml", "text/xml", "x.xml.txt"),
        ("forwarded.eml", "message/rfc822", "forwarded.eml.txt"),
    ],
)
def test_what_a_browser_would_run_is_saved_as_text(name: str, kind: str, harmless: str) -> None:
    assert named(name, kind) == harmless


@given(
    st.text() | st.text(alphabet="./\\ -~:*\0\u202eaé", max_size=400),
    st.sampled_from(["text/html", "a/b", "text/plain"]),
)
def test_any_name_is_that_of_a_file_in_the_folder(name: str, kind: str) -> None:
    harmless = named(name, kind)
    assert harmless not in ("", ".", "..")
    assert not re.search(r'[/\\\0-\x1f\x7f:*?"<>|]|^[.\-~ ]|[. ]$', harmless)
    assert len(harmless.encode()) <= 255 - len("-10000")


def test_parts_are_written_under_names_of_their_own(tmp_path: Path) -> None:
    parts = [Part("a/b", "x.tar.gz", b"1"), Part("a/b", "x.tar.gz", b"2"), Part("text/plain", "", b"3")]
    saved = list(save(enumerate(parts, 1), tmp_path / "made" / "here"))
    assert [(number, path.name, path.read_bytes()) for number, path in saved] == [
        (1, "x.tar.gz", b"1"),
        (2, "x-2.tar.gz", b"2"),
        (3, "part-3.txt", b"3"),
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for _, path in saved} == {0o600}


def test_no_file_that_is_there_is_written_to_and_no_link_followed(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"mine")
    (tmp_path / "a-2.pdf").symlink_to(tmp_path / "elsewhere")
    ((_, path),) = save([(1, Part("a/b", "a.pdf", b"theirs"))], tmp_path)
    assert (path.name, path.read_bytes()) == ("a-3.pdf", b"theirs")
    assert (tmp_path / "a.pdf").read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match=r"file: (Not a directory|File exists)"):
        list(save([(1, Part("a/b", "a", b"x"))], tmp_path / "file"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        write = full

    def opened(descriptor: int, _: str) -> Full:
        os.close(descriptor)
        return Full()

    monkeypatch.setattr(os, "fdopen", opened)
    with pytest.raises(SaveError, match=r"a\.pdf: No space left on device"):
        list(save([(1, Part("a/b", "a.pdf", b"x"))], tmp_path))
    assert not (tmp_path / "a.pdf").exists()
