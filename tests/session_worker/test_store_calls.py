"""Open questions to the store: repeats, restarts, giving up. And what is known: never for longer than it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_worker.store_calls import Lookups, StoreCalls
from wire.messages import Ask, Check, Deliver, Discard, Lookup, Question
from wire.outcomes import (
    Delivered,
    Discarded,
    Failed,
    Found,
    NoSuchUser,
    NotOurDomain,
    Outcome,
    TimedOut,
    Unwritable,
    Writable,
)  # fmt: skip

_QUESTION = Discard("s-1.1")
_WALL = 1_795_417_555_000


def _calls(limit: float = 30) -> StoreCalls[str]:
    return StoreCalls(limit)


def test_a_question_gets_a_number_of_its_own_and_its_answer_the_asker_and_its_time() -> None:
    calls = _calls()
    first, second = calls.ask(_QUESTION, "a", 0, _WALL, _WALL), calls.ask(_QUESTION, "b", 2.5, _WALL, _WALL)
    assert first.request != second.request
    assert calls.answered(second.request) == (_QUESTION, "b", 2.5)
    assert calls.answered(first.request) == (_QUESTION, "a", 0)
    assert len(calls) == 0


def test_the_store_stops_to_act_some_seconds_before_the_worker_gives_up() -> None:
    assert _calls(30).ask(_QUESTION, "a", 0, _WALL, _WALL).deadline == _WALL + 25_000
    assert _calls(1).ask(_QUESTION, "a", 0, _WALL, _WALL).deadline == _WALL + 750


def test_the_store_does_not_act_for_a_worker_that_was_asleep_and_is_believed_lost() -> None:
    # Another one has the step since, and says 4xx 30 s after that at the earliest.
    for asleep in (5_000, 5_001, 29_000, 100_000):
        assert _calls(30).ask(_QUESTION, "a", 0, _WALL + asleep, _WALL).deadline == _WALL + 30_000
    assert _calls(30).ask(_QUESTION, "a", 0, _WALL + 4_999, _WALL).deadline == _WALL + 29_999


def test_a_second_answer_is_counted_and_belongs_to_nobody() -> None:
    calls = _calls()
    ask = calls.ask(_QUESTION, "a", 0, _WALL, _WALL)
    calls.answered(ask.request)
    assert calls.answered(ask.request) is None
    assert calls.unexpected == 1


def test_a_store_that_is_slow_is_asked_once() -> None:
    calls = _calls()
    calls.on_pong("one", calls.mark())
    before = calls.mark()
    calls.ask(_QUESTION, "a", 0, _WALL, _WALL)
    for _ in range(100):
        assert calls.on_pong("one", before) == [], "it has not come to the question yet"


def test_a_question_that_the_store_must_have_answered_was_lost_and_is_asked_again() -> None:
    calls = _calls()
    calls.on_pong("one", calls.mark())
    lost, answered = calls.ask(_QUESTION, "a", 0, _WALL, _WALL), calls.ask(_QUESTION, "b", 0, _WALL, _WALL)
    behind = calls.mark()
    later = calls.ask(_QUESTION, "c", 0, _WALL, _WALL)
    calls.answered(answered.request)
    assert calls.on_pong("one", behind) == [lost]
    assert calls.on_pong("one", behind) == [], "it is asked again, behind that Ping"
    assert calls.on_pong("one", calls.mark()) == [lost, later]


def test_a_new_instance_of_the_store_is_asked_everything_again_at_once() -> None:
    calls = _calls()
    calls.on_pong("one", 0)
    asks = [calls.ask(_QUESTION, "a", 0, _WALL, _WALL), calls.ask(_QUESTION, "b", 0, _WALL, _WALL)]
    assert calls.on_pong("one", 0) == []
    assert calls.on_pong("two", 0) == asks
    assert calls.on_pong("two", 0) == []


def test_a_worker_gives_up_when_the_time_is_over() -> None:
    calls = _calls(10)
    early = calls.ask(_QUESTION, "a", 0, _WALL, _WALL)
    calls.ask(_QUESTION, "b", 1, _WALL, _WALL)
    assert calls.give_up(9.9) == []
    assert calls.give_up(10) == [(_QUESTION, "a")]
    assert calls.answered(early.request) is None
    assert calls.give_up(11) == [(_QUESTION, "b")]


@given(st.lists(st.sampled_from(["ask", "answer", "repeats", "restart", "give up"])), st.data())
def test_every_question_ends_exactly_once(events: list[str], data: st.DataObject) -> None:
    calls, now, ended, asked = _calls(10), 0.0, [], []
    open_asks: dict[int, Ask] = {}
    for event in [*events, "end"]:
        now += data.draw(st.floats(0, 4))
        if event == "ask":
            ask = calls.ask(_QUESTION, str(len(asked)), now, _WALL, _WALL)
            asked.append(str(len(asked)))
            open_asks[ask.request] = ask
        elif event == "answer" and open_asks:
            closed = calls.answered(data.draw(st.sampled_from(sorted(open_asks))))
            ended += [closed[1]] if closed else []
        elif event == "restart":
            calls.on_pong(str(now), 0)
        elif event == "repeats":
            assert all(open_asks[ask.request] is ask for ask in calls.on_pong(calls._instance, calls.mark()))
        ended += [asker for _, asker in calls.give_up(now + 10 if event == "end" else now)]
    assert sorted(ended) == sorted(asked)
    assert len(calls) == 0


# ---------------------------------------------------------------- what is known

_MARIA, _JOAO = Lookup("maria", "example.com"), Lookup("joao", "example.com")
_BOTH = Check(("maria@example.com", "joao@example.com"))
_FOUND = Found("maria@example.com", holds=300, writable_for=250)


def _known(*learned: tuple[Question, Outcome, float]) -> Lookups:
    lookups = Lookups()
    for question, outcome, asked in learned:
        lookups.learn(question, outcome, asked)
    return lookups


def test_an_address_that_was_found_is_known_as_long_as_the_store_said_less_what_has_passed() -> None:
    lookups = _known((_MARIA, _FOUND, 10.0))
    assert lookups.recall(_MARIA, 10.0) == Found("maria@example.com", holds=300)
    assert lookups.recall(_MARIA, 10.125) == Found("maria@example.com", holds=175)
    assert lookups.recall(_MARIA, 10.3) is None
    assert lookups.recall(_JOAO, 10.0) is None


def test_mailboxes_can_be_written_as_long_as_that_is_known_of_each_of_them() -> None:
    lookups = _known((_MARIA, _FOUND, 10.0))
    assert lookups.recall(_BOTH, 10.0) is None
    lookups.learn(Check(("joao@example.com",)), Writable(holds=250), 10.125)
    assert lookups.recall(_BOTH, 10.125) == Writable(holds=125)
    assert lookups.recall(_BOTH, 10.25) is None


@pytest.mark.parametrize(
    ("question", "outcome"),
    [
        (Lookup("postmaster", ""), Found("maria@example.com")),
        (_MARIA, NoSuchUser()),
        (_MARIA, NotOurDomain()),
        (_MARIA, Failed("trouble", "")),
        (_MARIA, TimedOut()),
        (_BOTH, Writable()),
        (_BOTH, Unwritable("maria@example.com", "read-only")),
        (Deliver("s.1", 0, "", ("maria@example.com",), b"", 0, b""), Delivered(False)),
        (_QUESTION, Discarded()),
    ],
)
def test_nothing_else_is_known(question: Question, outcome: Outcome) -> None:
    assert _known((question, outcome, 10.0)).recall(question, 10.0) is None


@pytest.mark.parametrize("outcome", [NoSuchUser(), Failed("trouble", ""), Found("maria@example.com")])
def test_what_was_known_of_an_address_is_not_when_the_store_says_something_else(outcome: Outcome) -> None:
    assert _known((_MARIA, _FOUND, 10.0), (_MARIA, outcome, 10.0)).recall(_MARIA, 10.0) is None


def test_what_was_known_of_mailboxes_is_not_when_the_store_says_something_else() -> None:
    refused = _known((_BOTH, Writable(holds=250), 10.0), (_BOTH, Unwritable("maria@example.com", "read-only"), 10.0))
    assert refused.recall(_BOTH, 10.0) is None
    found = _known((_BOTH, Writable(holds=250), 10.0), (_MARIA, Found("maria@example.com", holds=300), 10.0))
    assert found.recall(_BOTH, 10.0) is None
    assert found.recall(Check(("joao@example.com",)), 10.0) is not None


class _Truth:
    """A store whose users and permissions change; it remembers what was true when."""

    def __init__(self) -> None:
        self.mailbox: dict[Lookup, str] = {_MARIA: "maria@example.com", _JOAO: "joao@example.com"}
        self.writable = {"maria@example.com", "joao@example.com"}
        self.were: list[tuple[float, dict[Lookup, str], set[str]]] = [(0.0, dict(self.mailbox), set(self.writable))]

    def change(self, now: float, address: Lookup, mailbox: str, unwritable: str) -> None:
        self.mailbox[address] = mailbox
        self.writable = {"maria@example.com", "joao@example.com"} - {unwritable}
        self.were.append((now, dict(self.mailbox), set(self.writable)))

    def answer(self, question: Question) -> Outcome:
        if isinstance(question, Lookup):
            mailbox = self.mailbox[question]
            return (
                Found(mailbox, holds=300, writable_for=250 * (mailbox in self.writable)) if mailbox else NoSuchUser()
            )
        assert isinstance(question, Check)
        bad = [each for each in question.mailboxes if each not in self.writable]
        return Unwritable(bad[0], "") if bad else Writable(holds=250)

    def was_true(self, question: Question, outcome: Outcome, since: float, now: float) -> bool:
        """Was it, at any time from `since` to `now`?"""
        during = [
            (mailbox, writable)
            for (begin, mailbox, writable), end in zip(
                self.were, [*(each[0] for each in self.were[1:]), now], strict=True
            )
            if end >= since and begin <= now
        ]
        if isinstance(question, Lookup):
            assert isinstance(outcome, Found)
            return any(mailbox[question] == outcome.mailbox for mailbox, _ in during)
        assert isinstance(question, Check)
        return all(any(each in writable for _, writable in during) for each in question.mailboxes)


@given(st.data())
def test_nothing_that_is_recalled_is_wrong_for_longer_than_it_holds(data: st.DataObject) -> None:
    """The list of users changes, mailboxes become read-only, answers come late; time passes as it likes."""
    lookups, truth, now = Lookups(), _Truth(), 0.0
    under_way: list[tuple[Question, Outcome, float]] = []
    questions = st.sampled_from([_MARIA, _JOAO, _BOTH, Check(("joao@example.com",))])
    for _ in range(data.draw(st.integers(1, 25))):
        now += data.draw(st.sampled_from([0.0, 0.01, 0.1, 0.2, 0.25]))
        event = data.draw(st.sampled_from(["ask", "hear", "change", "recall", "recall"]))
        question = data.draw(questions)
        if event == "ask":
            under_way.append((question, truth.answer(question), now))
        elif event == "hear" and under_way:
            lookups.learn(*under_way.pop(data.draw(st.integers(0, len(under_way) - 1))))
        elif event == "change":
            mailbox = data.draw(st.sampled_from(["", "maria@example.com", "joao@example.com"]))
            unwritable = data.draw(st.sampled_from(["", "maria@example.com"]))
            truth.change(now, data.draw(st.sampled_from([_MARIA, _JOAO])), mailbox, unwritable)
        outcome = lookups.recall(question, now)
        if outcome is not None:
            limit = 0.3 if isinstance(question, Lookup) else 0.25
            assert isinstance(outcome, Found | Writable)
            assert 0 < outcome.holds <= limit * 1000
            # Whoever uses it for as long as it still holds is wrong for no longer than the limit in all.
            assert truth.was_true(question, outcome, now + outcome.holds / 1000 - limit - 0.001, now)


def test_ten_thousand_recipients_are_known_and_however_many_there_are_not_all() -> None:
    lookups = Lookups()

    def known() -> list[int]:
        return [n for n in range(100_000) if lookups.recall(Lookup(f"user{n}", "mail.example.com"), 10.0)]

    for number in range(100_000):
        found = Found(f"user{number}@mail.example.com", holds=300, writable_for=250)
        lookups.learn(Lookup(f"user{number}", "mail.example.com"), found, 10.0)
        # Again costs nothing more.
        lookups.learn(Lookup(f"user{number}", "mail.example.com"), found, 10.0)
        if number == 9_999:
            assert len(known()) == 10_000
    assert 0 < len(known()) < 20_000
    assert known()[-1] == 99_999


def test_users_txt_is_taken_over_within_a_second_whatever_is_known() -> None:
    from mailbox_store.users.directory import ADDRESS_HOLDS
    from mailbox_store.users.users_file import _INTERVAL

    # A file that is never at rest is read at every second look.
    assert 2 * _INTERVAL + ADDRESS_HOLDS / 1000 < 1.0
