"""Parts of a mail as files.

Gives: `harmless_name`, a name for a part that can do no harm; `save`, which writes parts into a folder.
The name is the sender's, so it is an attack until the contrary is shown: nothing of it leads out of the folder, hides
the file, or means a device; what a browser would run gets `.txt` behind it, for a page that is opened as a file may
read others. No file that is there is ever written to, and none can be executed.
Fails: `SaveError`; a file that could not be written whole is removed.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click

from ..mail.parts import Part

# Of the 255 octets of a name (NAME_MAX) some are for what makes it another one than those that are there.
_MAX_NAME = 240
_MAX_SUFFIX = 30
# Names that one folder can have of one kind; a folder with more is no place to save to.
_MOST_OF_ONE_NAME = 10_000
# Separators of any system, what a shell or Windows gives a meaning, and a percent sign, for some decode it again.
_UNWANTED = re.compile(r'[/\\:*?"<>|%`$&;!\x00-\x1f\x7f]')
# Windows: these are devices whatever follows a dot.
_DEVICE = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)")
# What a browser takes for a page with scripts.
_PAGE = re.compile(r"(?i)\.(?:[xsp]?html?|xht|svgz?|xml|xslt?|mhtml?|mht|hta|pdfxml|rss|atom|url|webloc|eml)$")
_PAGE_TYPE = re.compile(r"text/html|.*[/+]xml|message/.*|multipart/.*|image/svg.*|application/xhtml.*")
_SUFFIXES = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "message/rfc822": ".eml",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
}


class SaveError(click.ClickException):
    """A part cannot be saved."""

    exit_code = 1


def harmless_name(part: Part, number: int) -> str:
    """A harmless name.

    :param number: of the part, for one that has no name.
    """
    name = unicodedata.normalize("NFC", part.name)
    # The last step of a path, of whatever system.
    name = re.split(r"[/\\]", name)[-1]
    name = "".join("_" if _is_unwanted(character) else character for character in name[: 4 * _MAX_NAME])
    # Leading dots hide a file, a dash makes it an option, trailing dots and blanks are not there for Windows.
    name = name.lstrip(" .-~").rstrip(" .")
    if not name.strip("_ "):
        name = f"part-{number}{_SUFFIXES.get(part.type, '.bin')}"
    if _DEVICE.match(name):
        name = f"_{name}"
    if _PAGE.search(name) or _PAGE_TYPE.fullmatch(part.type):
        name = f"{name}.txt"
    return _shortened(name)


def _is_unwanted(character: str) -> bool:
    # Cc and Cf: controls and what is not seen, such as marks that turn text around; Cs, Co, Cn: no characters.
    return bool(_UNWANTED.match(character)) or unicodedata.category(character) in (
        "Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp",
    )  # fmt: skip


def _shortened(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > _MAX_SUFFIX:
        stem, dot, suffix = name, "", ""
    room = _MAX_NAME - len(f"{dot}{suffix}".encode())
    return f"{stem.encode()[:room].decode('utf-8', 'ignore')}{dot}{suffix}"


def save(parts: Iterable[tuple[int, Part]], folder: Path) -> Iterator[tuple[int, Path]]:
    """Write parts, given with their numbers, into a folder, which is made if it is not there; gives each file.

    :raises SaveError: one cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SaveError(f"{folder}: {error.strerror}") from None
    taken: dict[str, int] = {}
    try:
        for number, part in parts:
            yield number, folder / _save(part.octets, harmless_name(part, number), descriptor, folder, taken)
    finally:
        os.close(descriptor)


def _save(octets: bytes, name: str, folder: int, path: Path, taken: dict[str, int]) -> str:
    stem, dot, suffix = name.partition(".")
    for count in range(taken.get(name, 0), _MOST_OF_ONE_NAME):
        chosen = f"{stem}-{count + 1}{dot}{suffix}" if count else name
        taken[name] = count + 1
        try:
            # O_EXCL: neither a file that is there nor what a link points to.
            file = os.open(
                chosen, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
            )
        except FileExistsError:
            continue
        except OSError as error:
            raise SaveError(f"{path / chosen}: {error.strerror}") from None
        try:
            with os.fdopen(file, "wb") as writing:
                writing.write(octets)
        except OSError as error:
            with suppress(OSError):
                os.unlink(chosen, dir_fd=folder)
            raise SaveError(f"{path / chosen}: {error.strerror}") from None
        return chosen
    raise SaveError(f"{path} has {_MOST_OF_ONE_NAME} files by the name of {name} already")
