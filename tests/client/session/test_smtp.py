from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.session.smtp import (
    MAX_REPLY_LINE,
    MAX_REPLY_LINES,
    Exchanges,
    Expects,
    ReplyError,
    ReplyReader,
    ServerReply,
    canonical,
    extensions,
    stuffed,
)

texts = st.text(alphabet=st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=20)
replies = st.builds(
    ServerReply, st.integers(200, 599), st.lists(texts, min_size=1, max_size=4).map(lambda lines: tuple(lines))
)


def octets_of(reply: ServerReply) -> bytes:
    *first, last = reply.texts
    lines = [*(f"{reply.code}-{text}" for text in first), f"{reply.code} {last}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(octets) + 1) for place in places)
    return [octets[start:end] for start, end in zip([0, *ends], [*ends, len(octets)], strict=True)]


def read_all(reader: ReplyReader) -> list[ServerReply]:
    return list(iter(reader.next_reply, None))


class TestReplies:
    @given(st.lists(replies, max_size=4), st.lists(st.integers(0, 10_000), max_size=8))
    def test_replies_are_the_same_however_their_octets_are_cut(
        self, sent: list[ServerReply], places: list[int]
    ) -> None:
        reader, received = ReplyReader(), []
        for piece in cut(b"".join(map(octets_of, sent)), places):
            reader.feed(piece)
            received += read_all(reader)
        assert received == sent
        assert reader.unfinished == ""

    def test_octets_may_come_one_at_a_time(self) -> None:
        reader, received = ReplyReader(), []
        for octet in b"250-one\r\n250-two\r\n250 three\r\n354 go\r\n":
            reader.feed(bytes([octet]))
            received += read_all(reader)
        assert received == [ServerReply(250, ("one", "two", "three")), ServerReply(354, ("go",))]

    @pytest.mark.parametrize("line", [b"250\r\n", b"250 \r\n", b"250\n"])
    def test_a_reply_needs_no_text_and_its_line_may_end_with_lf(self, line: bytes) -> None:
        reader = ReplyReader()
        reader.feed(line)
        assert read_all(reader) == [ServerReply(250, ("",))]

    @pytest.mark.parametrize(
        "octets",
        [
            b"hello\r\n",
            b"\r\n",
            b"25 ok\r\n",
            b"2500 ok\r\n",
            b"150 ok\r\n",
            b"600 ok\r\n",
            b"250_ok\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"250-one\r\n251 two\r\n",
            b"250-one\r\n\r\n",
            b"250 " + b"x" * MAX_REPLY_LINE + b"\r\n",
            b"x" * (MAX_REPLY_LINE + 1),
            b"250-x\r\n" * (MAX_REPLY_LINES + 1),
        ],
    )
    def test_what_is_no_reply_is_an_error_that_stays(self, octets: bytes) -> None:
        reader = ReplyReader()
        reader.feed(octets)
        with pytest.raises(ReplyError):
            reader.next_reply()
        reader.feed(b"250 ok\r\n")
        with pytest.raises(ReplyError):
            reader.next_reply()

    def test_whole_replies_before_an_error_are_given_first(self) -> None:
        reader = ReplyReader()
        reader.feed(b"220 hello\r\nnonsense\r\n")
        assert reader.next_reply() == ServerReply(220, ("hello",))
        with pytest.raises(ReplyError, match="nonsense"):
            reader.next_reply()

    @given(st.binary(max_size=200))
    def test_no_octets_raise_anything_but_the_error_for_replies(self, octets: bytes) -> None:
        reader = ReplyReader()
        reader.feed(octets)
        try:
            read_all(reader)
        except ReplyError:
            return
        assert len(reader.unfinished) <= 10 * len(octets)

    def test_last_words_cut_short_can_be_shown(self) -> None:
        reader = ReplyReader()
        reader.feed(b"421-bye\r\n421 and than")
        assert reader.next_reply() is None
        assert reader.unfinished == "421-bye\n421 and than"

    def test_octets_that_are_not_utf8_are_shown_by_number(self) -> None:
        reader = ReplyReader()
        reader.feed(b"250 caf\xe9\r\n")
        assert read_all(reader) == [ServerReply(250, ("caf\\xe9",))]

    def test_a_reply_reads_as_the_server_sent_it(self) -> None:
        assert str(ServerReply(250, ("one", "", "three"))) == "250-one\n250-\n250 three"
        assert str(ServerReply(250, ("",))) == "250"

    def test_extensions_are_found_in_any_letter_case(self) -> None:
        reply = ServerReply(250, ("test SIZE 9", "Size 1000", "8bitmime", "AUTH PLAIN LOGIN"))
        assert extensions(reply) == {"SIZE": "1000", "8BITMIME": "", "AUTH": "PLAIN LOGIN"}


def reply(code: int) -> ServerReply:
    return ServerReply(code, ("",))


def greeted() -> Exchanges:
    session = Exchanges()
    session.received(reply(220))
    return session


class TestSession:
    def test_the_server_speaks_first(self) -> None:
        session = Exchanges()
        assert (session.waiting, session.may_send) == (1, False)
        session.received(reply(220))
        assert (session.waiting, session.may_send, session.expects) == (0, True, Expects.COMMAND)

    def test_after_354_lines_are_message_until_a_single_dot(self) -> None:
        session = greeted()
        session.sent(b"data")
        assert session.expects is Expects.COMMAND
        session.received(reply(354))
        for line in (b"hello", b"", b"..", b". ", b"QUIT"):
            session.sent(line)
            assert (session.expects, session.waiting) == (Expects.MESSAGE, 0)
        session.sent(b".")
        assert (session.expects, session.waiting) == (Expects.COMMAND, 1)
        session.received(reply(250))
        assert session.waiting == 0

    def test_a_refused_data_is_followed_by_commands(self) -> None:
        session = greeted()
        session.sent(b"DATA")
        session.received(reply(554))
        assert session.expects is Expects.COMMAND

    def test_a_pipelined_group_is_answered_in_its_order(self) -> None:
        session = greeted()
        for line in (b"MAIL FROM:<a@b>", b"RCPT TO:<c@d>", b"DATA"):
            assert session.may_send
            session.sent(line)
        assert not session.may_send
        session.received(reply(250))
        session.received(reply(550))
        assert session.expects is Expects.COMMAND
        session.received(reply(354))
        assert (session.expects, session.waiting, session.may_send) == (Expects.MESSAGE, 0, True)

    def test_commands_may_follow_the_final_dot_at_once(self) -> None:
        session = greeted()
        session.sent(b"DATA")
        session.received(reply(354))
        session.sent(b".")
        assert session.may_send
        session.sent(b"MAIL FROM:<a@b>")
        assert session.waiting == 2

    def test_lines_sent_before_the_354_are_what_the_server_reads_them_as(self) -> None:
        session = greeted()
        for line in (b"DATA", b"hello", b".", b"NOOP"):
            session.sent(line)
        assert session.waiting == 4
        session.received(reply(354))
        assert (session.expects, session.waiting) == (Expects.COMMAND, 2)
        session.received(reply(250))
        session.received(reply(250))
        assert session.waiting == 0

    @given(st.lists(st.sampled_from([b"NOOP", b"DATA", b".", b"text"]), max_size=30), st.data())
    def test_the_client_knows_what_the_server_knows_once_all_is_answered(
        self, lines: list[bytes], data: st.DataObject
    ) -> None:
        """A server that reads the same lines in order, with replies that arrive at any later time."""
        session, under_way, in_message = greeted(), [], False
        for line in lines:
            session.sent(line)
            if in_message:
                in_message = line != b"."
                under_way += [] if in_message else [250]
            else:
                in_message = line == b"DATA"
                under_way.append(354 if in_message else 250)
            while under_way and data.draw(st.booleans()):
                session.received(reply(under_way.pop(0)))
        for code in under_way:
            session.received(reply(code))
        assert session.waiting == 0
        assert session.expects is (Expects.MESSAGE if in_message else Expects.COMMAND)

    def test_an_empty_command_is_answered_like_any_other(self) -> None:
        session = greeted()
        session.sent(b"")
        assert (session.waiting, session.may_send) == (1, True)

    def test_a_221_is_a_farewell(self) -> None:
        session = greeted()
        session.sent(b"QUIT")
        session.received(reply(221))
        assert (session.farewell, session.closing, session.may_send) == (True, True, False)

    @pytest.mark.parametrize("lines", [[], [b"NOOP"], [b"DATA"]])
    def test_a_421_closes_whenever_it_comes_and_is_no_farewell(self, lines: list[bytes]) -> None:
        session = greeted()
        for line in lines:
            session.sent(line)
        session.received(reply(421))
        assert (session.farewell, session.closing) == (False, True)

    def test_a_refused_quit_is_no_farewell(self) -> None:
        session = greeted()
        session.sent(b"QUIT now")
        session.received(reply(501))
        assert not session.closing

    def test_a_question_of_the_server_is_answered_with_one_line(self) -> None:
        session = greeted()
        session.sent(b"AUTH LOGIN")
        session.received(reply(334))
        assert session.expects is Expects.RESPONSE
        session.sent(b"c2VjcmV0")
        assert (session.expects, session.waiting) == (Expects.COMMAND, 1)


def unstuff(octets: bytes) -> bytes:
    """The receiver's side, by RFC 5321 section 4.5.2, line by line."""
    lines = octets.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]
    return b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in lines[:-2])


bodies = st.lists(st.sampled_from([b".", b"..", b"\n", b"\r", b"\r\n", b"a", b"\xff", b"\0"]), max_size=30).map(
    b"".join
)


class TestMessage:
    @given(bodies, st.lists(st.integers(0, 100), max_size=6))
    def test_canonical_text_is_the_same_however_it_is_cut(self, body: bytes, places: list[int]) -> None:
        expected = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if expected and not expected.endswith(b"\n"):
            expected += b"\n"
        assert b"".join(canonical(cut(body, places))) == expected.replace(b"\n", b"\r\n")

    @given(bodies, st.lists(st.integers(0, 100), max_size=6), st.lists(st.integers(0, 100), max_size=6))
    def test_stuffed_text_comes_out_as_it_was(self, body: bytes, places: list[int], again: list[int]) -> None:
        text = b"".join(canonical(cut(body, places)))
        assert unstuff(b"".join(stuffed(cut(text, again)))) == text

    def test_a_dot_at_the_start_of_a_line_is_doubled_and_no_other(self) -> None:
        assert b"".join(stuffed([b".a.b\r\n.\r\n..c\r\n"])) == b"..a.b\r\n..\r\n...c\r\n.\r\n"

    def test_an_empty_message_is_its_end_alone(self) -> None:
        assert b"".join(stuffed(canonical([]))) == b".\r\n"
