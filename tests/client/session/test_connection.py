from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from client.language import Language
from client.run_folder import EXIT_NO_SERVER
from client.session.connection import ConnectionLost, NoConnection, connect


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_nobody_listening_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN", str(tmp_path))
    port = unused_port()
    with pytest.raises(NoConnection) as raised:
        connect("127.0.0.1", port)
    assert (
        raised.value.message == f"Nobody listens on 127.0.0.1:{port}. Start a stack with: make up, or correio serve"
    )
    assert raised.value.exit_code == EXIT_NO_SERVER == 3
    (tmp_path / "stack.json").write_text('{"port": 2525}')
    with pytest.raises(NoConnection, match=r"takes mail on port 2525: --port 2525$"):
        connect("127.0.0.1", port)
    (tmp_path / "stack.json").write_text(f'{{"port": {port}}}')
    with pytest.raises(NoConnection, match=r"was started: it has ended, or is on its way"):
        connect("127.0.0.1", port)


def test_errors_speak_portuguese_when_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    port = unused_port()
    with pytest.raises(NoConnection) as raised:
        connect("127.0.0.1", port)
    raised.value.show()
    raised.value.in_language(Language.PORTUGUESE).show()
    english, portuguese = capsys.readouterr().err.splitlines()
    assert english == f"Error: Nobody listens on 127.0.0.1:{port}. Start a stack with: make up, or correio serve"
    assert (
        portuguese == f"Erro: Ninguém escuta em 127.0.0.1:{port}. Inicie um servidor com: make up, ou correio serve"
    )


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 300])
def test_an_unknown_host_is_named(host: str) -> None:
    with pytest.raises(NoConnection, match="There is no host named"):
        connect(host, 25)


async def test_lines_go_out_and_replies_come_in(serve: Any) -> None:
    def server(peer: Any) -> None:
        peer.say("220 hello")
        assert peer.hear() == b"NOOP"
        peer.say("250-one", "250 two")

    connection = connect("127.0.0.1", serve(server))
    assert str(await connection.reply(5)) == "220 hello"
    await connection.send(b"NOOP\r\n")
    assert str(await connection.reply(5)) == "250-one\n250 two"
    with pytest.raises(ConnectionLost, match="The server closed the connection"):
        await connection.reply(5)
    connection.close()


async def test_last_words_are_kept_when_the_server_closes_in_the_middle(serve: Any) -> None:
    connection = connect("127.0.0.1", serve(lambda peer: peer.connection.sendall(b"421 going dow")))
    with pytest.raises(ConnectionLost):
        await connection.reply(5)
    assert connection.last_words == "421 going dow"
    connection.close()


async def test_a_server_of_another_kind_is_told_apart(serve: Any) -> None:
    connection = connect("127.0.0.1", serve(lambda peer: peer.say("HTTP/1.1 400 Bad Request")))
    with pytest.raises(ConnectionLost, match="not an SMTP server"):
        await connection.reply(5)
    connection.close()


async def test_a_silent_server_is_given_up_after_the_time_allowed(serve: Any) -> None:
    connection = connect("127.0.0.1", serve(lambda peer: peer.hear()))
    with pytest.raises(ConnectionLost, match="has said nothing for"):
        await connection.reply(0.05)
    connection.close()


async def test_a_server_that_does_not_read_is_given_up_after_the_time_allowed(serve: Any) -> None:
    finished = threading.Event()

    def server(peer: Any) -> None:
        peer.say("220 hello")
        finished.wait()

    connection = connect("127.0.0.1", serve(server))
    await connection.reply(5)
    try:
        with pytest.raises(ConnectionLost, match="has read nothing for"):
            await connection.send(b"x" * 50_000_000, 0.2)
    finally:
        finished.set()
        connection.close()


async def test_a_reset_connection_is_lost(serve: Any) -> None:
    def server(peer: Any) -> None:
        peer.hear()
        # Linger of zero seconds: close sends RST.
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    connection = connect("127.0.0.1", serve(server))
    await connection.send(b"NOOP\r\n", 5)
    with pytest.raises(ConnectionLost, match="The connection was lost"):
        await connection.reply(5)
    with pytest.raises(ConnectionLost, match="The connection was lost"):
        await connection.send(b"NOOP\r\n", 5)
    connection.close()
