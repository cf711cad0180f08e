"""Events of the feed: which count, which are wanted, what a line of one looks like. No socket, no clock."""

from __future__ import annotations

import ipaddress
import json
import re
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.stack.events import TOPIC, Chosen, Event, Gaps, Look, WantedSessions, parse
from client.terminal import Paint

SESSION = "004eb9c81aa0-2"


def event(kind: str, session: str = SESSION, peer: str = "192.0.2.7", seq: int = 1, **told: Any) -> Event:
    time = "2026-11-23T10:16:10.123Z"
    return {"seq": seq, "gateway": "g", "time": time, "event": kind, "session": session, "peer": peer, **told}


def said(text: str, session: str = SESSION) -> Event:
    return event("client", session, text=text)


# ---------------------------------------------------------------- parse


def test_an_event_is_its_topic_and_an_object_with_a_number() -> None:
    assert parse([TOPIC + json.dumps(event("closed")).encode()]) == event("closed")


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [TOPIC],
        [TOPIC + b"{"],
        [TOPIC + b"[]"],
        [TOPIC + b"{}"],
        [TOPIC + b"\xff"],
        [TOPIC, b'{"seq": 1}'],
        [b'correio-feed/2 {"seq": 1}'],
        [b'correio-feed/10 {"seq": 1}'],
    ],
)
def test_what_is_no_event_is_none(frames: list[bytes]) -> None:
    assert parse(frames) is None


@given(st.binary())
def test_no_octets_break_it(octets: bytes) -> None:
    parse([TOPIC + octets])


# ---------------------------------------------------------------- gaps


def test_a_number_that_was_left_out_is_an_event_that_was_missed() -> None:
    gaps = Gaps()
    assert [gaps.before(event("beat", seq=seq)) for seq in (7, 8, 12, 13)] == [0, 0, 3, 0]


def test_another_gateway_counts_from_its_own_beginning() -> None:
    gaps = Gaps()
    assert gaps.before(event("beat", seq=900)) == 0
    assert gaps.before(event("beat", seq=1) | {"gateway": "h"}) == 0
    assert gaps.before(event("beat", seq=3) | {"gateway": "h"}) == 1


# ---------------------------------------------------------------- chosen


def test_without_a_wish_all_is_shown_but_what_belongs_to_no_session() -> None:
    chosen = Chosen(WantedSessions())
    assert chosen.take(event("closed")) == [event("closed")]
    assert chosen.take({"seq": 1, "event": "beat"}) == []


@pytest.mark.parametrize("given_id", [SESSION, "1aa0-2", f"{SESSION}.3"])
def test_a_session_is_named_by_its_id_its_short_one_or_a_delivery(given_id: str) -> None:
    chosen = Chosen(WantedSessions(session=given_id))
    assert chosen.take(said("QUIT"))
    assert not chosen.take(said("QUIT", "004eb9c81aa0-22"))


@pytest.mark.parametrize(
    ("network", "peer", "shown"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.70", False),
        ("192.0.2.0/24", "192.0.2.70", True),
        ("::1", "::1", True),
        ("192.0.2.7", "::1", False),
        ("192.0.2.7", "unknown", False),
    ],
)
def test_a_peer_is_an_address_or_in_a_network(network: str, peer: str, shown: bool) -> None:
    chosen = Chosen(WantedSessions(peer=ipaddress.ip_network(network)))
    assert bool(chosen.take(event("closed", peer=peer))) is shown


def test_a_session_is_shown_from_its_beginning_once_it_names_the_address() -> None:
    chosen = Chosen(WantedSessions(address=re.compile("^ana@")))
    other = said("MAIL FROM:<ana@example.org>", "g-1")
    before = [event("connected"), said("HELO ana@here"), said("MAIL FROM:<carla@example.org> SIZE=1")]
    assert [chosen.take(each) for each in before] == [[], [], []]
    rcpt = said("rcpt  to: <ana@example.com>")
    assert chosen.take(rcpt) == [*before, rcpt]
    assert chosen.take(other) == [other]
    assert chosen.take(said("DATA")) == [said("DATA")]
    assert chosen.take(event("closed")) == [event("closed")]
    assert chosen.take(said("DATA")) == []


@pytest.mark.parametrize("text", ["NOOP ana@example.org", "MAIL FROM:<>", "RCPT TO:", "354 ana@example.org"])
def test_an_address_counts_where_a_command_has_one(text: str) -> None:
    assert Chosen(WantedSessions(address=re.compile("ana"))).take(said(text)) == []


def test_what_is_kept_of_sessions_that_name_nobody_is_bounded() -> None:
    chosen = Chosen(WantedSessions(address=re.compile("ana")))
    for number in range(3000):
        for _ in range(3 if number < 2990 else 200):
            chosen.take(said("NOOP", f"g-{number}"))
    assert len(chosen._kept) <= 1000
    assert max(len(kept) for kept in chosen._kept.values()) <= 50
    for number in range(3000):
        chosen.take(said("VRFY ana@x", f"g-{number}"))
    assert len(chosen._named) <= 1000


# ---------------------------------------------------------------- look


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (event("connected"), "connection from 192.0.2.7"),
        (said("HELO a"), "C: HELO a"),
        (event("message", octets=12, too_big=False), "C: (message, 12 octets)"),
        (event("message", octets=12, too_big=True), "C: (message, too big)"),
        (event("server", text="250-a", worker="w", ms=1.0), "S: 250-a"),
        (event("server", text="250 b", worker="0a1b", ms=1.26), "S: 250 b  [0a1b, 1.3 ms]"),
        (event("server", text="250 b", worker="0a1b"), "S: 250 b  [0a1b]"),
        (event("server", text="421 bye"), "S: 421 bye"),
        (event("delivered", delivery=f"{SESSION}.1"), f"= delivered {SESSION}.1"),
        (event("injected", text="a delay"), "! injected: a delay"),
        (event("closed", why="the client left"), "closed: the client left"),
    ],
)
def test_a_line_has_the_time_the_session_and_what_happened(shown: Event, line: str) -> None:
    made = Look(Paint()).line(shown)
    assert made is not None
    assert re.fullmatch(r"\d\d:\d\d:10\.123 1aa0-2 " + re.escape(line), made)


def test_a_kind_that_is_not_known_has_no_line() -> None:
    assert Look(Paint()).line(event("beat")) is None
    assert Look(Paint()).line(event("tomorrow")) is None


def test_colours_tell_sessions_and_replies_apart() -> None:
    look = Look(Paint(enabled=True))
    first, second = look.line(said("DATA", "g-1")), look.line(said("DATA", "g-2"))
    assert first is not None
    assert second is not None
    assert first.split()[1].partition("g")[0] != second.split()[1].partition("g")[0]
    assert "\x1b[1;31m550 5.1.1\x1b[0m" in str(look.line(event("server", text="550 5.1.1 No such user")))


@given(
    st.sampled_from(["connected", "client", "message", "server", "delivered", "injected", "closed"]),
    st.dictionaries(
        st.sampled_from(["text", "peer", "session", "why", "worker", "ms", "delivery", "octets", "time"]),
        st.text() | st.integers() | st.none() | st.floats(),
    ),
)
def test_whatever_an_event_holds_its_line_is_one_and_harmless(kind: str, told: dict[str, Any]) -> None:
    line = Look(Paint()).line(event(kind) | told)
    assert line is not None
    assert not any(unicodedata.category(char) == "Cc" and char != "\t" for char in line)


def test_a_pattern_that_would_take_years_holds_nothing_up() -> None:
    chosen = Chosen(WantedSessions(address=re.compile("(a+)+$")))
    began = time.process_time()
    assert chosen.take(said("RCPT TO:<" + "a" * 1000 + "!>")) == []
    assert time.process_time() - began < 1
    assert chosen.take(said("RCPT TO:<aaa>"))
