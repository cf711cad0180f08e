"""Framing: what it gives depends on the octets alone, and a reference encoder's messages come back exactly."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import accumulate, cycle, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clients.framing import Framer
from wire.limits import BODY_PIECE, MAX_LINE, MAX_LINES, MAX_PIECE
from wire.messages import Body, Lines, ReadBody, ReadLines

BIG = 10**9


def cuts(data: bytes, at: Iterable[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(place for place in at if place < len(data))})
    return (data[begin:end] for begin, end in pairwise(edges))


def converse(
    pieces: Iterable[bytes], limit: int = BIG, most: Iterable[int] = (BODY_PIECE,)
) -> tuple[list[bytes | None], list[Body]]:
    """Play a worker that knows one word, DATA, over octets cut in some way: the lines and the message pieces.

    :param most: the sizes of pieces, one after another, and over again.
    """
    framer, lines, bodies = Framer(), [], []
    sizes = cycle(most)
    for piece in pieces:
        framer.feed(piece)
        more = True
        while (taken := framer.take(next(sizes))) is not None:
            # Who is told that there is no more does not ask.
            assert more
            if isinstance(taken, Body):
                bodies.append(taken)
                more = framer.resume(0, ReadLines() if taken.last else ReadBody(limit))
                continue
            assert 0 < len(taken.lines) <= MAX_LINES
            count = taken.lines.index(b"DATA") + 1 if b"DATA" in taken.lines else len(taken.lines)
            lines += taken.lines[:count]
            more = framer.resume(count, ReadBody(limit) if b"DATA" in taken.lines else ReadLines())
    return lines, bodies


def test_after_the_last_line_at_hand_there_is_no_more() -> None:
    framer = Framer()
    framer.feed(b"NOOP\r\nDATA\r\n")
    framer.take()
    assert framer.resume(1, ReadLines())
    framer.take()
    assert not framer.resume(1, ReadBody(BIG))
    framer.feed(b".\r\n")
    framer.take()
    assert not framer.resume(0, ReadLines())


def stuffed(content: bytes, eol: bytes) -> bytes:
    """The reference encoder (RFC 5321 section 4.5.2); `content` ends with its line end or is empty."""
    lines = content.split(eol)
    assert lines.pop() == b""
    return b"".join((b"." if line.startswith(b".") else b"") + line + eol for line in lines) + b"." + eol


def message(data: bytes, eol: bytes = b"\r\n", limit: int = BIG) -> tuple[list[Body], Framer]:
    """Frame a message alone, up to its end; the framer may hold what came after."""
    framer = Framer()
    framer.feed(b"DATA" + eol)
    assert framer.take() == Lines((b"DATA",))
    framer.resume(1, ReadBody(limit))
    framer.feed(data)
    bodies = []
    while (piece := framer.take()) is not None:
        assert isinstance(piece, Body)
        bodies.append(piece)
        framer.resume(0, ReadLines() if piece.last else ReadBody(limit))
        if piece.last:
            break
    return bodies, framer


# ---------------------------------------------------------------- command lines


def test_complete_lines_are_given_without_their_ends_and_an_incomplete_one_waits() -> None:
    framer = Framer()
    framer.feed(b"HELO a\r\nNOOP\r\nQU")
    assert framer.take() == Lines((b"HELO a", b"NOOP"))
    framer.resume(2, ReadLines())
    assert framer.take() is None
    framer.feed(b"IT\r\n")
    assert framer.take() == Lines((b"QUIT",))


def test_lines_not_consumed_come_again() -> None:
    framer = Framer()
    framer.feed(b"a\nb\nc\n")
    assert framer.take() == Lines((b"a", b"b", b"c"))
    framer.resume(1, ReadLines())
    assert framer.take() == Lines((b"b", b"c"))
    assert framer.take() == Lines((b"b", b"c"))


def test_a_step_has_at_most_the_contracts_number_of_lines() -> None:
    framer = Framer()
    framer.feed(b"NOOP\r\n" * (MAX_LINES + 1))
    assert framer.take() == Lines((b"NOOP",) * MAX_LINES)
    framer.resume(MAX_LINES, ReadLines())
    assert framer.take() == Lines((b"NOOP",))


@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
def test_a_line_is_too_long_when_it_is_over_the_limit_with_its_end(eol: bytes) -> None:
    fits = b"x" * (MAX_LINE - len(eol))
    lines, _ = converse([fits + eol + fits + b"x" + eol + b"NOOP" + eol])
    assert lines == [fits, None, b"NOOP"]


def test_an_endless_line_costs_no_memory_and_the_next_line_is_read() -> None:
    framer = Framer()
    for _ in range(100):
        framer.feed(b"x" * 10_000)
        assert framer.take() is None
        assert framer.held < MAX_LINE
    framer.feed(b"\r\nNOOP\r\n")
    assert framer.take() == Lines((None, b"NOOP"))


def test_an_endless_line_is_bounded_while_a_step_without_lines_is_under_way() -> None:
    framer = Framer()
    for _ in range(100):
        framer.feed(b"x" * 10_000)
    assert framer.held < MAX_LINE


def test_a_line_too_long_behind_lines_under_way_is_kept_because_it_may_be_message_text() -> None:
    framer = Framer()
    framer.feed(b"DATA\r\n")
    assert framer.take() == Lines((b"DATA",))
    framer.feed(b"x" * 5000)
    framer.feed(b"\r\n.\r\n")
    framer.resume(1, ReadBody(BIG))
    assert framer.take() == Body(b"x" * 5000 + b"\n", 0, last=True)


def test_a_line_too_long_behind_consumed_lines_is_bounded_again() -> None:
    framer = Framer()
    framer.feed(b"NOOP\r\n" + b"x" * 5000)
    assert framer.take() == Lines((b"NOOP",))
    framer.resume(1, ReadLines())
    assert framer.held < MAX_LINE
    framer.feed(b"\r\n")
    assert framer.take() == Lines((None,))


def test_a_bare_carriage_return_never_ends_a_line() -> None:
    lines, _ = converse([b"HELO a\rNOOP\r\n"])
    assert lines == [b"HELO a\rNOOP"]


def test_a_session_of_one_line_end_tolerates_the_other_on_a_command_line() -> None:
    assert converse([b"a\r\nb\nc\r\n"])[0] == [b"a", b"b", b"c"]
    assert converse([b"a\nb\r\nc\n"])[0] == [b"a", b"b", b"c"]


# ---------------------------------------------------------------- messages


@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
def test_a_message_may_be_the_end_of_data_alone(eol: bytes) -> None:
    bodies, _ = message(b"." + eol, eol)
    assert bodies == [Body(b"", 0, last=True)]


@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
def test_dots_are_unstuffed_and_only_a_dot_alone_ends_the_message(eol: bytes) -> None:
    sent = b"..\r\n....\r\n.x\r\na.\r\n \r\n.\r\n".replace(b"\r\n", eol)
    bodies, _ = message(sent, eol)
    assert bodies == [Body(b".\n...\nx\na.\n \n", 0, last=True)]


@pytest.mark.parametrize(
    "false_end",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r", b"\r.\r\n", b"\r\r\n.\rx", b"\r\n.\r\r\n"],
)
def test_in_a_crlf_session_only_crlf_dot_crlf_ends_a_message(false_end: bytes) -> None:
    bodies, framer = message(b"a" + false_end + b"MAIL FROM:<b@c>\r\n.\r\nNOOP\r\n")
    assert len(bodies) == 1
    assert bodies[0].last
    assert bodies[0].bare
    assert b"MAIL FROM" in bodies[0].data
    assert framer.take() == Lines((b"NOOP",))


@pytest.mark.parametrize("false_end", [b"\n.\r\n", b"\r.\r", b"\n.\r", b"\r.\n", b"\r.\r\n", b"\r\n.\r\r\n"])
@pytest.mark.parametrize("end", [b"\n.\n", b"\r\n.\r\n", b"\r\n.\n"])
def test_in_an_lf_session_only_lf_dot_lf_and_crlf_dot_crlf_end_a_message(false_end: bytes, end: bytes) -> None:
    bodies, framer = message(b"a" + false_end + b"b" + end + b"NOOP\n", b"\n")
    assert [(body.last, body.data[-2:]) for body in bodies] == [(True, b"b\n")]
    assert framer.take() == Lines((b"NOOP",))


@pytest.mark.parametrize("before", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b".\n", b""),
        (b".\r\n", b""),
        (b"Subject: x\r\n\r\nmoved\r\n.\r\n", b"Subject: x\n\nmoved\n"),
        (b"a\r\nb\nc\r\n.\n", b"a\nb\nc\n"),
        (b"..a\r\n...\r\nb\n..c\n.d\r\n.\r\n", b".a\n..\nb\n.c\nd\n"),
    ],
)
def test_after_a_first_line_of_lf_all_that_follows_may_end_in_crlf(before: bytes, sent: bytes, stored: bytes) -> None:
    lines, bodies = converse([b"HELO a\nDATA" + before + sent + b"QUIT\r\n"])
    assert (lines, bodies) == ([b"HELO a", b"DATA", b"QUIT"], [Body(stored, 0, last=True)])


def test_the_first_command_locks_the_line_end_of_messages() -> None:
    framer = Framer()
    framer.feed(b"HELO a\r\nDATA\n")
    framer.take()
    framer.resume(2, ReadBody(BIG))
    framer.feed(b"text\n.\n")
    assert framer.take() is None
    framer.feed(b"\r\n.\r\n")
    assert framer.take() == Body(b"text\n.\n\n", 0, last=True, bare=True)


def test_bare_is_not_set_by_an_ordinary_message_and_stays_set_over_its_pieces() -> None:
    bodies, _ = message(b"a\r\nb\r\n.\r\n")
    assert not bodies[0].bare
    line = b"x" * 98 + b"\r\n"
    bodies, _ = message(b"a\nb\r\n" + line * 6000 + b".\r\n")
    assert len(bodies) == 3
    assert all(piece.bare for piece in bodies)


def test_a_large_message_comes_in_pieces_with_their_offsets() -> None:
    text = b"".join(b"%07d\r\n" % number for number in range(200_000))
    bodies, _ = message(text + b".\r\n")
    assert [piece.last for piece in bodies] == [False] * (len(bodies) - 1) + [True]
    assert all(len(piece.data) <= MAX_PIECE for piece in bodies)
    assert b"".join(piece.data for piece in bodies) == text.replace(b"\r\n", b"\n")
    assert [piece.offset for piece in bodies] == [
        sum(len(before.data) for before in bodies[:index]) for index in range(len(bodies))
    ]


@pytest.mark.parametrize("shift", range(12))
def test_an_end_of_data_across_the_cut_of_a_piece_is_seen(shift: int) -> None:
    content = b"x" * (BODY_PIECE - shift) + b"\r\n"
    for stuffing in (b"", b"..y\r\n", b".z\r\n"):
        bodies, framer = message(content + stuffing + b".\r\nNOOP\r\n")
        expected = (content + stuffing.removeprefix(b".")).replace(b"\r\n", b"\n")
        assert b"".join(piece.data for piece in bodies) == expected
        assert not bodies[-1].bare
        assert framer.take() == Lines((b"NOOP",))


# ---------------------------------------------------------------- the limit


@pytest.mark.parametrize(("eol", "size"), [(b"\r\n", 7), (b"\n", 5)])
def test_the_limit_counts_content_as_sent_and_without_stuffing(eol: bytes, size: int) -> None:
    sent = b"..a" + eol + b"b" + eol + b"." + eol
    assert message(sent, eol, limit=size)[0] == [Body(b".a\nb\n", 0, last=True)]
    assert message(sent, eol, limit=size - 1)[0] == [Body(b"", 0, last=True, too_big=True)]


def test_a_message_over_the_limit_is_read_to_its_true_end_and_the_rest_of_the_session_is_kept() -> None:
    line = b"x" * 98 + b"\r\n"
    bodies, framer = message(line * 10_000 + b".\r\nNOOP\r\n", limit=400_000)
    assert [(piece.last, piece.too_big) for piece in bodies] == [(False, False), (True, True)]
    assert bodies[-1].data == b""
    assert bodies[-1].offset == len(bodies[0].data)
    assert framer.take() == Lines((b"NOOP",))


def test_memory_is_bounded_while_a_message_is_dropped() -> None:
    framer = Framer()
    framer.feed(b"DATA\r\n")
    framer.take()
    framer.resume(1, ReadBody(10))
    for _ in range(200):
        framer.feed(b"x" * 10_000)
        assert framer.take() is None
        assert framer.held < BODY_PIECE
    framer.feed(b"\r\n.\r\n")
    assert framer.take() == Body(b"", 0, last=True, too_big=True)


def test_a_later_read_body_can_lower_the_limit_and_cannot_raise_it() -> None:
    text = b"x" * BODY_PIECE * 3 + b"\r\n.\r\n"
    for second, expected in ((0, True), (BIG, False)):
        framer = Framer()
        framer.feed(b"DATA\r\n")
        framer.take()
        framer.resume(1, ReadBody(len(text)))
        framer.feed(text)
        framer.take()
        framer.resume(0, ReadBody(second))
        while (piece := framer.take()) is not None:
            assert isinstance(piece, Body)
            framer.resume(0, ReadLines() if piece.last else ReadBody(BIG))
            last = piece
        assert last.too_big is expected
    bodies, _ = message(text, limit=BODY_PIECE * 2)
    assert bodies[-1].too_big


# ---------------------------------------------------------------- properties


# Sessions made of what makes a difference: line ends, their parts, dots, the word that begins a message, and text.
@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"x", b"\r\n", b"\n.", b"\r\n."]), max_size=40).map(b"".join),
    st.sampled_from([b"\r\n", b"\n"]),
    st.lists(st.integers(6, 40), min_size=1, max_size=5),
    st.lists(st.integers(0, 200)),
)
def test_a_message_ends_at_the_first_end_of_its_session_and_nowhere_else(
    text: bytes, eol: bytes, most: list[int], at: list[int]
) -> None:
    """The ends as RFC 5321 section 4.1.1.4 and the module's table have them, looked for in all octets at once."""
    data = text + b"\r\n.\r\n"
    ends = {b"\r\n": (b"\r\n.\r\n",), b"\n": (b"\r\n.\r\n", b"\n.\n")}[eol]
    seen = b"\r\n" + data
    place, end = min((found, len(end)) for end in ends if (found := seen.find(end)) >= 0)
    framer = Framer()
    framer.feed(b"HELO" + eol)
    framer.take()
    framer.resume(1, ReadBody(BIG))
    content, sizes = b"", cycle(most)
    for piece in cuts(data + b"\x00" * max(most), at):
        framer.feed(piece)
        while framer._body is not None and isinstance(given := framer.take(next(sizes)), Body):
            content += given.data
            framer.resume(0, ReadLines() if given.last else ReadBody(BIG))
    assert framer._body is None
    assert bytes(framer._buffer) == seen[place + end :] + b"\x00" * max(most)
    expected = seen[: place + len(b"\r\n" if end == 5 else b"\n")].replace(eol + b".", eol)[2:]
    assert content == expected.replace(b"\r\n", b"\n")


_parts = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b".", b"DATA\r\n", b"DATA\n", b"x", b"\r\n.\r\n", b"\n.\n", b"y" * 2100]
)
sessions = st.builds(
    lambda first, parts: first + b"".join(parts),
    st.sampled_from([b"HELO\r\n", b"HELO\n", b"", b"DATA\r\n", b"DATA\n"]),
    st.lists(_parts, max_size=30),
)


@settings(deadline=None)
@given(sessions, st.lists(st.integers(0, 5000)), st.sampled_from([BIG, 0, 5, 4000]))
def test_what_is_framed_does_not_depend_on_how_the_octets_are_cut(data: bytes, at: list[int], limit: int) -> None:
    whole = converse([data], limit)
    assert converse(cuts(data, at), limit) == whole
    assert converse(cuts(data, range(len(data))), limit) == whole


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="ab.\r é", max_size=6).map(lambda text: text.encode()), max_size=20),
    st.sampled_from([b"\r\n", b"\n"]),
    st.lists(st.integers(0, 200)),
)
def test_what_the_reference_encoder_made_is_decoded_exactly(lines: list[bytes], eol: bytes, at: list[int]) -> None:
    if eol == b"\n":
        lines = [line.rstrip(b"\r") for line in lines]  # there a CR before the LF is of the line's end
    content = b"".join(line + eol for line in lines)
    framed, bodies = converse(cuts(b"DATA" + eol + stuffed(content, eol) + b"NOOP" + eol, at))
    assert b"".join(piece.data for piece in bodies) == content.replace(eol, b"\n")
    assert framed == [b"DATA", b"NOOP"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 90_000), st.sampled_from([b"\r\n", b"\r\n.", b"\r", b"\n"])), max_size=12))
def test_a_message_of_many_pieces_is_cut_alike_whatever_the_reads(parts: list[tuple[int, bytes]]) -> None:
    data = b"DATA\r\n" + b"".join(b"x" * size + end for size, end in parts) + b"\r\n.\r\n"
    assert converse(cuts(data, range(0, len(data), 1399))) == converse([data])


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"x" * 9, b"\r\n", b"\r\n.", b"\r\n..", b"\r", b"\n", b"."]), max_size=40),
    st.lists(st.integers(10, 40), min_size=1, max_size=5),
    st.lists(st.integers(0, 200)),
    st.sampled_from([BIG, 0, 20]),
)
def test_the_size_of_pieces_changes_nothing_of_the_message(
    parts: list[bytes], most: list[int], at: list[int], limit: int
) -> None:
    data = b"DATA\r\n" + b"".join(parts) + b"\r\n.\r\nNOOP\r\n"
    lines, whole = converse([data], limit)
    again, cut = converse(cuts(data, at), limit, most)
    assert again == lines
    assert all(len(piece.data) <= max(most) for piece in cut)
    assert [piece.offset for piece in cut] == list(accumulate((len(piece.data) for piece in cut), initial=0))[:-1]
    assert (cut[-1].last, cut[-1].too_big) == (True, whole[-1].too_big)
    if not whole[-1].too_big:
        assert b"".join(piece.data for piece in cut) == b"".join(piece.data for piece in whole)
        assert cut[-1].bare == whole[-1].bare


def test_time_is_linear_in_the_octets_however_they_are_cut() -> None:
    """Quadratic searching would look at 1.5e10 octets here."""
    data = b"DATA\r\n" + b"x" * (BODY_PIECE - 100) + b"\r\n.\r\n"
    begun = time.process_time()
    converse(cuts(data, range(len(data))))
    # And so it would where it looked for both ends of an LF session to the end of what is at hand.
    converse([b"HELO\n" + b"DATA\n.\r\n" * 20_000])
    assert time.process_time() - begun < 5
