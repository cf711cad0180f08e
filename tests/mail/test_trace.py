"""The Received: header."""

from __future__ import annotations

import pytest

from session_worker.dialogue import trace
from session_worker.dialogue.state import Recipient, Session, Transaction
from wire.limits import MAX_TRACE
from wire.records import replace

_TIME = 1_795_417_555_999
_SESSION = Session("192.0.2.7", "example.org")
_MAIL = Transaction("a@example.org", recipients=(Recipient("Maria@Example.com", "maria@example.com"),))


def _received(session: Session = _SESSION, mail: Transaction = _MAIL) -> str:
    return trace.received(session, mail, "mail.example.com", "s-1.1", _TIME).decode()


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
    assert _received(replace(_SESSION, hello=name)).startswith(f"Received: from {written} ([192.0.2.7])\n\tby ")


def test_several_recipients_do_not_learn_of_each_other() -> None:
    other = Recipient("joao@example.com", "joao@example.com")
    received = _received(mail=replace(_MAIL, recipients=(*_MAIL.recipients, other)))
    assert "for" not in received
    assert received.endswith("\tby mail.example.com with SMTP id s-1.1; Mon, 23 Nov 2026 07:05:55 +0000\n")


@pytest.mark.parametrize(
    ("extended", "utf8", "protocol"), [(False, False, "SMTP"), (True, False, "ESMTP"), (True, True, "UTF8SMTP")]
)
def test_the_protocol_is_named_by_what_the_client_used(*, extended: bool, utf8: bool, protocol: str) -> None:
    assert f" with {protocol} id " in _received(replace(_SESSION, extended=extended), replace(_MAIL, utf8=utf8))


@pytest.mark.parametrize(
    ("peer", "literal"),
    [("2001:db8:0::1", "[IPv6:2001:db8::1]"), ("127.0.0.1", "[127.0.0.1]"), ("a\nb", "[unknown]")],
)
def test_the_peer_is_an_address_literal(peer: str, literal: str) -> None:
    assert f"({literal})\n" in _received(replace(_SESSION, peer=peer))


def test_the_longest_names_stay_within_the_contract() -> None:
    longest = Recipient("x" * 64 + "@" + "y" * 255, "m")
    session = replace(_SESSION, hello="h" * 255, peer="2001:db8:1111:2222:3333:4444:5555:6666")
    received = trace.received(session, replace(_MAIL, recipients=(longest,)), "d" * 255, "i" * 64, _TIME)
    assert len(received) <= MAX_TRACE
    # RFC 5322 section 2.1.1
    assert max(map(len, received.split(b"\n"))) <= 998
