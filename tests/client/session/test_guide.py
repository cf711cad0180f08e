"""What the guide adds to a session, explanations taken out of replies and said in words among it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.language import Language, Phrase
from client.session.connection import ConnectionLost
from client.session.guide import NOT_DELIVERED, Explanation, Guide, in_words, taken_apart
from client.session.smtp import GREETING, Expects, ServerReply
from client.session.transcript import TranscriptWriter
from client.terminal import Paint

_LOST = ConnectionLost(Phrase("The server closed the connection", "O servidor encerrou a conexão"))
_HI = ServerReply(220, ("mail.example.com hi",))
_EXPLAINED = ServerReply(250, ("2.0.0 ok", "2.0.0 XEXPLAIN worker 1@h step 2", "2.0.0 XEXPLAIN errors: 0 -> 1"))


def exchange(guide: Guide, line: bytes, reply: ServerReply, expects: Expects = Expects.COMMAND) -> str:
    guide.said(line, expects)
    return guide.heard(line, reply, 0.002)


def test_by_itself_it_shows_what_the_server_said_and_nothing_else() -> None:
    guide = Guide()
    assert guide.asks() is None
    assert guide.heard(GREETING, _HI, 0) == "220 mail.example.com hi"
    assert exchange(guide, b"x", ServerReply(500, ("5.5.2 what?", "no"))) == "500-5.5.2 what?\n500 no"
    assert exchange(guide, b"NOOP", _EXPLAINED) == str(_EXPLAINED)
    assert guide.lost(_LOST) == "(The server closed the connection)"


def test_a_hint_stands_below_the_reply_in_the_language_asked_for() -> None:
    guide = Guide(Language.PORTUGUESE, hints=True)
    guide.heard(GREETING, _HI, 0)
    shown = exchange(guide, b"MAIL FROM:<a@b>", ServerReply(503, ("5.5.1 no",)))
    assert shown == "503 5.5.1 no\n  dica: cumprimente antes: HELO example.org ou EHLO host.example.org"


def test_what_a_server_says_cannot_act_on_the_terminal_in_colour_either() -> None:
    guide = Guide(paint=Paint(True), hints=True, explain=True)
    texts = ("\x1b[2Jok", "XEXPLAIN worker \x1b]0;x step 1", "XEXPLAIN \x1b[1m: a -> \x1b[2m")
    shown = exchange(guide, b"HELO \x1b[3m", ServerReply(250, texts))
    allowed = ("\x1b[1;32m", "\x1b[36m", "\x1b[33m", "\x1b[0m")
    for sequence in allowed:
        shown = shown.replace(sequence, "")
    assert "\x1b" not in shown


def test_an_explained_line_has_its_worker_its_changes_and_its_time() -> None:
    guide = Guide(explain=True)
    assert guide.asks() == b"XEXPLAIN ON"
    assert exchange(guide, b"XEXPLAIN ON", _EXPLAINED) == ""
    assert exchange(guide, b"NOOP", _EXPLAINED) == "250 2.0.0 ok\n  = worker 1@h, step 2, 2.0 ms\n    errors: 0 -> 1"


def test_a_server_that_does_not_explain_is_noted_once_and_times_are_shown() -> None:
    guide = Guide(Language.PORTUGUESE, explain=True, hints=True)
    guide.asks()
    noted = exchange(guide, b"XEXPLAIN ON", ServerReply(502, ("5.5.1 no",)))
    assert noted.startswith("(Este servidor não explica")
    assert exchange(guide, b"NOOP", ServerReply(250, ("ok",))) == "250 ok\n  = 2,0 ms"


def test_who_asks_for_explanations_by_hand_sees_them_as_they_come() -> None:
    guide = Guide()
    assert exchange(guide, b"XEXPLAIN ON", _EXPLAINED) == str(_EXPLAINED)


def test_a_farewell_instead_of_explanations_is_shown() -> None:
    guide = Guide(explain=True)
    guide.asks()
    assert exchange(guide, b"XEXPLAIN ON", ServerReply(421, ("4.3.2 bye",))).startswith("421 4.3.2 bye")


def test_the_record_has_neither_hints_nor_explanations(tmp_path: Path) -> None:
    path = tmp_path / "session.smtp"
    transcript = TranscriptWriter(path, "s")
    guide = Guide(Language.PORTUGUESE, Paint(True), hints=True, explain=True, transcript=transcript)
    guide.heard(GREETING, _HI, 0)
    guide.asks()
    exchange(guide, b"XEXPLAIN ON", _EXPLAINED)
    exchange(guide, b"XYZ", ServerReply(500, ("5.5.2 what?", "5.5.2 XEXPLAIN worker 1@h step 2")))
    guide.over(closed=False)
    transcript.close()
    assert path.read_text().splitlines()[1:] == [
        "S: 220 mail.example.com hi",
        "C: XYZ",
        "S: 500 5.5.2 what?",
        "C: (leaves)",
    ]


def test_a_record_that_cannot_be_written_any_more_is_told_once(tmp_path: Path) -> None:
    transcript = TranscriptWriter(tmp_path / "session.smtp", "s")
    guide = Guide(transcript=transcript)
    transcript.trouble = "No space left on device"
    transcript.close()
    assert "(The session is not saved any more: No space left on device)" in exchange(guide, b"NOOP", _HI)
    assert exchange(guide, b"NOOP", _HI) == str(_HI)


@pytest.mark.parametrize(
    ("language", "statuses"),
    [
        (
            Language.ENGLISH,
            ["connected, not greeted yet", "greeted as gmail.com | next: MAIL FROM:<you@gmail.com>", "a single dot"],
        ),
        (
            Language.PORTUGUESE,
            ["falta cumprimentar", "cumprimentado como gmail.com | agora: MAIL FROM:<you@gmail.com>", "um ponto"],
        ),
    ],
)
def test_the_status_line_says_where_one_stands(language: Language, statuses: list[str]) -> None:
    guide = Guide(language)
    guide.heard(GREETING, _HI, 0)
    seen = [guide.status(Expects.COMMAND)]
    exchange(guide, b"HELO gmail.com", ServerReply(250, ("hi",)))
    seen += [guide.status(Expects.COMMAND), guide.status(Expects.MESSAGE)]
    assert all(part in status for part, status in zip(statuses, seen, strict=True))


def test_the_status_line_stays_short_whatever_the_names_are() -> None:
    guide = Guide()
    exchange(guide, b"HELO " + b"x." * 127 + b"x", ServerReply(250, ("hi",)))
    exchange(guide, b"MAIL FROM:<" + b"y" * 300 + b"@z>", ServerReply(250, ("ok",)))
    assert len(guide.status(Expects.COMMAND)) < 160


def test_notes_speak_the_language() -> None:
    assert Guide(Language.PORTUGUESE).note(NOT_DELIVERED).startswith("(A mensagem")
    assert Guide(Language.PORTUGUESE).lost(_LOST) == "(O servidor encerrou a conexão)"


_WHO = "XEXPLAIN worker 4711@host step 3"


@pytest.mark.parametrize("enhanced", ["2.1.0 ", ""])
def test_an_explanation_is_taken_out_of_its_reply(enhanced: str) -> None:
    lines = ("ok", _WHO, "XEXPLAIN phase: greeted -> sender", "XEXPLAIN sender: (none) -> <a@b>")
    reply, explanation = taken_apart(ServerReply(250, tuple(enhanced + line for line in lines)))
    assert reply == ServerReply(250, (f"{enhanced}ok",))
    assert explanation == Explanation(
        "4711@host", "3", (("phase", "greeted", "sender"), ("sender", "(none)", "<a@b>"))
    )


def test_the_keyword_in_ehlo_s_reply_is_no_explanation() -> None:
    offer = ServerReply(250, ("host", "XEXPLAIN", "HELP"))
    assert taken_apart(offer) == (offer, None)
    reply, explanation = taken_apart(ServerReply(250, (*offer.texts, _WHO)))
    assert reply == offer
    assert explanation == Explanation("4711@host", "3", ())


@given(st.lists(st.text(max_size=20) | st.just(_WHO), min_size=1, max_size=4))
def test_a_reply_keeps_its_first_line_whatever_the_server_says(texts: list[str]) -> None:
    reply, explanation = taken_apart(ServerReply(250, tuple(texts)))
    assert reply.texts == tuple(texts[: len(reply.texts)])
    assert reply.texts
    assert (explanation is None) is (len(reply.texts) == len(texts))


def test_it_is_told_in_both_languages() -> None:
    explanation = Explanation("4711@host", "3", (("phase", "greeted", "sender"), ("hello", "(none)", "HELO message")))
    assert in_words(explanation, 0.00123, Language.ENGLISH) == [
        "worker 4711@host, step 3, 1.2 ms",
        "phase: greeted -> sender",
        "greeting: (none) -> HELO message",
    ]
    assert in_words(explanation, 0.00123, Language.PORTUGUESE) == [
        "worker 4711@host, passo 3, 1,2 ms",
        "fase: cumprimentado -> remetente",
        "saudação: (nada) -> HELO message",
    ]


def test_a_line_that_changed_nothing_says_so() -> None:
    assert in_words(Explanation("w", "1", ()), 0, Language.ENGLISH)[1:] == ["the session stays as it was"]


def test_without_an_explanation_there_is_the_time() -> None:
    assert in_words(None, 0.5, Language.PORTUGUESE) == ["500,0 ms"]


def test_a_field_of_a_newer_server_is_told_by_its_own_name() -> None:
    assert in_words(Explanation("w", "1", (("colour", "a", "b"),)), 0, Language.PORTUGUESE)[1] == "colour: a -> b"
