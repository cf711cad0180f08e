"""The Received field: written, found and taken apart."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mail import trace
from wire.limits import MAX_TRACE

_TIME = 1_795_417_555_999


def _received(
    hello: str = "example.org", peer: str = "192.0.2.7", only: str = "Maria@Example.com", **used: bool
) -> str:
    used = {"extended": False, "utf8": False} | used
    return trace.received(hello, peer, "mail.example.com", "s-1.1", _TIME, only=only, **used).decode()


def test_it_is_folded_and_has_lf_line_ends() -> None:
    assert _received() == (
        "Received: from example.org ([192.0.2.7])\n"
        "\tby mail.example.com with SMTP id s-1.1\n"
        "\tfor <Maria@Example.com>; Mon, 23 Nov 2026 07:05:55 +0000\n"
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("my pc", "my?pc"),
        ("(none)", "?none?"),
        ("bücher.example", "b?cher.example"),
        ("a) by b with c id d; (x", "a??by?b?with?c?id?d???x"),
        ("x\u2028y", "x?y"),
        ("[IPv6:::1]", "[IPv6:::1]"),
        ("bob's-pc", "bob's-pc"),
    ],
)
def test_a_name_that_is_no_domain_breaks_no_header(name: str, written: str) -> None:
    assert _received(name).startswith(f"Received: from {written} ([192.0.2.7])\n\tby ")


def test_several_recipients_do_not_learn_of_each_other() -> None:
    assert _received(only="").endswith("\tby mail.example.com with SMTP id s-1.1; Mon, 23 Nov 2026 07:05:55 +0000\n")


@pytest.mark.parametrize(
    ("extended", "utf8", "protocol"), [(False, False, "SMTP"), (True, False, "ESMTP"), (True, True, "UTF8SMTP")]
)
def test_the_protocol_is_named_by_what_the_client_used(*, extended: bool, utf8: bool, protocol: str) -> None:
    assert f" with {protocol} id " in _received(extended=extended, utf8=utf8)


@pytest.mark.parametrize(
    ("peer", "literal"),
    [("2001:db8:0::1", "[IPv6:2001:db8::1]"), ("127.0.0.1", "[127.0.0.1]"), ("a\nb", "[unknown]")],
)
def test_the_peer_is_an_address_literal(peer: str, literal: str) -> None:
    assert f"({literal})\n" in _received(peer=peer)


def test_the_longest_names_stay_within_the_contract() -> None:
    field = trace.received(
        "h" * 255, "2001:db8:1111:2222:3333:4444:5555:6666", "d" * 255, "i" * 64, _TIME,
        extended=True, utf8=True, only="x" * 64 + "@" + "y" * 255,
    )  # fmt: skip
    assert len(field) <= MAX_TRACE
    # RFC 5322 section 2.1.1
    assert max(map(len, field.split(b"\n"))) <= 998


def test_what_was_written_is_read() -> None:
    value = _received().removeprefix("Received: ").replace("\n", "")
    assert trace.read(value) == trace.TraceParts("s-1.1", "Maria@Example.com")
    assert trace.received_at(value) == datetime(2026, 11, 23, 7, 5, 55, tzinfo=UTC)
    assert trace.mark(_received().encode(), "s-1.1") == b"\tby mail.example.com with SMTP id s-1.1\n"


@pytest.mark.parametrize("value", ["", "by mx.example.net (Other) id 4711; now", "from a (b) by c with d; now"])
def test_a_field_that_is_not_ours_says_nothing(value: str) -> None:
    assert trace.read(value) is None
    assert trace.received_at(value) is None
