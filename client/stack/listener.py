"""Who listens on a TCP port of this machine, from Linux' /proc.

Gives: `listeners`. Fails: never; what may not be read, as another user's processes, or is not there, is left out.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
# proc(5): the column `st` of /proc/net/tcp; 0A is TCP_LISTEN.
_LISTENS = "0A"


def listeners(port: int, proc: Path = _PROC) -> list[str]:
    """The processes that listen on the port, as "pid 4711: command line"; [] where none is found."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not sockets:
        return []
    found = []
    for process in sorted(proc.glob("[0-9]*"), key=lambda each: int(each.name)):
        with suppress(OSError):
            if any(str(link.readlink()) in sockets for link in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().split(b"\0")
                found.append(f"pid {process.name}: {b' '.join(words).decode('utf-8', 'replace').strip()}")
    return found


def _inodes(port: int, proc: Path) -> set[str]:
    """The sockets that listen: `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENS and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(columns[9])
    return inodes
