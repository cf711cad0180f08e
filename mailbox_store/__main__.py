"""`python -m mailbox_store`: settings, folders, the journal's lock, recovery, then the loop.

Exit status: 0 after SIGTERM or SIGINT; 78 for a setting, or a file that it names, that cannot be used; 1 for a busy
port, a second store on the same journal, or a journal that cannot be read. One line on stderr says which.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import zmq

from mailbox_store.config import ConfigError, StoreSettings
from mailbox_store.journal.durable import make_folder
from mailbox_store.journal.journal import JournalError
from mailbox_store.journal.sqlite_journal import SqliteJournal
from mailbox_store.mailboxes.files import DiskFiles
from mailbox_store.metrics import Totals, families
from mailbox_store.recovery import this_boot
from mailbox_store.service import StoreService
from mailbox_store.store import Store
from mailbox_store.users.directory import Directory, Unlisted
from mailbox_store.users.users_file import UsersFile
from runtime import counted, logs, process
from runtime.metrics import Exposition
from runtime.probes import Probes, ProbesError
from runtime.settings import EX_CONFIG, load
from runtime.telling import EventLog
from runtime.vitals import Vitals

log = logging.getLogger(__name__)


class StartError(Exception):
    """The store cannot start here and now; the text is the one line that a person needs."""


def _make_folder(setting: str, folder: Path, mode: int = 0o700) -> None:
    """Make a folder, which only its owner can enter unless `mode` says otherwise, if its parent is there."""
    try:
        make_folder(folder, mode)
    except FileExistsError:
        raise ConfigError(f"{setting}: {folder} is not a folder") from None
    except OSError as error:
        raise ConfigError(f"{setting}: the folder {folder} cannot be made: {error.strerror}") from None


def _lock_journal(path: Path) -> int:
    """Hold the journal until this process ends; gives the descriptor that holds it."""
    lock = path.with_name(path.name + ".lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"JOURNAL: {lock}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StartError(f"another store is using the journal {path}") from None
    except OSError as error:
        os.close(fd)
        raise StartError(f"the journal {path} cannot be locked: {error.strerror}") from None
    return fd


def _serve(settings: StoreSettings, events: EventLog | None) -> None:
    mailboxes, path = Path(settings.mailboxes), Path(settings.journal)
    mode = int(settings.mailbox_mode, 8)
    if mode != 0o600:
        # Whatever the one that it was started with: what is private is made with a mode that says so.
        os.umask(0o027)
    _make_folder("MAILBOXES", mailboxes, 0o750 if mode != 0o600 else 0o700)
    _make_folder("JOURNAL", path.parent)
    lock = _lock_journal(path)
    files = DiskFiles(mailboxes, mode)
    totals = Totals()
    users = UsersFile(settings.users, files, settings.domain, settings.postmaster, totals)
    vitals = Vitals("mailbox_store", settings.ready_file)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with closing(_probes(settings, vitals, totals)), ThreadPoolExecutor(1, "checkpoint") as executor:
        journal = SqliteJournal(path, totals.commit)
        directory = Directory(files, users, totals, _unlisted(settings, files, users))
        store = Store(journal, files, directory, executor, _now, time.monotonic, totals, events)
        store.recover(this_boot())
        try:
            service = StoreService(store, directory, context, settings.store_endpoint)
        except zmq.ZMQError as error:
            store.close()
            raise StartError(f"STORE_ENDPOINT={settings.store_endpoint}: {error.strerror}") from None
        _run(service, store, users, vitals)
        service.close()
        store.close()
    context.term()
    os.close(lock)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _unlisted(settings: StoreSettings, files: DiskFiles, users: UsersFile) -> Unlisted | None:
    if settings.unknown != "create":
        return None
    try:
        return Unlisted(files, users, time.monotonic)
    except OSError as error:
        raise ConfigError(f"MAILBOXES: {settings.mailboxes} cannot be listed: {error.strerror}") from None


def _probes(settings: StoreSettings, vitals: Vitals, totals: Totals) -> Probes:
    try:
        return Probes(settings.metrics, vitals, Exposition(vitals, lambda: families(totals, vitals.figures)).render)
    except ProbesError as error:
        raise StartError(str(error)) from None


def _run(service: StoreService, store: Store, users: UsersFile, vitals: Vitals) -> None:
    for number in process.STOP:
        signal.signal(number, lambda *_: service.stop())
    beat = 0.0

    def each_turn() -> None:
        nonlocal beat
        if time.monotonic() >= beat:
            try:
                figures = store.figures()
            except JournalError as error:
                log.warning("! %s", error)
                figures = vitals.figures
            vitals.beat(True, figures, hindrance=store.why_no_mail())
            logs.catch_up()
            beat = time.monotonic() + 1.0

    process.settled()
    users.watch()
    log.info("= ready on %s with %s", service.endpoint, counted(len(users.current.mailboxes), "mailbox", "mailboxes"))
    service.run(each_turn)
    process.heed_no_more()
    log.info("= stopping")
    vitals.leave()
    users.close()


def main() -> int:
    """Run the store until it is told to stop; gives the exit status."""
    settings = load(StoreSettings, "store")
    process.begin()
    events = logs.configure("store", settings.log_level, settings.log_format, settings.log_file)
    try:
        _serve(settings, events if settings.conversation == "on" else None)
    except ConfigError as error:
        print(f"store: {error}", file=sys.stderr)
        return EX_CONFIG
    except (StartError, JournalError) as error:
        print(f"store: {error}", file=sys.stderr)
        return 1
    log.info("= stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
