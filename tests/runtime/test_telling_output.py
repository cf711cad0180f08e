"""The way out of log lines: in order, whole, rotated; what cannot be written is dropped and told, never waited for.

`telling.Output`, on what `logs.open_destination` opens.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from runtime import logs, telling
from runtime.logs import BACKUPS, open_destination
from runtime.telling import MOST_WAITING, Output
from tests.conditions import wait_until
from tests.faults.test_disk import fill, small_disk

_GAP = re.compile(r"lost (\d+): (.*)")


def gap(lines: int, why: str) -> bytes:
    return f"lost {lines}: {why}\n".encode()


def opened(path: Path) -> Output:
    """The log of a process, in a file."""
    return Output(open_destination(str(path), ()), gap)


def standard(descriptors: Sequence[int]) -> Output:
    """The same on its standard output."""
    return Output(open_destination("", descriptors), gap)


def numbered(first: int, last: int, width: int = 100) -> list[str]:
    return [f"{number:0{width}}" for number in range(first, last)]


def write(output: Output, first: int, last: int, width: int = 100) -> None:
    for line in numbered(first, last, width):
        output.write(f"{line}\n".encode())


def written(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1]


# ------------------------------------------------------------ a file of its own


def test_lines_are_appended_to_a_file_that_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    write(opened(path), 0, 3)
    assert path.stat().st_mode & 0o777 == 0o600
    write(opened(path), 3, 5)
    assert written(path) == numbered(0, 5)


def test_a_large_file_is_rotated_and_so_many_older_ones_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_OCTETS", 1000)
    path = tmp_path / "service.log"
    output = opened(path)
    for last in range(1, 101):
        write(output, last - 1, last)
        # What is read by its name always has the latest line.
        assert written(path)[-1] == numbered(last - 1, last)[0]
    names = ["service.log.3", "service.log.2", "service.log.1", "service.log"]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names)
    assert BACKUPS == 3
    kept = [line for name in names for line in written(tmp_path / name)]
    assert kept == numbered(100 - len(kept), 100)
    assert all((tmp_path / name).stat().st_size <= 1000 + 101 for name in names)
    assert len(kept) > 3 * 9


def test_a_file_that_cannot_be_rotated_is_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_OCTETS", 1000)
    path = tmp_path / "service.log"
    (tmp_path / "service.log.2").write_text("older\n")
    in_the_way = tmp_path / "service.log.3" / "in the way"
    in_the_way.mkdir(parents=True)
    output = opened(path)
    write(output, 0, 30)
    assert written(path) == numbered(0, 30)
    in_the_way.rmdir()
    in_the_way.parent.rmdir()
    write(output, 30, 31)
    assert written(tmp_path / "service.log.1") == numbered(0, 30)
    assert written(tmp_path / "service.log.3") == ["older"]
    assert written(path) == numbered(30, 31)


def test_half_a_line_of_a_process_that_was_killed_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    path.write_text("whole\nhal")
    write(opened(path), 0, 1)
    assert written(path) == ["whole", "hal", *numbered(0, 1)]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make(tmp_path / "log")
    with pytest.raises(OSError):
        opened(tmp_path / "log")


_CRASH = """
import ctypes, faulthandler, os, sys
from runtime import logs, telling
logs.MOST_OCTETS = 1000
output = telling.Output(logs.open_destination(sys.argv[1]), lambda *_: b"")
print("printed", flush=True)
os.write(2, b"written\\n")
for _ in range(40):
    output.write(b"x" * 99 + b"\\n")
faulthandler.enable()
ctypes.string_at(0)
"""


def test_what_a_crashing_interpreter_says_is_in_the_file_rotated_or_not(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    run = subprocess.run([sys.executable, "-c", _CRASH, str(path)], capture_output=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (-signal.SIGSEGV, b"", b"")
    assert "Fatal Python error: Segmentation fault" in path.read_text()
    older = "".join((tmp_path / f"service.log.{number}").read_text() for number in (3, 2, 1))
    assert "printed\nwritten\n" in older


# ------------------------------------------------------------ full disks


def test_a_full_disk_drops_lines_and_the_gap_is_told_where_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "_ERROR_PAUSE", 0)
    # What the output holds open is closed before the disk goes.
    with small_disk(folder / "disk", 4 * 1024 * 1024) as disk, ExitStack() as cleanup:
        path = disk / "service.log"
        output = opened(path)
        cleanup.callback(os.close, output._write.__self__._descriptor)
        write(output, 0, 10)
        ballast = fill(disk)
        count = 2 * MOST_WAITING // 101
        write(output, 10, count)
        assert output.lost > 0
        ballast.unlink()
        write(output, count, count + 1)
        lines = written(path)
        (told,) = [line for line in lines if _GAP.match(line)]
        at = lines.index(told)
        assert told == f"lost {output.lost}: No space left on device"
        assert lines[:at] == numbered(0, at)
        assert lines[at + 1 :] == numbered(at + output.lost, count + 1)
        lost = output.lost
        write(output, count + 1, count + 10)
        assert (output.lost, written(path)[-1]) == (lost, numbered(count + 9, count + 10)[0])


def test_a_disk_that_failed_is_not_tried_again_at_once() -> None:
    with Path("/dev/full").open("wb") as full:
        output = standard([full.fileno()])
        tries: list[int] = []
        real = output._write
        output._write = lambda octets: tries.append(len(octets)) or real(octets)
        write(output, 0, 1000)
        assert len(tries) == 1
        output._failed -= telling._ERROR_PAUSE
        output.catch_up()
        assert len(tries) == 2
        assert output.lost == 0


# ------------------------------------------------------------ whatever standard output is


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    yield os.pipe()


@contextmanager
def unix_socket() -> Iterator[tuple[int, int]]:
    reading, writing = socket.socketpair()
    yield reading.detach(), writing.detach()


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    reading, writing = pty.openpty()
    tty.setraw(writing)
    yield reading, writing


@contextmanager
def pipe_of_somebody_else() -> Iterator[tuple[int, int]]:
    """One that cannot be opened anew, as where there is no /proc."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", _denied)
        yield os.pipe()


def _denied(*_: object) -> int:
    raise PermissionError(13, "Permission denied")


KINDS = pytest.mark.parametrize("kind", [pipe, unix_socket, terminal, pipe_of_somebody_else])


def read_all(descriptor: int) -> bytes:
    """What can be read now."""
    os.set_blocking(descriptor, False)
    octets = b""
    with suppress(BlockingIOError):
        while read := os.read(descriptor, 65536):
            octets += read
    return octets


@KINDS
def test_where_nobody_reads_lines_are_dropped_and_the_gap_is_told(kind: Callable[[], Any]) -> None:
    with kind() as (reading, writing):
        output = standard([writing])
        count = 3 * MOST_WAITING // 101
        # Would it wait, the test would never end.
        write(output, 0, count)
        assert output.lost > 0
        # Whoever has the same descriptor does not find it changed.
        assert not fcntl.fcntl(writing, fcntl.F_GETFL) & os.O_NONBLOCK
        octets = b""
        while output._waiting:
            octets += read_all(reading)
            output.catch_up()
        write(output, count, count + 1)
        lines = (octets + read_all(reading)).decode().split("\n")[:-1]
        (told,) = [line for line in lines if _GAP.match(line)]
        at = lines.index(told)
        assert told == f"lost {output.lost}: whoever reads them does not keep up"
        assert lines == [*numbered(0, at), told, *numbered(at + output.lost, count + 1)]
        os.close(reading)
        os.close(writing)


@KINDS
def test_a_reader_that_is_slow_gets_every_line_in_order(kind: Callable[[], Any]) -> None:
    with kind() as (reading, writing):
        output = standard([writing])
        octets = b""
        for first in range(0, 20_000, 100):
            output.write("".join(f"{line}\n" for line in numbered(first, first + 100)).encode(), 100)
            while len(output._waiting) > 100_000:
                octets += os.read(reading, 50_000)
                output.catch_up()
        while output._waiting:
            octets += os.read(reading, 50_000)
            output.catch_up()
        octets += read_all(reading)
        assert octets.decode().split("\n")[:-1] == numbered(0, 20_000)
        assert output.lost == 0
        os.close(reading)
        os.close(writing)


def test_a_reader_that_is_gone_costs_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    output = standard([writing])
    os.close(reading)
    write(output, 0, 2 * MOST_WAITING // 101)
    assert output.lost > 0
    os.close(writing)


def test_without_standard_output_it_is_nobody_s_loss() -> None:
    output = standard([])
    write(output, 0, 100)
    output.close()
    assert output.lost == 0


def test_a_file_as_standard_output_is_appended_to_and_never_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_OCTETS", 1000)
    path = tmp_path / "out"
    with path.open("ab") as out:
        write(standard([out.fileno()]), 0, 100)
    assert written(path) == numbered(0, 100)
    assert list(tmp_path.iterdir()) == [path]


def test_at_the_end_a_reader_has_a_moment_for_what_waits() -> None:
    reading, writing = os.pipe()
    output = standard([writing])
    # Over 1 MiB, which the pipe takes, and under another.
    write(output, 0, 15_000)
    assert output._waiting
    octets: list[bytes] = []

    def read() -> None:
        while data := os.read(reading, 65536):
            octets.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    output.close()
    assert not output._waiting
    with ExitStack() as stack:
        # The output's own opening of the pipe ends with it.
        stack.callback(os.close, reading)
        stack.callback(reader.join)
        stack.callback(os.close, writing)
        os.close(output._write.args[0])  # type: ignore[attr-defined]
    assert b"".join(octets).decode().split("\n")[:-1] == numbered(0, 15_000)


# ------------------------------------------------------------ many at once


def test_threads_that_write_at_once_break_no_line_and_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    output = opened(path)

    def tell(name: str) -> None:
        for number in range(2000):
            output.write(f"{name} {number}\n".encode())

    threads = [threading.Thread(target=tell, args=[name]) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = written(path)
    for name in "abcd":
        assert [line for line in lines if line.startswith(name)] == [f"{name} {number}" for number in range(2000)]
    assert len(lines) == 8000


def test_what_is_logged_in_the_midst_of_a_write_comes_after_it(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    output = opened(path)
    real, nested = output._write, iter([b"nested\n"])

    def write_and_collect_garbage(octets: bytes) -> int:
        for line in nested:
            output.write(line)
        return real(octets)

    output._write = write_and_collect_garbage
    output.write(b"outer\n")
    assert written(path) == ["outer", "nested"]
    wait_until(lambda: not output._lock.locked(), "the lock is free")
