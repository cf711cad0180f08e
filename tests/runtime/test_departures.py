"""Departures: a peer whose connection ends is noticed at once, and nothing else is taken for one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import zmq

from runtime.bus import open_socket
from runtime.departures import Departures
from tests.conditions import until

PEER = """
import sys, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.connect(sys.argv[1])
socket.send(b"here")
sys.stdin.read()
"""


async def test_a_peer_that_is_killed_is_noticed_and_one_that_comes_is_not_taken_for_it(tmp_path: Path) -> None:
    with zmq.Context() as context:
        endpoint = f"ipc://{tmp_path}/bus"
        router = open_socket(context, zmq.ROUTER)
        router.bind(endpoint)
        departed: list[bool] = []
        departures = Departures(router, lambda: departed.append(True))
        peers = [subprocess.Popen([sys.executable, "-c", PEER, endpoint], stdin=subprocess.PIPE) for _ in range(2)]
        try:
            for _ in peers:
                await until(lambda: router.poll(0))
                router.recv_multipart()
            assert departed == []
            for number, peer in enumerate(peers, 1):
                peer.kill()
                await until(lambda number=number: len(departed) == number)
        finally:
            for peer in peers:
                peer.kill()
                peer.communicate()
            departures.close()
            router.close()
