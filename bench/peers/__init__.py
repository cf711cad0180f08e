"""The servers that are compared: how each is started on a free port, what its processes are, where its mail is."""

from __future__ import annotations

from bench.peers.base import Peer, PeerError
from bench.peers.correio import Correio
from bench.peers.deployed import Deployed
from bench.peers.postfix import Postfix
from bench.peers.programs import Aiosmtpd, AiosmtpdThreads, Sink, SmtpServer

__all__ = [
    "ALL",
    "Aiosmtpd",
    "AiosmtpdThreads",
    "Correio",
    "Deployed",
    "Peer",
    "PeerError",
    "Postfix",
    "Sink",
    "SmtpServer",
]

# In the order of the table's columns; the first one is what the others are measured against.
ALL: list[type[Peer]] = [Correio, SmtpServer, Aiosmtpd, AiosmtpdThreads, Postfix, Sink]
