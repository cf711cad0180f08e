"""A model of the kernel's page cache over a folder: what a kill leaves there, and what a power cut does.

Gives: `PageCache`, which sees what this process does to the files below a folder, be it by `os` or by SQLite;
`State`, what it held in one moment; `put_back`, which makes real files of that again.

Files are pages that are written, and clean once a sync has brought them to the disk. A sync that fails, and a close
that does, tell it once: what they could not write is clean from then on, and not on the disk. With `drops` it is
also forgotten, so that readers see what the disk has. Names are the same in one page per folder: a failed sync of the
folder loses what was changed, until the folder is changed again. No sync is done for real.
Limits: a page is on the disk as it was last written, or not; `fakes.py` and `crashes.py` have those torn in between.
"""

from __future__ import annotations

import copy
import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.mailbox_store.sqlite_files import tell

_PAGE = 4096
# Of the pages of a sync that fails, so many are on the disk all the same.
_REACHED = 0.3


class Node:
    """A file: what readers see, what the disk has, and which pages are to be written."""

    def __init__(self) -> None:
        self.cache = bytearray()
        self.disk = bytearray()
        self.dirty: set[int] = set()

    def write(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        begin = min(offset, len(self.cache))
        self.cache.extend(bytes(max(0, end - len(self.cache))))
        self.cache[offset:end] = data
        self.dirty.update(range(begin // _PAGE, (end - 1) // _PAGE + 1) if data else ())

    def cut(self, size: int) -> None:
        if size < len(self.cache):
            # The page with the end holds the new size.
            self.dirty = {page for page in self.dirty if page * _PAGE < size} | {max(0, size - 1) // _PAGE}
            del self.cache[size:]

    def reach(self, pages: set[int]) -> None:
        """Bring these pages to the disk."""
        for page in sorted(pages):
            begin, end = page * _PAGE, min(len(self.cache), (page + 1) * _PAGE)
            if begin > len(self.disk):
                self.disk.extend(bytes(begin - len(self.disk)))
            self.disk[begin:end] = self.cache[begin:end]
        if pages and max(pages) >= (len(self.cache) - 1) // _PAGE:
            del self.disk[len(self.cache) :]

    def lose(self, pages: set[int]) -> None:
        """Forget these pages: readers see the disk's."""
        for page in pages:
            begin, end = page * _PAGE, min(len(self.cache), (page + 1) * _PAGE)
            there = bytes(self.disk[begin:end])
            self.cache[begin:end] = there + bytes(end - begin - len(there))


@dataclass
class State:
    """Files by their path below the folder; None for a folder."""

    names: dict[str, Node | None] = field(default_factory=dict)
    durable: dict[str, Node | None] = field(default_factory=dict)
    # Folders with names that are to be written.
    changed: set[str] = field(default_factory=set)

    def sync_names(self, folder: str) -> None:
        for name in {*self.names, *self.durable}:
            if os.path.dirname(name) == folder:  # noqa: PTH120  # relative, and text
                if name in self.names:
                    self.durable[name] = self.names[name]
                else:
                    del self.durable[name]

    def after_power_cut(self, dice: random.Random) -> State:
        """What may be there then: of all that was to be written, any part may have been."""
        after = copy.deepcopy(self)
        chance = dice.choice((0, 0.5, 1))

        def part(pages: set[int]) -> set[int]:
            return {page for page in pages if dice.random() < chance}

        for folder in after.changed:
            if part({0}):
                after.sync_names(folder)
        for node in {id(node): node for node in (*after.names.values(), *after.durable.values()) if node}.values():
            node.reach(part(node.dirty))
            node.cache, node.dirty = bytearray(node.disk), set()
        there = {
            name: node
            for name, node in after.durable.items()
            if all(above in after.durable for above in _above(name))
        }
        return State(there, dict(there), set())


def _above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def put_back(state: State, root: Path) -> None:
    """Make real files in an empty folder of what readers saw, or see after a power cut."""
    for name in sorted(state.names):
        node = state.names[name]
        if node is None:
            (root / name).mkdir(0o700)
        else:
            (root / name).write_bytes(node.cache)


class PageCache:
    """The model, over one folder."""

    def __init__(self, root: Path, dice: random.Random, state: State | None = None, *, drops: bool = False) -> None:
        """
        :param state: what is there, as `put_back` has made it.
        :param drops: whether what could not be written is forgotten at once.
        """
        self.root = str(root)
        self.state = copy.deepcopy(state) if state else State()
        self.steps = 0
        # Says of a step (its kind and the path) whether it fails.
        self.fails: Callable[[str, str], bool] = lambda _kind, _path: False
        # Called after each step.
        self.after: Callable[[], None] = lambda: None
        self._dice = dice
        self._drops = drops
        self._open: dict[int, str] = {}
        self._nodes: dict[int, Node | None] = {}

    # What SQLite does, see `sqlite_files.Observer`.

    def opened(self, path: str) -> None:
        if not path.endswith("-shm"):
            self._make(self._name(path))

    def fails_to_write(self, path: str) -> bool:
        return self.fails("write", self._name(path))

    def written(self, path: str, data: bytes, offset: int) -> None:
        node = self.state.names[self._name(path)]
        assert node is not None
        node.write(data, offset)
        self._step()

    def cut(self, path: str, size: int) -> None:
        node = self.state.names[self._name(path)]
        assert node is not None
        node.cut(size)
        self._step()

    def synced(self, path: str) -> bool:
        name = self._name(path)
        return self._sync(name, self.state.names[name])

    def removed(self, path: str) -> None:
        self._remove(self._name(path))

    # What is common.

    def _name(self, path: str | os.PathLike[str]) -> str:
        return os.fspath(path)[len(self.root) + 1 :]

    def _inside(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and (os.fspath(path) + "/").startswith(self.root + "/")

    def _step(self) -> None:
        self.steps += 1
        self.after()

    def _changed(self, name: str) -> None:
        self.state.changed.add(os.path.dirname(name))  # noqa: PTH120
        self._step()

    def _make(self, name: str, node: Node | None = None) -> None:
        if name not in self.state.names:
            self.state.names[name] = node or Node()
            self._changed(name)

    def _remove(self, name: str) -> None:
        if name in self.state.names:
            del self.state.names[name]
            self._changed(name)

    def _sync(self, name: str, node: Node | None) -> bool:
        failed = self.fails("sync", name)
        if node is not None:
            self._write_back(name, node, failed=failed)
        elif not failed and name in self.state.changed:
            self.state.sync_names(name)
        self.state.changed.discard(name)
        self._step()
        return not failed

    def _write_back(self, name: str, node: Node, *, failed: bool) -> None:
        reached = {page for page in node.dirty if not failed or self._dice.random() < _REACHED}
        lost = node.dirty - reached
        node.reach(reached)
        node.dirty = set()
        if lost and self._drops:
            node.lose(lost)
            if self.state.names.get(name) is node:
                _overwrite(f"{self.root}/{name}", bytes(node.cache))

    # What this process does by `os`.

    @contextmanager
    def watched(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """See what is done to the folder, by `os` and by SQLite."""
        with patch.context() as inside, tell(self.root, self):
            for name in ("open", "close", "write", "pwrite", "ftruncate", "unlink", "mkdir", "rmdir", "mknod"):
                inside.setattr(os, name, self._patched(name, getattr(os, name)))
            for name in ("fsync", "fdatasync"):
                inside.setattr(os, name, self._sync_of(getattr(os, name)))
            inside.setattr(os, "rename", _not_modelled)
            inside.setattr(os, "replace", _not_modelled)
            yield
        for name, node in self.state.names.items():
            if node is not None:
                assert Path(self.root, name).read_bytes() == node.cache, f"the model missed what was done to {name}"

    def _patched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        told: Callable[..., None] = getattr(self, f"_os_{name}")

        def call(subject: Any, *args: Any, **how: Any) -> Any:
            if name == "close":
                return self._close(real, subject)
            if name in ("write", "pwrite") and subject in self._open and self.fails("write", self._open[subject]):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            before = self._size(subject)
            given = real(subject, *args, **how)
            if subject in self._open if isinstance(subject, int) else self._inside(subject):
                told(given, before, subject, *args)
            return given

        return call

    def _size(self, subject: Any) -> int:
        node = self._nodes.get(subject) if isinstance(subject, int) else None
        return len(node.cache) if node else 0

    def _os_open(self, fd: int, _before: int, path: str, flags: int, *_: object) -> None:
        name = self._name(path)
        if not flags & os.O_DIRECTORY and not Path(path).is_dir():
            self._make(name)
        self._open[fd], self._nodes[fd] = name, self.state.names[name] if name else None

    def _os_write(self, count: int, before: int, fd: int, data: bytes) -> None:
        self._os_pwrite(count, before, fd, data, before)

    def _os_pwrite(self, count: int, _before: int, fd: int, data: bytes, offset: int) -> None:
        node = self._nodes[fd]
        assert node is not None
        node.write(bytes(data[:count]), offset)
        self._step()

    def _os_ftruncate(self, _given: object, _before: int, fd: int, size: int) -> None:
        node = self._nodes[fd]
        assert node is not None
        node.cut(size)
        self._step()

    def _os_unlink(self, _given: object, _before: int, path: str) -> None:
        self._remove(self._name(path))

    _os_rmdir = _os_unlink

    def _os_mkdir(self, _given: object, _before: int, path: str, *_: object) -> None:
        self.state.names[self._name(path)] = None
        self._changed(self._name(path))

    def _os_mknod(self, _given: object, _before: int, path: str, *_: object) -> None:
        self._make(self._name(path))

    def _os_close(self) -> None: ...

    def _close(self, real: Callable[[int], None], fd: int) -> None:
        name, node = self._open.pop(fd, None), self._nodes.pop(fd, None)
        real(fd)
        # Only what was written can fail to be written back.
        if name is not None and node is not None and node.dirty and self.fails("close", name):
            self._write_back(name, node, failed=True)
            self._step()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _sync_of(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def call(fd: int) -> None:
            if fd not in self._open:
                real(fd)
            elif not self._sync(self._open[fd], self._nodes[fd]):
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        return call


def _overwrite(path: str, data: bytes) -> None:
    # Not by `os`: that is what the model sees.
    with Path(path).open("r+b") as file:
        file.write(data)


def _not_modelled(*_: object) -> None:
    raise AssertionError("renaming is not part of the model")
