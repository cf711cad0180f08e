"""Charsets by the names that mail gives them."""

from __future__ import annotations

import codecs
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.charset import decoded, is_known, is_utf8

# What the name means, the codec that makes the octets, and a text that tells it from narrower ones.
LABELS = [
    ("gb2312", "gb18030", "朱镕基€"),
    ("GBK", "gb18030", "镕"),
    ("gb_2312-80", "gbk", "中文"),
    ("ks_c_5601-1987", "cp949", "똠방각하"),
    ("euc-kr", "cp949", "똠방각하"),
    ("iso-8859-8-i", "iso-8859-8", "שלום"),
    ("iso-8859-8-e", "iso-8859-8", "שלום"),
    ("windows-874", "cp874", "ไทย"),
    ("tis-620", "cp874", "ไทย…"),
    ("shift_jis", "cp932", "①髙橋～"),
    ("x-sjis", "cp932", "①髙橋"),
    ("windows-31j", "cp932", "①髙橋"),
    ("ms932", "cp932", "①"),
    ("iso-8859-1", "cp1252", "“é€”"),
    ("latin1", "cp1252", "€"),
    ("iso8859-1", "cp1252", "€"),
    ("iso-8859-9", "cp1254", "ğ€"),
    ("iso-8859-15", "iso-8859-15", "€"),
    ("us-ascii", "utf-8", "é"),
    ("utf8", "utf-8", "é"),
    ("unicode-1-1-utf-8", "utf-8", "é"),
    ('"UTF-8"', "utf-8", "é"),
    (" 'utf-8' ", "utf-8", "é"),
    ("utf-16", "utf-16", "é✉😀"),
    ("utf-16be", "utf-16-be", "é✉😀"),
    ("utf-32le", "utf-32-le", "é✉😀"),
    ("utf-7", "utf-7", "é✉😀"),
    ("unicode-1-1-utf-7", "utf-7", "é"),
    ("big5", "big5hkscs", "中文㗎"),
    ("cp950", "cp950", "中文"),
    ("hz-gb-2312", "hz", "中文"),
    ("iso-2022-kr", "iso2022_kr", "한글"),
    ("iso-2022-jp", "iso2022_jp", "日本語"),
    ("win-1251", "cp1251", "Привет"),
    ("cp-1251", "cp1251", "Привет"),
    ("windows1251", "cp1251", "Привет"),
    ("koi8-u", "koi8-u", "Їжак"),
    ("macintosh", "mac-roman", "é"),
    ("x-mac-cyrillic", "mac-cyrillic", "Я"),
    ("cp437", "cp437", "é╬"),
    ("ibm850", "cp850", "é"),
    ("latin-9", "iso-8859-15", "€"),
]


@pytest.mark.parametrize(("label", "codec", "text"), LABELS, ids=[label for label, *_ in LABELS])
def test_a_name_means_what_those_mean_who_write_it(label: str, codec: str, text: str) -> None:
    assert decoded(text.encode(codec), label) == (text, True)


@pytest.mark.parametrize("sign", "①⑳№㈱纊髙")
def test_the_signs_that_windows_added_are_japanese_too(sign: str) -> None:
    lead, trail = sign.encode("cp932")
    row = 2 * (lead - (0x70 if lead < 0xA0 else 0xB0)) - (trail < 0x9F)
    cell = trail - 0x7E if trail >= 0x9F else trail - 0x1F - (trail > 0x7E)
    jis = bytes([row, cell])
    assert decoded(b"\x1b$B" + jis + b"\x1b(B!", "iso-2022-jp") == (f"{sign}!", True)
    assert decoded(bytes(octet | 0x80 for octet in jis) + b"!", "euc-jp") == (f"{sign}!", True)


NO_CHARSETS = [
    *(
        "punycode",
        "idna",
        "unicode_escape",
        "raw_unicode_escape",
        "rot13",
        "rot_13",
        "zip",
        "zlib",
        "bz2",
        "hex",
        "uu",
    ),
    *("base64", "quopri", "undefined", "mbcs", "oem", "charmap", "string_escape", "aliases", "os", "../x", "utf-8\0"),
    *("x-unknown", "unknown-8bit", "", " ", "é", "a" * 10_000, "utf-8;x", "8bit", "utf-9", "cp99999"),
]


@pytest.mark.parametrize("label", NO_CHARSETS)
def test_what_is_no_charset_decodes_nothing_and_loses_nothing(label: str) -> None:
    assert not is_known(label)
    if label:
        assert decoded("é".encode(), label) == ("é", False)
        text, known = decoded(bytes(range(256)), label)
        assert (known, len(set(text))) == (False, 256)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("é".encode(), "é"),
        ("\ufffd".encode(), "\ufffd"),
        # What was sent before UTF-8, and still is.
        (b"caf\xe9", "café"),
        (b"\x80 \x93x\x94", "€ “x”"),
        # UTF-8 that was cut within a letter, or has an octet too many.
        ("olá é".encode()[:-1], "olá \ufffd"),
        ("é".encode() + b"\xff", "é\ufffd"),
    ],
)
def test_octets_without_a_name_are_utf8_else_windows_1252(octets: bytes, text: str) -> None:
    assert decoded(octets) == (text, True)


def test_octets_that_a_windows_code_page_has_no_sign_for_stand_for_themselves() -> None:
    assert decoded(b"\x81\x80", "windows-1252") == ("\x81€", True)
    assert decoded(b"\x98\xc0", "windows-1251") == ("\x98А", True)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("label", ["", "iso-8859-1", "utf-8", "utf-16", "x-unknown"])
def test_a_byte_order_mark_says_more_than_the_name_and_is_no_text(codec: str, label: str) -> None:
    assert decoded("é✉".encode(codec), label) == ("é✉", True)


def test_half_of_a_pair_is_no_text() -> None:
    assert decoded(b"+2AA-", "utf-7")[0] == "\ufffd"
    assert decoded(b"\x00\xd8", "utf-16le")[0] == "\ufffd"


@given(st.binary(max_size=100), st.sampled_from([label for label, *_ in LABELS] + NO_CHARSETS) | st.text(max_size=50))
def test_any_octets_are_a_text_that_can_be_written(octets: bytes, label: str) -> None:
    decoded(octets, label)[0].encode()
    assert is_utf8(octets) == (octets.decode("utf-8", "ignore").encode() == octets)


WORST = [b"\xad\xa1", b"\xff", b"+!", b"+2AA-", b"\x1b$B\x2d\x21", b"~{\xff", b"\x81", b"=", b"\x0e\xa1"]


@pytest.mark.parametrize("label", sorted({codecs.lookup(codec).name for _, codec, _ in LABELS}))
def test_time_is_linear_whatever_the_octets(label: str) -> None:
    """A doubling from 250 KB may not cost more than four times as much; what is quadratic costs that each time."""
    for unit in WORST:
        times = []
        for size in (250_000, 2_000_000):
            octets = unit * (size // len(unit))
            began = time.process_time()
            decoded(octets, label)
            times.append(time.process_time() - began)
        # Eight times the size: sixty-four times the time would be quadratic; 0.05 s is below what the clock tells.
        assert times[1] < 0.05 or times[1] < 24 * times[0], (label, unit, times)
