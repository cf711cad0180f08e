"""`python -m docs.architecture`: draw docs/architecture.svg, the picture in README.md, from the tables below.

A box is a package, with the folders that it has now. A solid arrow is what one process says to another, a dashed one
goes from a package to one that it imports. tests/docs/test_architecture.py compares all of it with the packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"


@dataclass(frozen=True)
class Box:
    """A package: its place, what runs it ("" for what is only imported), and what there is to say of it."""

    x: int
    y: int
    width: int
    height: int
    process: str
    says: str


class Speech(NamedTuple):
    """One process speaks to another: what it says, what it is answered, and the setting that has the place."""

    speaker: str
    listener: str
    says: str
    answer: str
    setting: str


BOXES = {
    "deploy": Box(
        190, 20, 590, 40, "make up, correio serve", "by supervisord, or an engine; in_memory.py: in one object"
    ),
    "client": Box(16, 100, 128, 130, "correio", "a person’s end"),
    "gateway": Box(200, 100, 126, 130, "one process", "knows no SMTP"),
    "session_worker": Box(390, 100, 140, 130, "any number of them", "(state, input) → (state′, replies)"),
    "mailbox_store": Box(600, 100, 130, 130, "one process", "knows no sessions"),
    "runtime": Box(190, 284, 590, 30, "", "what every service needs around its work"),
    "wire": Box(190, 324, 590, 30, "", "the messages between the services"),
    "mail": Box(16, 364, 764, 30, "", "what is known of mail: addresses, ids, mailbox files, a reader’s view"),
}
SPEECHES = [
    Speech("client", "gateway", "SMTP", "", "PORT"),
    Speech("gateway", "client", "feed", "", "FEED_ENDPOINT"),
    Speech("gateway", "session_worker", "Step", "StepDone", "GATEWAY_ENDPOINT"),
    Speech("session_worker", "mailbox_store", "Deliver", "Delivered", "STORE_ENDPOINT"),
]
# Who starts whom, as processes of their own.
STARTS = [("client", "deploy"), ("deploy", "gateway"), ("deploy", "session_worker"), ("deploy", "mailbox_store")]
IMPORTS = {
    # The services in one process: `deploy/in_memory.py`.
    "deploy": ["runtime", "wire", "mail", "gateway", "session_worker", "mailbox_store"],
    "client": ["mail"],
    "gateway": ["runtime", "wire", "mail"],
    "session_worker": ["runtime", "wire", "mail"],
    "mailbox_store": ["runtime", "wire", "mail"],
    "wire": [],
    "runtime": ["wire"],
    "mail": [],
}
_STYLE = """text{font:13px -apple-system,'Segoe UI',Helvetica,Arial,'DejaVu Sans',sans-serif;fill:#b7c4d2}
.name{font-size:15px;font-weight:600;fill:#eaf2fa}
.code{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d5dde6}
.small{font-size:11.5px;fill:#8ba0b5}
.mid{text-anchor:middle}
.box{fill:#1c2733;stroke:#44607c}
.says{fill:none;stroke:#73d6e6;stroke-width:1.6}
.answers{fill:none;stroke:#7fdc8f;stroke-width:1.6}
.starts{fill:none;stroke:#d8b26a;stroke-width:1.4}
.imports{fill:none;stroke:#5d7690;stroke-width:1.2;stroke-dasharray:4 3}"""
_ARROWS = {"says": "#73d6e6", "answers": "#7fdc8f", "starts": "#d8b26a", "imports": "#5d7690"}
_ABOUT = (
    "Clients speak SMTP to the gateway, which holds the connections. It sends each input with the session's state to "
    "one of several session workers, which answer with replies and the new state. Workers ask the mailbox store, "
    "which writes a message to its journal and to a text file for each recipient before it says that it is "
    "delivered. The client reads these files. The deploy tool starts the three services. Dashed arrows show "
    "which package imports which."
)


def folders(package: str) -> list[str]:
    """The folders of a package that hold modules; a link to another package is none of its own."""
    return sorted(
        path.name
        for path in (ROOT / package).iterdir()
        if path.is_dir() and not path.is_symlink() and (path / "__init__.py").exists()
    )


def draw() -> str:
    """The picture, as SVG."""
    markers = "".join(
        f'<marker id="{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{color}"/></marker>\n'
        for kind, color in _ARROWS.items()
    )
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 484" width="880" height="484" role="img" '
        'aria-labelledby="title about">',
        '<title id="title">How Correio is built</title>',
        f'<desc id="about">{_ABOUT}</desc>',
        f"<style>\n{_STYLE}\n</style>\n<defs>\n{markers}</defs>",
        '<rect x=".5" y=".5" width="879" height="483" rx="10" fill="#0f1720" stroke="#334354"/>',
        *_imports(),
        *(line for name, box in BOXES.items() for line in _box(name, box)),
        *_files(),
        *(line for speech in SPEECHES for line in _speech(speech)),
        *_starts(),
        _text(16, 428, "A session belongs to no process: all that it has said travels in its state."),
        _text(16, 448, "Kill a worker and its step goes to another; the client waits a moment and sees nothing."),
        _text(
            16, 468, "A step that is run twice stores nothing twice: a delivery has the same id whoever serves it."
        ),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    return f'<text{f" class={chr(34)}{kind}{chr(34)}" if kind else ""} x="{x}" y="{y}">{text}</text>'


def _arrow(kind: str, name: str, path: str) -> str:
    return f'<path class="{kind}" id="{name}" d="{path}" marker-end="url(#{kind})"/>'


def _box(name: str, box: Box) -> Iterator[str]:
    copies = (12, 6, 0) if name == "session_worker" else (0,)
    for shift in copies:
        faint = f' opacity="{1 - shift / 30:.2f}"' if shift else f' id="{name}"'
        yield (
            f'<rect class="box"{faint} x="{box.x + shift}" y="{box.y - shift}" width="{box.width}" '
            f'height="{box.height}" rx="8"/>'
        )
    middle = box.x + box.width // 2
    if box.height < 50:
        baseline = box.y + box.height // 2 + 5
        yield _text(box.x + 14, baseline, name, "name")
        about = f"{box.process}: {box.says}" if box.process else box.says
        yield _text(box.x + 96, baseline, about, "small")
        return
    yield _text(middle, box.y + 24, name, "name mid")
    yield _text(middle, box.y + 42, box.process, "small mid")
    listed = folders(name)
    for row in range(0, len(listed), 2):
        yield _text(middle, box.y + 64 + 9 * row, " ".join(listed[row : row + 2]), "code mid")
    for number, words in enumerate(reversed(_halves(box.says))):
        yield _text(middle, box.y + box.height - 10 - 15 * number, words, "small mid")


def _halves(text: str) -> list[str]:
    first, arrow, second = text.partition(" → ")
    return [first + " →", second] if arrow else [text]


def _files() -> Iterator[str]:
    for y, name, kind in ((100, "journal", "SQLite"), (172, "ana.txt", "mbox; cat")):
        yield f'<rect class="box" id="{name}" x="796" y="{y}" width="72" height="58" rx="6"/>'
        yield _text(832, y + 25, name, "mid")
        yield _text(832, y + 45, kind, "small mid")
    yield _arrow("says", "mailbox_store-journal", "M730 129H794")
    yield _arrow("says", "mailbox_store-ana.txt", "M730 201H794")
    yield _arrow("answers", "ana.txt-client", "M832 230V256H56V232")
    yield _text(808, 250, "reads", "small mid")


def _speech(speech: Speech) -> Iterator[str]:
    here, there = BOXES[speech.speaker], BOXES[speech.listener]
    name = f"{speech.speaker}-{speech.listener}"
    if here.x > there.x:
        yield _arrow("answers", name, f"M{here.x} 200H{there.x + there.width + 2}")
        yield _text((here.x + there.x + there.width) // 2, 194, speech.says, "small mid")
        return
    left, right = here.x + here.width, there.x
    if speech.speaker == "session_worker":
        left += 12
    yield _arrow("says", name, f"M{left} 136H{right - 2}")
    yield _text((left + right) // 2, 130, speech.says, "small mid")
    if speech.answer:
        yield _arrow("answers", f"{speech.listener}-{speech.speaker}", f"M{right} 170H{left + 2}")
        yield _text((left + right) // 2, 187, speech.answer, "small mid")


def _starts() -> Iterator[str]:
    for starter, started in STARTS:
        here, there = BOXES[starter], BOXES[started]
        middle = there.x + there.width // 2
        if starter == "client":
            yield _arrow("starts", f"{starter}-{started}", f"M76 {here.y}V40H{there.x - 2}")
            yield _text(130, 34, "starts", "small mid")
        else:
            top = there.y - (12 if started == "session_worker" else 0)
            yield _arrow("starts", f"{starter}-{started}", f"M{middle} {here.y + here.height}V{top - 2}")


def _imports() -> Iterator[str]:
    """A leg from each package down to those that it stands on; what it passes on its way hides it."""
    for importer, imported in IMPORTS.items():
        box = BOXES[importer]
        for number, name in enumerate(imported):
            below = BOXES[name]
            if below.width < 200:
                # From above, beside the arrow of its start.
                x = below.x + below.width // 2 + 30
            elif box.width < 200:
                x = box.x + box.width // 2 + 26 * number - 13 * (len(imported) - 1)
            else:
                # A floor has its legs at its left end, and deploy, which stands on top, at its right one.
                x = box.x + box.width - 10 - 10 * number if importer == "deploy" else box.x + 30 + 300 * number
            yield _arrow("imports", f"{importer}-imports-{name}", f"M{x} {box.y + box.height}V{below.y - 2}")


def main() -> None:
    PICTURE.write_text(draw(), "utf-8")
    print(f"{PICTURE.relative_to(ROOT)} is drawn")


if __name__ == "__main__":
    main()
