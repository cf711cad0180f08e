"""The pictures of the README: the recording shows what the programs say now, and both are fit to be shown."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.recording.__main__ import PICTURE, main

ROOT = Path(__file__).parent.parent.parent
PICTURES = (PICTURE, ROOT / "docs" / "architecture.svg")
SVG = "{http://www.w3.org/2000/svg}"
# What is another one each time: delivery ids, and the mailbox's dates.
CHANGING = re.compile(
    r"\b[0-9a-f]{12}-\d+\.\d+|\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}|\w{3}, [ \d]?\d \w{3} \d{4} [\d:]{8} [+-]\d{4}"
)


def texts(path: Path) -> list[tuple[str, ...]]:
    """What each row says, in the order of the picture."""
    groups = ElementTree.parse(path).iter(f"{SVG}g")  # noqa: S314 - our own file
    return [tuple(CHANGING.sub("...", text.text or "") for text in group.iter(f"{SVG}text")) for group in groups]


@pytest.mark.stack
def test_the_recording_shows_what_the_programs_say_now(tmp_path: Path) -> None:
    main(tmp_path / "again.svg")
    assert texts(tmp_path / "again.svg") == texts(PICTURE), "make pictures"


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_small_and_says_in_words_what_it_shows(path: Path) -> None:
    assert path.stat().st_size < 300_000
    root = ElementTree.parse(path).getroot()  # noqa: S314
    named = root.get("aria-label") or " ".join(root.itertext())
    assert len(named) > 100
    # A code host shows it as an image, in which nothing is fetched and no script runs.
    assert not re.search(r"<script|href=|url\(h", path.read_text(encoding="utf-8"))


def test_the_readme_shows_the_pictures() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"(docs/{path.name})" in readme for path in PICTURES)
