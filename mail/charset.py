"""Octets to text, by the name that mail gives their charset.

Gives: `decoded`, and `unnamed` where no name is given. Names mean what the Web's Encoding Standard says, as those who
write mail mean them: `shift_jis` has the signs that Windows added, `iso-8859-1` is windows-1252. Beside these are the
charsets of older mail that Python knows: UTF-7 among them, for in a text it does no harm.
Fails: never. A name that is none, or that of a codec of Python's which is no charset (`punycode`, `zip`), decodes
nothing: the octets are read as UTF-8, else as windows-1252, so that none is lost, and the caller is told.
Limits: time and memory are linear in the octets.
"""

from __future__ import annotations

import codecs
import re
import threading
from contextlib import suppress
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import lru_cache

import webencodings

# RFC 2978 section 2.3: 40 characters for a charset's name; the longest that anybody knows has 26.
_LABEL = re.compile(r"[a-z0-9][a-z0-9 ._:()+-]{0,39}")
# Names of windows code pages as programs make them up: win-1251, cp-1252, ms932.
_CODE_PAGE = re.compile(r"(?:x-)?(?:win(?:dows)?|cp|ms|ibm)[-_ ]?(\d{3,5})")
# Of Python's codecs those that are charsets, by the names of their modules. The time of some others is quadratic, and
# for a name that is none Python searches its folders.
_CHARSETS = re.compile(
    r"ascii|utf_(?:7|8|8_sig|16|16_[bl]e|32|32_[bl]e)|latin_1|iso8859_\d+|iso2022_(?:jp(?:_(?:1|2|2004|3|ext))?|kr)"
    r"|cp\d{3,4}|mac_(?:arabic|croatian|cyrillic|farsi|greek|iceland|latin2|roman|romanian|turkish)|koi8_[rtu]|kz1048"
    r"|ptcp154|hp_roman8|tis_620|euc_(?:jp|kr|jis_2004|jisx0213)|gb2312|gbk|gb18030|hz|johab|big5|big5hkscs"
    r"|shift_jis|shift_jis_2004|shift_jisx0213"
)
# The standard's decoders where Python has a closer one, or only a narrower one: GB 18030 has all of GBK.
_BETTER = {"gbk": "gb18030"}
# The signs that NEC and IBM added to JIS X 0208, which Python knows in cp932 alone.
_JAPANESE = ("euc_jp", "iso2022_jp")
_WINDOWS = re.compile(r"cp(?:125\d|874)")
# Each is a call into Python. No text has so many of them; one that has is decoded without.
_MOST_AMENDED = 100_000
# ASCII and Latin-1, which the standard has as windows-1252: said of all kinds of text.
_SAID_OF_ALL = ("cp1252",)
# Each error of theirs costs a microsecond, and 32 MiB have as many; what is not valid is then read as it stands.
_SLOW = ("utf-7", "utf-32", "utf-32-le", "utf-32-be")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f\ufffd]")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# UTF-7 and UTF-16 can hold halves of surrogate pairs; no UTF-8 has them.
_HALF_OF_PAIR = re.compile("[\ud800-\udfff]")


def decoded(octets: bytes, label: str = "") -> tuple[str, bool]:
    """The text, and whether the name of the charset was understood.

    A byte order mark says more than the name (Encoding Standard, "decode"); it is not part of the text.
    :param label: "" for octets of which nothing is said: see `unnamed`.
    """
    for mark, name in _MARKS:
        if octets.startswith(mark):
            return _whole(octets[len(mark) :].decode(name, "replace")), True
    if not label:
        return unnamed(octets), True
    codec = _codec(label)
    if codec is not None and codec.name not in _SAID_OF_ALL:
        try:
            return _whole(codec.decode(octets, "strict")[0]), True
        except UnicodeDecodeError:
            if codec.name not in _SLOW:
                return _whole(_amended(codec, octets)), True
    # What is UTF-8 is hardly ever anything else.
    with suppress(UnicodeDecodeError):
        return octets.decode(), codec is not None
    return _windows(octets), codec is not None


def unnamed(octets: bytes) -> str:
    """Octets of which nothing is said: UTF-8, but windows-1252 where that makes a letter beyond ASCII of none.

    So old programs' Latin-1 is read, and of UTF-8 that was cut within a letter no more is lost than that.
    """
    with suppress(UnicodeDecodeError):
        return octets.decode()
    text = octets.decode("utf-8", "replace")
    return text if _BEYOND_ASCII.search(text) else _windows(octets)


def is_known(label: str) -> bool:
    """Whether it is the name of a charset."""
    return _codec(label) is not None


def is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(maxsize=256)
def _codec(label: str) -> codecs.CodecInfo | None:
    label = label.strip(" \t\r\n\f\"'").lower()
    if not _LABEL.fullmatch(label):
        return None
    otherwise = (_CODE_PAGE.sub(r"cp\1", label), re.sub(r"[-_ ]", "", label))
    return _of_standard(label) or next(filter(None, map(_of_python, (label, *otherwise))), None)


def _of_standard(label: str) -> codecs.CodecInfo | None:
    encoding = webencodings.lookup(label)
    if encoding is None or encoding.name == "replacement":
        # What the standard refuses (HZ, ISO-2022-KR) can do harm in a page; in mail it is text.
        return None
    return codecs.lookup(_BETTER[encoding.name]) if encoding.name in _BETTER else encoding.codec_info


def _of_python(label: str) -> codecs.CodecInfo | None:
    name = normalize_encoding(label)
    if not _CHARSETS.fullmatch(aliases.get(name, name)):
        return None
    try:
        found = codecs.lookup(label)
    except LookupError:
        return None
    return _of_standard(found.name.replace("_", "-")) or found


def _windows(octets: bytes) -> str:
    return codecs.charmap_decode(octets, "replace", _table("cp1252"))[0]


def _amended(codec: codecs.CodecInfo, octets: bytes) -> str:
    """What the codec does not take whole."""
    if _WINDOWS.fullmatch(codec.name):
        return codecs.charmap_decode(octets, "replace", _table(codec.name))[0]
    if codec.name in _JAPANESE:
        _calls.count = 0
        with suppress(UnicodeDecodeError):
            return codec.decode(octets, __name__)[0]
    return codec.decode(octets, "replace")[0]


@lru_cache(maxsize=16)
def _table(name: str) -> str:
    """A Windows code page whole: the octets that it gives no sign stand for themselves (Encoding Standard)."""
    signs = (bytes([octet]).decode(name, "replace") for octet in range(256))
    return "".join(
        chr(octet) if sign == "\ufffd" and 0x80 <= octet < 0xA0 else sign for octet, sign in enumerate(signs)
    )


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return _HALF_OF_PAIR.sub("\ufffd", text)
    return text


_calls = threading.local()


def _amend(error: UnicodeError) -> tuple[str, int]:
    """Two octets that Python's decoder does not know, by their row and cell in JIS X 0208."""
    if not isinstance(error, UnicodeDecodeError) or _calls.count >= _MOST_AMENDED:
        raise error
    _calls.count += 1
    row, cell = (octet & 0x7F for octet in error.object[error.start : error.start + 2].ljust(2, b"\0"))
    if 0x21 <= row <= 0x7E and 0x21 <= cell <= 0x7E:
        # The rows of JIS X 0208 two by two in one lead octet: how Shift_JIS is made.
        lead = (row + 1) // 2 + (0x70 if row < 0x5F else 0xB0)
        trail = cell + (0x7E if row % 2 == 0 else 0x1F + cell // 96)
        with_signs = bytes([lead, trail]).decode("cp932", "replace")
        return with_signs[:1], error.start + 2
    return "\ufffd", error.end


codecs.register_error(__name__, _amend)
