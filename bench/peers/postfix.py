"""Postfix, storing with virtual(8) in mbox files, as an instance of its own.

Its configuration, queue and mailboxes are in a folder of ours, and its master is ours to end. /etc/postfix and the
system's own service are neither read nor touched. What is not set here is Postfix's default. One thing is tuned in
its favour: a mailbox gets one delivery at a time, where by default twenty would meet at its lock and wait a second.
Limits: needs root, for its master starts processes of several users.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from bench.peers.base import DOMAIN, Peer, PeerError, address, end, wait_for_greeting
from tests.stack import free_port

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
message_size_limit = 67108864
virtual_mailbox_limit = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {mailboxes}
virtual_mailbox_maps = texthash:{folder}/etc/users
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_lock = fcntl
virtual_destination_recipient_limit = 1
virtual_destination_concurrency_limit = 1
"""
# service type private unpriv chroot wakeup maxproc command, as in Debian's master.cf, nothing in a chroot.
_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix       n - n - 0 cleanup
qmgr      unix       n - n 300 1 qmgr
rewrite   unix       - - n - - trivial-rewrite
bounce    unix       - - n - 0 bounce
defer     unix       - - n - 0 bounce
trace     unix       - - n - 0 bounce
verify    unix       - - n - 1 verify
flush     unix       n - n 1000? 0 flush
proxymap  unix       - - n - - proxymap
proxywrite unix      - - n - 1 proxymap
error     unix       - - n - - error
retry     unix       - - n - - error
discard   unix       - - n - - discard
virtual   unix       - n n - - virtual
anvil     unix       - - n - 1 anvil
scache    unix       - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
_STOP_SECONDS = 10.0
_DAEMONS = [Path("/usr/lib/postfix/sbin"), Path("/usr/libexec/postfix")]


class Postfix(Peer):
    """Postfix's queue and its mbox delivery."""

    name = "postfix"
    what = "Postfix with its queue, delivering to mbox by virtual(8)"
    queues = True

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path, recipients: int) -> None:
        if os.geteuid() != 0:
            raise PeerError("postfix: only root can run it")
        program = shutil.which("postfix", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
        daemons = next((path for path in _DAEMONS if path.is_dir()), None)
        if program is None or daemons is None:
            raise PeerError("postfix is not installed")
        self.port = free_port()
        self._folder = folder
        self.mailboxes = folder / "mailboxes"
        self._configure(folder, daemons, recipients)
        output = folder / "output"
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                [program, "-c", str(folder / "etc"), "start-fg"], stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        try:
            wait_for_greeting(self.name, self._process, self.port, folder / "log")
        except (PeerError, OSError) as error:
            self.stop()
            raise PeerError(f"{error} {output.read_text(errors='replace')[-400:]}") from None

    def _configure(self, folder: Path, daemons: Path, recipients: int) -> None:
        try:
            owner, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
            grp.getgrnam("postdrop")
        except KeyError:
            raise PeerError("postfix: its user or group is missing") from None
        for name, user in (("etc", None), ("queue", None), ("data", owner), ("mailboxes", nobody)):
            (folder / name).mkdir(mode=0o755, exist_ok=True)
            if user is not None:
                os.chown(folder / name, user.pw_uid, user.pw_gid)
        (folder / "etc" / "main.cf").write_text(
            _MAIN_CF.format(
                folder=folder,
                daemons=daemons,
                domain=DOMAIN,
                mailboxes=self.mailboxes,
                uid=nobody.pw_uid,
                gid=nobody.pw_gid,
            )
        )
        (folder / "etc" / "master.cf").write_text(_MASTER_CF.format(port=self.port))
        users = "".join(f"{address(number)} {address(number)}.txt\n" for number in range(recipients))
        (folder / "etc" / "users").write_text(users)

    def stop(self) -> None:
        if self._process is None:
            return
        # `start-fg` is a shell that waits for the master and would not pass a signal on; the master ends its daemons.
        with suppress(OSError, ValueError):
            os.kill(int((self._folder / "queue" / "pid" / "master.pid").read_text()), signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        end(self._process)

    def processes(self) -> dict[str, int]:
        assert self._process is not None
        return {self.name: self._process.pid}
