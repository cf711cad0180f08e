"""Open questions to the store: repeats, restarts, giving up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from session_worker.store_calls import StoreCalls
from wire.messages import Ask, Discard

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
    calls.heard("one", calls.mark())
    before = calls.mark()
    calls.ask(_QUESTION, "a", 0, _WALL, _WALL)
    for _ in range(100):
        assert calls.heard("one", before) == [], "it has not come to the question yet"


def test_a_question_that_the_store_must_have_answered_was_lost_and_is_asked_again() -> None:
    calls = _calls()
    calls.heard("one", calls.mark())
    lost, answered = calls.ask(_QUESTION, "a", 0, _WALL, _WALL), calls.ask(_QUESTION, "b", 0, _WALL, _WALL)
    behind = calls.mark()
    later = calls.ask(_QUESTION, "c", 0, _WALL, _WALL)
    calls.answered(answered.request)
    assert calls.heard("one", behind) == [lost]
    assert calls.heard("one", behind) == [], "it is asked again, behind that Ping"
    assert calls.heard("one", calls.mark()) == [lost, later]


def test_a_new_instance_of_the_store_is_asked_everything_again_at_once() -> None:
    calls = _calls()
    calls.heard("one", 0)
    asks = [calls.ask(_QUESTION, "a", 0, _WALL, _WALL), calls.ask(_QUESTION, "b", 0, _WALL, _WALL)]
    assert calls.heard("one", 0) == []
    assert calls.heard("two", 0) == asks
    assert calls.heard("two", 0) == []


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
            calls.heard(str(now), 0)
        elif event == "repeats":
            assert all(open_asks[ask.request] is ask for ask in calls.heard(calls._instance, calls.mark()))
        ended += [asker for _, asker in calls.give_up(now + 10 if event == "end" else now)]
    assert sorted(ended) == sorted(asked)
    assert len(calls) == 0
