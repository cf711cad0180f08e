from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from client.stack.listener import listeners


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_listens_is_found(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {address} here: {error}")
    with listening:
        port = listening.getsockname()[1]
        assert any(each.startswith(f"pid {os.getpid()}: ") for each in listeners(port))
    assert listeners(port) == []


def test_where_there_is_no_proc_nobody_is_found(tmp_path: Path) -> None:
    assert listeners(25, tmp_path) == []
