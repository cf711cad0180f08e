"""Puts figures into a document: what stands between two marks is replaced, all else stays as its author wrote it.

<!-- figures: throughput -->
...
<!-- end -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SECTION = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(text: str, figures: Mapping[str, str]) -> str:
    """The document with these sections replaced; sections that are not named stay.

    :raises KeyError: for a section that the document has not.
    """
    missing = set(figures) - {section[2] for section in _SECTION.finditer(text)}
    if missing:
        raise KeyError(f"the document has no section for {', '.join(sorted(missing))}")
    return _SECTION.sub(lambda section: section[1] + figures.get(section[2], _inside(section)) + section[3], text)


def _inside(section: re.Match[str]) -> str:
    return section[0][len(section[1]) : -len(section[3])]


def code(text: str) -> str:
    """A table of figures as the document shows it."""
    return f"\n```\n{text}\n```\n\n"


def machine(where: Mapping[str, Any]) -> str:
    """The machine and the commit, in a sentence."""
    sync = where["fdatasync_ms"]
    return (
        f"\nTaken {where['date']} at commit `{where['commit']}` (a + says: with changes) on {where['processors']}, "
        f"Linux {where['kernel']},\nPython {where['python']}, {where['file_system']}. Appending 4 KiB and "
        f"syncing them takes {sync['p50']:.1f} ms (p99 {sync['p99']:.1f} ms) there.\n\n"
    )
