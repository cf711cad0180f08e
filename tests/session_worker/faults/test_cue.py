"""Failures on cue: what they do to a session. The transcripts faults_*.smtp have them as a client sees them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.in_memory import BEGIN, Caller, InMemory, MemoryStore
from session_worker.dialogue import state, steps
from session_worker.dialogue.turn import Policy
from session_worker.faults.cue import Faults
from session_worker.faults.rules import parse
from wire.messages import Connected, Injected, Lines, ReadLines, Step, StepDone
from wire.outcomes import TimedOut

TIME = int(BEGIN * 1000)
_USERS = ("ana@example.org", "maria@example.com")
_LINES = [
    b"NOOP", b"HELO a.example", b"MAIL FROM:<a@a.example>", b"RSET", b"DATA", b"VRFY ana", b"XYZ",
    b"RCPT TO:<ana+fail-451-at-data@example.org>", b"RCPT TO:<ana@example.org>",
]  # fmt: skip


def rules(text: str = "", seed: int = 0) -> Policy:
    return Policy(faults=Faults(parse(text), seed))


def server(text: str = "") -> InMemory:
    return InMemory(_USERS, rules(text))


def client(text: str = "") -> Caller:
    return server(text).connect()


def run(about: Policy, step: Step) -> StepDone:
    store = MemoryStore(_USERS)
    talk = steps.run(about, step)
    try:
        question = next(talk)
        while True:
            question = talk.send(store.answer(question) or TimedOut())
    except StopIteration as end:
        return end.value


def session(about: Policy, number: int, *lines: bytes) -> bytes:
    """The replies of a session that is the n-th of its gateway, every step of it run twice."""
    step = Step(f"9f3a-{number}", 0, TIME, b"", Connected())
    done = run(about, step)
    assert done == run(about, step)
    said = done.replies
    for line in lines:
        then = done.next.then if isinstance(done.next, Injected) else done.next
        if not isinstance(then, ReadLines):
            break
        carry = step.carry if done.carry is None else done.carry
        step = Step(step.session, step.seq + 1, TIME, done.state, Lines((line,)), carry=carry)
        done = run(about, step)
        assert done == run(about, step)
        said += done.replies
    return said


def test_a_delay_is_the_gateway_s_and_is_told_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    it = server()
    client = it.connect()
    client.say(b"HELO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<ana+delay-5s-at-data@example.org>\r\n")
    with caplog.at_level("WARNING"):
        assert client.say(b"DATA\r\n") == b""
    assert caplog.messages[-1].endswith("! injected: delay 5000 ms at data")
    it.wait(4.999)
    assert not client.said.endswith(b"354 Type the message; end it with a line that holds a single dot\r\n")
    it.wait(0.001)
    assert client.said.endswith(b"354 Type the message; end it with a line that holds a single dot\r\n")


def test_what_was_said_before_a_delayed_reply_does_not_wait_with_it() -> None:
    about = rules("at noop delay 1s")
    greeted = run(about, Step("s-1", 0, TIME, b"", Connected()))
    first = run(about, Step("s-1", 1, TIME, greeted.state, Lines((b"HELO a.example", b"NOOP", b"NOOP"))))
    assert (first.consumed, first.next) == (1, ReadLines())
    second = run(about, Step("s-1", 2, TIME, first.state, Lines((b"NOOP", b"NOOP"))))
    assert second.consumed == 1
    assert second.next == Injected(1000, "delay 1000 ms at noop", ReadLines())
    assert second.replies.startswith(b"250 2.0.0")


def test_delays_of_several_recipients_add_up_and_the_first_failure_counts() -> None:
    it = server("at data delay 1s; at data fail 451; at data fail 554")
    client = it.connect()
    client.say(b"HELO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<ana+delay-2s-at-data@example.org>\r\nDATA\r\n")
    it.wait(2.9)
    assert b"451" not in client.said
    it.wait(0.1)
    assert b"\r\n451 4.0.0 " in client.said
    assert b"554" not in client.said


def test_a_command_that_fails_on_cue_has_not_happened() -> None:
    it = client("at mail nth 1 fail 451")
    it.say(b"HELO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<ana@example.org>\r\nMAIL FROM:<>\r\n")
    replies = it.said.split(b"\r\n")
    assert [reply[:9] for reply in replies[2:5]] == [b"451 4.0.0", b"503 5.5.1", b"250 2.1.0"]


def test_a_failure_on_cue_counts_among_a_session_s_errors_as_any_5xx() -> None:
    it = InMemory(_USERS, Policy(max_errors=2, faults=Faults(parse("at noop fail 554")))).connect()
    it.say(b"NOOP\r\nNOOP\r\nNOOP\r\n")
    assert it.said.splitlines()[-1].startswith(b"421 4.7.0")
    assert it.closed


def test_of_a_large_message_that_fails_at_its_end_nothing_stays() -> None:
    for word in (b"fail-451-at-end", b"drop-at-end"):
        it = server()
        client = it.connect()
        client.say(b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<ana+" + word + b"@example.org>\r\nDATA\r\n")
        client.say(b"0123456789abcdef\r\n" * 80_000 + b".\r\n")
        assert client.closed is (word == b"drop-at-end")
        assert (it.store.staged, it.store.mailboxes) == ({}, {})


def test_rset_forgets_what_recipients_asked_for() -> None:
    it = client()
    mail = b"MAIL FROM:<>\r\nRCPT TO:<ana%s@example.org>\r\n"
    it.say(b"HELO a.example\r\n" + mail % b"+drop-at-data" + b"RSET\r\n" + mail % b"" + b"DATA\r\n")
    assert not it.closed
    assert b"\r\n354 " in it.said


def test_words_beyond_the_bound_are_recipients_like_any_other() -> None:
    it = server()
    client = it.connect()
    many = b"".join(b"RCPT TO:<delay-%dms-at-data@x.example>\r\n" % number for number in range(1, 40))
    client.say(b"HELO a.example\r\nMAIL FROM:<>\r\n" + many + b"DATA\r\n")
    assert client.said.count(b"\r\n250 2.1.5 ") == 39
    it.wait((sum(range(1, 17)) - 1) / 1000)
    assert b"\r\n354 " not in client.said
    it.wait(0.001)
    assert b"\r\n354 " in client.said


def test_a_rule_of_a_connection_is_for_that_one_alone() -> None:
    about = rules("at helo connection 2 fail 451 4.7.1 Come again")
    assert [b"451 4.7.1" in session(about, number, b"EHLO a.example") for number in (1, 2, 3)] == [False, True, False]


def test_whoever_asks_whether_mail_is_taken_is_told_so_whatever_goes_wrong_at_rcpt() -> None:
    it = client("at rcpt fail 451")
    it.say(b"HELO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n")
    assert it.said.endswith(b"250 2.1.5 Recipient <postmaster> accepted; another RCPT, or DATA.\r\n")
    it.say(b"RCPT TO:<ana@example.org>\r\n")
    assert it.said.endswith(b"451 4.0.0 Injected: fail 451 4.0.0 at rcpt\r\n")


def test_chance_is_the_same_for_the_same_seed_and_about_as_often_as_it_says() -> None:
    def failed(seed: int) -> list[bool]:
        about = rules("at noop chance 0.25 fail 451", seed)
        return [b"451 " in session(about, number, b"NOOP") for number in range(1, 401)]

    assert failed(1) == failed(1)
    assert failed(1) != failed(2)
    assert 60 <= sum(failed(1)) <= 140


@given(st.lists(st.sampled_from(_LINES), max_size=12))
def test_a_step_that_is_run_twice_gives_the_same(lines: list[bytes]) -> None:
    text = "at noop chance 0.5 fail 451; at rcpt nth 2 fail 452; at mail chance 0.3 drop; at data delay 1s"
    assert session(rules(text, 7), 5, *lines) == session(rules(text, 7), 5, *lines)


def test_counts_of_more_rules_than_there_are_now_do_no_harm() -> None:
    before = run(rules("at connect delay 1ms; at connect delay 2ms"), Step("s-1", 0, TIME, b"", Connected()))
    assert state.decode(before.state, b"").met == (1, 1)
    after = run(rules("at noop nth 1 drop"), Step("s-1", 1, TIME, before.state, Lines((b"NOOP",))))
    assert after.replies.startswith(b"250 ")
