"""Numbers and signs of life over HTTP, with clients that are slow, rude, or many."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from runtime import probes as module
from runtime.probes import Probes, ProbesError
from runtime.vitals import Vitals
from tests.conditions import DEADLINE
from tests.stack import free_port


def render(accept: str) -> tuple[bytes, str]:
    return f"asked for {accept!r}\n".encode(), "text/plain"


@pytest.fixture
def vitals() -> Vitals:
    return Vitals("test")


@pytest.fixture
def port(vitals: Vitals) -> Iterator[int]:
    with closing(Probes("127.0.0.1:0", vitals, render)) as probes:
        yield probes.port


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as connection:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def say(port: int, octets: bytes) -> bytes:
    """Send octets; all that comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
        client.sendall(octets)
        back = b""
        while more := client.recv(65536):
            back += more
    return back


def test_a_scrape_gets_the_numbers_in_the_format_it_asks_for(port: int) -> None:
    assert ask(port, "/metrics", Accept="a/b") == (200, "asked for 'a/b'\n")
    assert ask(port, "/metrics?name=x") == (200, "asked for ''\n")
    assert ask(port, "/metrics", "HEAD") == (200, "")


def test_a_service_is_ready_when_it_says_so_and_else_the_reason_is_told(port: int, vitals: Vitals) -> None:
    assert ask(port, "/readyz") == (503, "it is starting\n")
    vitals.beat(True)
    assert ask(port, "/readyz") == (200, "yes\n")
    vitals.beat(False, why_not="there is no worker")
    assert ask(port, "/readyz") == (503, "there is no worker\n")
    vitals.beat(True, hindrance="no room")
    assert ask(port, "/readyz") == (503, "no room\n")
    assert ask(port, "/livez") == (200, "yes\n")


def test_a_start_that_takes_long_is_alive(port: int) -> None:
    assert ask(port, "/livez") == (200, "yes\n")


def test_a_loop_that_stands_still_is_not_alive(port: int, vitals: Vitals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.vitals.STUCK_SECONDS", 0.3)
    stuck, end = threading.Event(), threading.Event()

    def loop() -> None:
        while not end.is_set():
            vitals.beat(True)
            if stuck.is_set():
                end.wait()
            time.sleep(0.01)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        assert ask(port, "/livez") == (200, "yes\n")
        stuck.set()
        deadline = time.monotonic() + DEADLINE
        while ask(port, "/livez")[0] == 200:
            assert time.monotonic() < deadline
        assert ask(port, "/livez") == (503, "the loop stands still\n")
        assert ask(port, "/readyz") == (503, "the loop stands still\n")
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/LIVEZ"])
def test_any_other_page_is_told_what_there_is(port: int, path: str) -> None:
    assert ask(port, path) == (404, "there is /metrics, /livez and /readyz\n")


def test_what_is_no_get_is_refused(port: int) -> None:
    assert ask(port, "/metrics", "POST")[0] == 405
    assert say(port, b"EHLO client.example.net\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert say(port, b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_request_without_an_end_is_cut_off(port: int) -> None:
    # The server closes with octets unread, which resets the connection.
    with pytest.raises(ConnectionError):
        say(port, b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10_000_000)
    assert ask(port, "/livez")[0] == 200


def test_silent_clients_are_cut_off_and_others_are_served_after_them(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.5)
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), DEADLINE)) for _ in range(40)]
        silent[0].sendall(b"GET /metr")
        assert ask(port, "/livez") == (200, "yes\n")
        assert all(client.recv(1) == b"" for client in silent)


def test_a_client_that_reads_nothing_holds_nobody_up(vitals: Vitals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.5)
    with (
        closing(Probes("127.0.0.1:0", vitals, lambda _: (b"x" * 50_000_000, "text/plain"))) as probes,
        socket.create_connection(("127.0.0.1", probes.port), DEADLINE) as lazy,
    ):
        lazy.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert ask(probes.port, "/livez") == (200, "yes\n")
        received = 0
        with suppress(ConnectionResetError):
            while more := lazy.recv(65536):
                received += len(more)
        assert received < 50_000_000


def test_connections_begin_no_faster_than_the_pause_allows(port: int) -> None:
    began = time.monotonic()
    for _ in range(10):
        assert ask(port, "/livez")[0] == 200
    assert time.monotonic() - began > 9 * module._PAUSE


def test_numbers_that_cannot_be_made_are_an_error_and_end_nothing(
    vitals: Vitals, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: str) -> tuple[bytes, str]:
        raise RuntimeError("dictionary changed size")

    with closing(Probes("127.0.0.1:0", vitals, broken)) as probes:
        assert ask(probes.port, "/metrics")[0] == 500
        assert ask(probes.port, "/livez")[0] == 200
    assert "dictionary changed size" in caplog.text


def test_a_port_that_is_taken_is_one_clear_line(vitals: Vitals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ProbesError, match=f"^METRICS=127.0.0.1:{taken}: cannot listen there: Address already"):
            Probes(f"127.0.0.1:{taken}", vitals, render)


def test_without_the_setting_nothing_is_opened(vitals: Vitals) -> None:
    threads = threading.active_count()
    with closing(Probes("", vitals, render)) as probes:
        assert (probes.port, threading.active_count()) == (0, threads)


def test_a_closed_one_leaves_no_thread_and_no_port(vitals: Vitals) -> None:
    port, threads = free_port(), threading.active_count()
    for _ in range(3):
        probes = Probes(f"127.0.0.1:{port}", vitals, render)
        with socket.create_connection(("127.0.0.1", port), DEADLINE):
            probes.close()
        probes.close()
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), DEADLINE)
