"""Messages that are made to do harm, or to take long, for tests of what shows mail."""

from __future__ import annotations

from hypothesis import strategies as st

MULTIPART = b"MIME-Version: 1.0\nContent-Type: multipart/%s; boundary=b\n\n"
# Each of these makes Python's email package, or one of its codecs, raise something, or gives text that no UTF-8 has.
HOSTILE = {
    "a charset that is no ASCII": "Subject: =?ü?q?x?=\n\nhi\n".encode(),
    "a codec that gives no text": b"Subject: =?hex?q?zz?=\nContent-Type: text/plain; charset=hex\n\nhi\n",
    "half a pair in a subject": b"Subject: =?unicode_escape?q?=5Cud800?=\n\nhi\n",
    "half a pair in a text": b"Content-Type: text/plain; charset=unicode_escape\n\n\\ud800\n",
    "half a pair in UTF-7": b"Content-Type: text/html; charset=utf-7\n\n+2AA-\n",
    "half a pair in a name": b"Content-Disposition: attachment; filename==?utf-7?q?+2AA-?=\n\nhi\n",
    "a number of 5,000 digits": b"Content-Type: text/plain; name*" + b"9" * 5000 + b"=x\n\nhi\n",
    "a boundary of 5,000 digits": b"Content-Type: multipart/mixed; boundary*" + b"9" * 5000 + b"=x\n\nhi\n",
    "a NUL in a charset": b"Content-Type: text/plain; charset*=a\0b''x\n\nhi\n",
    "a NUL in a name's charset": b"Content-Disposition: attachment; filename*=a\0b''%ff\n\nhi\n",
    "messages in messages": b"Content-Type: message/rfc822\n\n" * 2000 + b"hi\n",
    "parts in parts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1500)
    ),
    "comments in comments": b"From: " + b"(" * 50_000 + b"\nTo: " + b"(" * 50_000 + b"\n\nhi\n",
    "comments in a type": b"Content-Type: " + b"(" * 50_000 + b"\n\nhi\n",
    "a year of 5,000 digits": b"Received: x; 1 Jan " + b"9" * 5000 + b" 0:0:0 +0000\n\nhi\n",
}


WORDS = [
    *b"Content-Type: |Content-Disposition: attachment; |Content-Transfer-Encoding: |base64|x-uuencode".split(b"|"),
    *b"multipart/mixed; boundary=b\n|message/rfc822\n|text/plain; |text/html; |--b\n|--b--\n".split(b"|"),
    *b"charset=|filename*0*=|name*=|utf-7|unicode_escape|idna|punycode|''%ff|+2AA-".split(b"|"),
    *b"Received: from |From: |To: |Subject: |=?|?q?|?b?|?=|\\ud800|\xc3\xbc".split(b"|"),
    *b'(|<|>|"|[|,|;|:|@|\0|\r|\n|\n\n|\n '.split(b"|"),
    b"9" * 5000,
]
octets = st.binary(max_size=300) | st.lists(st.sampled_from(WORDS) | st.binary(max_size=4)).map(b"".join)


MIB = 1024 * 1024
LARGE = {
    "an encoded word in punycode": b"Subject: =?punycode?q?"
    + b"a" * 500_000
    + b"-"
    + b"bcd" * 160_000
    + b"?=\n\nx\n",
    "a million fields": b"X: y\n" * 1_000_000 + b"\nx\n",
    "a header folded a million times": b"Subject: a\n" + b" b\n" * 1_000_000 + b"\nx\n",
    "a million parts": MULTIPART % b"mixed" + b"--b\n\nx\n" * 1_000_000,
    "a part in a part in": b"".join(b"Content-Type: multipart/x; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(99))
    + b"--b\n" * 1_000_000,
    "messages in messages": b"Content-Type: message/rfc822\n\n" * 300_000 + b"x",
    "a boundary of a megabyte": b"Content-Type: multipart/mixed; boundary="
    + b"b" * MIB
    + b"\n\n--"
    + b"b" * MIB
    + b"\n\nx\n",
    "a name in 100,000 sections": b"Content-Type: text/plain"
    + b"".join(b";name*%d*=x" % n for n in range(100_000))
    + b"\n\nx",
    "a list of a million commas": b"From: " + b"," * 700_000 + b"\n\nx\n",
    "a list of 100,000 addresses": b"From: " + b"a@b," * 100_000 + b"\nTo: " + b"a@b," * 90_000 + b"\n\nx\n",
    "comments in comments": b"From: " + b"(" * 300_000 + b"\nTo: " + b"(" * 300_000 + b"\n\nx\n",
    "encoded words": b"From: " + b"=?utf-8?q?a=2C?=" * 45_000 + b"\n\nx\n",
    "labels": b"Subject: " + b"".join(b"=?x%d?q?a?=" % n for n in range(60_000)) + b"\n\nx\n",
    "base64 that is none": b"Content-Transfer-Encoding: base64\n\n" + b"A=!" * 4 * MIB,
    "quoted-printable that is none": b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=\n=z" * 3 * MIB,
    "empty lines": b"Subject: s\n\n" + b"\n" * 12 * MIB,
    "lines From": b"Subject: s\n\n" + b"From \n" * 2 * MIB,
    "octets that are no UTF-8": b"Subject: s\n\n" + b"\xff" * 12 * MIB,
    "octets that are no Japanese": b"Content-Type: text/html; charset=iso-2022-jp\n\n\x1b$B" + b"\xff" * 6 * MIB,
    "marks that turn text around": b"Subject: s\n\n" + "\u202e".encode() * 4 * MIB,
}
