"""Farewells: whatever the reason, a reply line that RFC 5321 allows at any time."""

from __future__ import annotations

import re

import pytest

from gateway.telling.farewells import Farewell


@pytest.mark.parametrize("farewell", Farewell)
def test_every_farewell_is_one_421_line_with_an_enhanced_code_and_the_domain(farewell: Farewell) -> None:
    # RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets.
    assert re.fullmatch(rb"421 4\.\d\.\d mail\.example\.com [ -~]+\r\n", farewell.reply("mail.example.com"))
    assert len(farewell.reply("d" * 255)) <= 512


def test_a_domain_that_is_not_ascii_is_sent_as_utf_8() -> None:
    assert "correio.é".encode() in Farewell.IDLE.reply("correio.é")
