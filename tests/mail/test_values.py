"""What field values say."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.values import addresses, decoded, displayed, parameters


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?Ol=C3=A1?= mundo", "Olá mundo"),
        ("=?UTF-8?B?T2zDoQ==?=", "Olá"),
        ("=?utf-8?b?T2zDoQ?=", "Olá"),
        ("=?utf-8*pt-BR?q?Ol=C3=A1?=", "Olá"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?=\t =?latin1?q?=E9?=", "aé"),
        ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        ("a=?utf-8?q?b?=c", "abc"),
        ("=?utf-8?q?a b?=", "a b"),
        ("=?utf-8?q?what??=", "what?"),
        ("=?utf-8?q?under_score=5F?=", "under score_"),
        ("=?utf-8?q??=", ""),
        ("=?x-unknown?q?x?=", "=?x-unknown?q?x?="),
        ("=?punycode?q?x?=", "=?punycode?q?x?="),
        ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?q?a", "=?utf-8?q?a"),
        ("=?utf-8?q?a?= =?x?q?b?= =?utf-8?q?c?=", "a =?x?q?b?= c"),
        ("=?shift_jis?B?h0CC0A==?=", "①ひ"),
    ],
)
def test_encoded_words_are_decoded_and_what_is_not_valid_stays(value: str, text: str) -> None:
    assert decoded(value) == text


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("joe@client.example", ["joe@client.example"]),
        ("Joe <joe@client.example>", ["joe@client.example"]),
        ("=?utf-8?q?Jos=C3=A9_=28SP?= <joe@client.example>", ["joe@client.example"]),
        ("=?utf-8?q?=22Jos=C3=A9?= <joe@client.example>", ["joe@client.example"]),
        ("=?utf-8?q?boss=40corp=2Eexample=2C?= <joe@client.example>", ["joe@client.example"]),
        ("=?utf-8?q?Ol=C3=A1_=3A=28?= <shop@catch.example>, b@c", ["shop@catch.example", "b@c"]),
        ("=?utf-8?q?boss=40corp=2Eexample?=", ["=?utf-8?q?boss=40corp=2Eexample?="]),
        ('"boss@corp.example, x" <joe@c>', ["joe@c"]),
        ("boss@corp.example <joe@c>", ["joe@c"]),
        ("(boss@corp.example) joe@c (x, y@z)", ["joe@c"]),
        ("joe@c (a (b) \\) c), eva@d", ["joe@c", "eva@d"]),
        ("joe . smith @ client . example", ["joe.smith@client.example"]),
        ("joe (x) . (y) smith@c(z)", ["joe.smith@c"]),
        ("Joe <@relay.example,@other.example:joe@c>, b@c", ["joe@c", "b@c"]),
        ("< joe @ c (x) >", ["joe@c"]),
        ("Team: a@b, C <c@d>; , e@f", ["a@b", "c@d", "e@f"]),
        ("Undisclosed recipients:;", []),
        ('"a b"@c', ['"a b"@c']),
        ('"a\\"b"@c', ['"a\\"b"@c']),
        ("a@[192.0.2.1], b@[IPv6:2001:db8::1]", ["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]),
        ("José Silva <josé@exämple.org>", ["josé@exämple.org"]),
        (",, a@b ,,c@d,", ["a@b", "c@d"]),
        ("Joe Smith joe@c", ["joe@c"]),
        ("a@b c@d", []),
        ("Joe (x <joe@c>", ["joe@c"]),
        ('Joe "x <joe@c>', ["joe@c"]),
        ("Joe <joe@c", ["joe@c"]),
        ("MAILER-DAEMON", ["MAILER-DAEMON"]),
        ("<>", []),
        ("", []),
        ("x" * 2000 + "@y", []),
    ],
)
def test_addresses_are_found_before_anything_is_decoded(value: str, found: list[str]) -> None:
    assert addresses(value) == found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=?utf-8?q?Jos=C3=A9?= <joe@c>", "José <joe@c>"),
        ("=?utf-8?q?Jos=C3=A9?= =?utf-8?q?_Silva?= <joe@c>, b@c", "José Silva <joe@c>, b@c"),
        ("=?utf-8?q?Jos=C3=A9_=28SP?= <joe@c>", '"José \\(SP" <joe@c>'),
        ("=?utf-8?q?boss=40corp=2C?= <joe@c>", '"boss@corp," <joe@c>'),
        ('"=?utf-8?q?a=22=2C?=" <joe@c>', '"a\\"," <joe@c>'),
        ("joe@c (=?utf-8?q?=29?= x)", "joe@c (\\) x)"),
        ("Joe <joe@c>", "Joe <joe@c>"),
    ],
)
def test_a_list_as_it_is_shown_still_parses_as_the_same_addresses(value: str, shown: str) -> None:
    assert displayed(value) == shown
    assert addresses(displayed(value)) == addresses(value)


@given(st.text(alphabet='a@.,;:<>()"\\ é=', max_size=12))
def test_no_name_however_it_is_encoded_becomes_an_address(name: str) -> None:
    quoted = "".join(f"={octet:02X}" for octet in name.encode())
    value = f"=?utf-8?q?{quoted}?= <joe@client.example>, eva@client.example"
    assert addresses(value) == addresses(displayed(value)) == ["joe@client.example", "eva@client.example"]


@pytest.mark.parametrize(
    ("value", "first", "given"),
    [
        ("text/plain", "text/plain", {}),
        ("TEXT/Plain ; Charset = UTF-8", "text/plain", {"charset": "UTF-8"}),
        ("text/plain (c;d=e); charset=(x)utf-8 (y)", "text/plain", {"charset": "utf-8"}),
        ('a/b; name="x;y=\\"z\\" (no comment).txt"', "a/b", {"name": 'x;y="z" (no comment).txt'}),
        ('a/b; filename="C:\\dir\\f.txt"', "a/b", {"filename": "C:\\dir\\f.txt"}),
        ('a/b; name="not closed.txt', "a/b", {"name": "not closed.txt"}),
        ("a/b; name=my file.pdf; x=y", "a/b", {"name": "my file.pdf", "x": "y"}),
        ("a/b; name=currículo.pdf", "a/b", {"name": "currículo.pdf"}),
        ('a/b; name="=?utf-8?q?curr=C3=ADculo.pdf?="', "a/b", {"name": "currículo.pdf"}),
        ("a/b; name==?utf-8?q?a?=", "a/b", {"name": "a"}),
        ("a/b; name*=utf-8''curr%C3%ADculo.pdf", "a/b", {"name": "currículo.pdf"}),
        ("a/b; name*=iso-8859-1'pt'%E9%80", "a/b", {"name": "é€"}),
        ("a/b; name*0*=utf-8''%C3; name*1*=%AD; name*2=x%20", "a/b", {"name": "íx%20"}),
        ("a/b; name*1=b; name*0=a; name*3=d", "a/b", {"name": "ab"}),
        ("a/b; name=plain; name*=\"utf-8''b%C3%A9st\"", "a/b", {"name": "bést"}),
        ("a/b; name*0=a; name*=utf-8''b; name=c", "a/b", {"name": "b"}),
        ("a/b; name*=x-unknown''%E9", "a/b", {"name": "é"}),
        ("a/b; name*=no-quotes%20", "a/b", {"name": "no-quotes "}),
        ("a/b; x=1; X=2", "a/b", {"x": "1"}),
        ("a/b;;; x ;=y; z=", "a/b", {"": "y", "z": ""}),
        ("", "", {}),
    ],
)
def test_parameters_in_each_of_their_forms(value: str, first: str, given: dict[str, str]) -> None:
    assert parameters(value) == (first, given)


PIECES = [
    '"',
    "\\",
    "(",
    ")",
    "<",
    ">",
    "@",
    ",",
    ";",
    ":",
    "[",
    "]",
    ".",
    " ",
    "a",
    "=?utf-8?q?",
    "=29",
    "?=",
    "=",
    "*0*",
    "é",
]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_value_says_something(value: str) -> None:
    for text in (decoded(value), displayed(value), *addresses(value), *parameters(value)[1].values()):
        text.encode()


HALF = 100_000
WORST = [
    "=?u?q??=", "=?utf-8?q?a?= =?latin1?q?b?=", "=?a?q?", "=?", "=?utf-8?b?", "=?x1?q?a?=",
    ",", "a@b,", "(", "()", "(a", ")", "a:;", "<", "<>", "<@a,", "a.", "a .", "[", "[]", '"', '\\"', '"a', "\\", "@",
    " ", ";a=b", ";n*1=x", ";", "'", "%", "é",
]  # fmt: skip


@pytest.mark.parametrize("unit", WORST)
def test_time_is_linear_in_the_length(unit: str) -> None:
    """Measured in seconds of the processor, for the expressions run in C: what is quadratic takes minutes here."""
    value = unit * (HALF // len(unit))
    began = time.process_time()
    for prefix in ("", 'a/b; name="', "(", "<", '"'):
        decoded(prefix + value)
        displayed(prefix + value)
        addresses(prefix + value)
        parameters(prefix + value)
    assert time.process_time() - began < 10
