"""What SQLite does to its files, told to Python: a layer (a "VFS") over its own, put into the library as it runs.

Gives: `tell`, which has an observer called after each write, cut, sync, removal and opening of a file below a folder.
The observer says of a write whether it fails, and of a sync, which is not done at all: SQLite meets the error.
Limits: the library is reached as the module `sqlite3` has loaded it; a Python that has SQLite built into itself and
hides its names gives an AttributeError.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, Protocol

_IOERR_WRITE, _IOERR_FSYNC = 778, 1034
_int64 = ctypes.c_longlong


class Observer(Protocol):
    """What is told; `path` is what SQLite was given."""

    def opened(self, path: str) -> None: ...

    def fails_to_write(self, path: str) -> bool: ...

    def written(self, path: str, data: bytes, offset: int) -> None: ...

    def cut(self, path: str, size: int) -> None: ...

    def synced(self, path: str) -> bool:
        """Whether it succeeds."""
        ...

    def removed(self, path: str) -> None: ...


_observers: dict[str, Observer] = {}

# fmt: off
_METHODS = (
    "xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock", "xCheckReservedLock",
    "xFileControl", "xSectorSize", "xDeviceCharacteristics", "xShmMap", "xShmLock", "xShmBarrier",
    "xShmUnmap", "xFetch", "xUnfetch",
)
_CALLS = (
    "xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose",
    "xRandomness", "xSleep", "xCurrentTime", "xGetLastError", "xCurrentTimeInt64", "xSetSystemCall",
    "xGetSystemCall", "xNextSystemCall",
)
# fmt: on


class _Methods(ctypes.Structure):
    """sqlite3_io_methods"""

    _fields_ = [("iVersion", ctypes.c_int), *((name, ctypes.c_void_p) for name in _METHODS)]


class _File(ctypes.Structure):
    """sqlite3_file"""

    _fields_ = [("pMethods", ctypes.POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    """sqlite3_vfs"""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in _CALLS),
    ]


_file = ctypes.POINTER(_File)
_TYPES = {
    "xOpen": ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, _file, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
    ),
    "xDelete": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
    "xClose": ctypes.CFUNCTYPE(ctypes.c_int, _file),
    "xWrite": ctypes.CFUNCTYPE(ctypes.c_int, _file, ctypes.c_void_p, ctypes.c_int, _int64),
    "xTruncate": ctypes.CFUNCTYPE(ctypes.c_int, _file, _int64),
    "xSync": ctypes.CFUNCTYPE(ctypes.c_int, _file, ctypes.c_int),
}


class _Layer:
    """The layer, for as long as the process lives: connections keep pointers into it."""

    def __init__(self) -> None:
        library = ctypes.CDLL(import_module("_sqlite3").__file__)
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        below = library.sqlite3_vfs_find(None).contents
        self._vfs = _Vfs.from_buffer_copy(below)
        self._vfs.zName = b"told"
        self._below: dict[str, Callable[..., int]] = {
            name: _TYPES[name](getattr(below, name)) for name in ("xOpen", "xDelete")
        }
        self._kept: list[object] = [below]
        self._put(self._vfs, "xOpen", self._open)
        self._put(self._vfs, "xDelete", self._delete)
        self._methods: dict[int, _Methods] = {}
        self._paths: dict[int, str] = {}
        if library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1):
            raise OSError("SQLite does not take the layer")

    def _put(self, table: ctypes.Structure, name: str, function: Callable[..., int]) -> None:
        callback: Any = _TYPES[name](function)
        self._kept.append(callback)
        setattr(table, name, ctypes.cast(callback, ctypes.c_void_p))

    def _open(self, vfs: int, name: int | None, file: Any, flags: int, out: Any) -> int:
        code = self._below["xOpen"](vfs, name, file, flags, out)
        path = os.fsdecode(ctypes.string_at(name)) if name else ""
        if code == 0 and (observer := _observer(path)):
            self._paths[ctypes.addressof(file.contents)] = path
            file.contents.pMethods = ctypes.pointer(self._over(file.contents.pMethods))
            observer.opened(path)
        return code

    def _over(self, below: Any) -> _Methods:
        """The methods of files that are told of, over those that SQLite has for them."""
        address = ctypes.addressof(below.contents)
        if address not in self._methods:
            own = self._methods[address] = _Methods.from_buffer_copy(below.contents)
            close, write, cut = (_TYPES[name](getattr(own, name)) for name in ("xClose", "xWrite", "xTruncate"))

            def told_write(file: Any, data: int, size: int, offset: int) -> int:
                told = self._told(file)
                if told and told[0].fails_to_write(told[1]):
                    return _IOERR_WRITE
                code = write(file, data, size, offset)
                if code == 0 and told:
                    told[0].written(told[1], ctypes.string_at(data, size), offset)
                return code

            def told_cut(file: Any, size: int) -> int:
                code = cut(file, size)
                if code == 0 and (told := self._told(file)):
                    told[0].cut(told[1], size)
                return code

            def told_sync(file: Any, _flags: int) -> int:
                told = self._told(file)
                return 0 if told is None or told[0].synced(told[1]) else _IOERR_FSYNC

            def told_close(file: Any) -> int:
                self._paths.pop(ctypes.addressof(file.contents), None)
                return close(file)

            self._put(own, "xWrite", told_write)
            self._put(own, "xTruncate", told_cut)
            self._put(own, "xSync", told_sync)
            self._put(own, "xClose", told_close)
        return self._methods[address]

    def _delete(self, vfs: int, name: bytes, sync: int) -> int:
        code = self._below["xDelete"](vfs, name, sync)
        path = os.fsdecode(name)
        if code == 0 and (observer := _observer(path)):
            observer.removed(path)
        return code

    def _told(self, file: Any) -> tuple[Observer, str] | None:
        path = self._paths[ctypes.addressof(file.contents)]
        observer = _observer(path)
        return (observer, path) if observer else None


_layer = cache(_Layer)


def _observer(path: str) -> Observer | None:
    return next((observer for root, observer in _observers.items() if path.startswith(root + "/")), None)


@contextmanager
def tell(folder: str, observer: Observer) -> Iterator[None]:
    """Tell the observer of the files below a folder that SQLite opens from here on."""
    _layer()
    _observers[folder] = observer
    try:
        yield
    finally:
        del _observers[folder]
