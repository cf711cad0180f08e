"""What a worker counts: families from plain numbers, and a real worker between a gateway and a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from session_worker.metrics import Counts, families, figures
from tests.conditions import wait_until
from tests.scraping import Samples, page, scrape
from tests.stack import Stack
from wire.messages import Deliver, Lookup, Question
from wire.outcomes import NoSuchUser, Outcome, TimedOut

_DROPPED = {"malformed": 1, "senseless": 2, "late_answer": 3, "bad_state": 4}


def test_replies_and_questions_are_told_by_name() -> None:
    counts = Counts()
    counts.replies["RCPT", 550] += 2
    counts.questions[Lookup, NoSuchUser] += 2
    counts.questions[Deliver, TimedOut] += 1
    found = Samples(families(counts, figures(counts, 3), _DROPPED))
    assert found("correio_worker_replies_total", verb="RCPT", code="550") == 2
    assert found("correio_worker_questions_total", kind="lookup", outcome="no_such_user") == 2
    assert found("correio_worker_questions_total", kind="deliver", outcome="timed_out") == 1
    assert found("correio_worker_steps_under_way") == 3
    assert found("correio_worker_dropped_total", reason="bad_state") == 4


def test_a_delivery_that_the_store_had_already_is_told_apart() -> None:
    counts = Counts()
    question = Deliver("s.1", 0, "", ("a@b.example",), b"", 1000, b"x" * 24)
    counts.delivered(question, False)
    counts.delivered(question, True)
    found = Samples(families(counts, figures(counts, 0), _DROPPED))
    assert found("correio_worker_deliveries_total") == 2
    assert found("correio_worker_deliveries_known_total") == 1
    assert found("correio_worker_message_bytes_bucket", le="1024.0") == 2
    assert figures(counts, 5) == {"steps_under_way": 5, "steps": 0, "deliveries": 2}


def test_failures_of_the_store_are_there_before_the_first_one() -> None:
    counts = Counts()
    kinds: set[type[Question]] = {kind for kind, outcome in counts.questions if outcome is TimedOut}
    outcomes: set[type[Outcome]] = {outcome for _, outcome in counts.questions}
    assert (len(kinds), len(outcomes)) == (5, 2)


@pytest.mark.stack
def test_a_worker_tells_what_it_answered_and_that_it_has_no_store(folder: Path) -> None:
    with Stack(folder, workers=1, metrics=True, STORE_SECONDS="1") as stack:
        port = stack.metrics["session_worker-1"]
        # The stack's own look at whether it takes mail has been counted.
        before, gateway_before = scrape(port), scrape(stack.metrics["gateway"])
        with stack.connect() as client:
            client.begin()
            client.send(b"Subject: x\r\n\r\nhello\r\n.\r\n")
            assert client.reply().startswith("250 ")
            client.command("GRUMBLE")

        def grown(name: str, **labels: str) -> float:
            return scrape(port)(name, **labels) - before(name, **labels)

        wait_until(
            lambda: grown("correio_worker_replies_total", verb="other", code="500"), "the last reply is counted"
        )
        for verb, code in (("EHLO", "250"), ("MAIL", "250"), ("RCPT", "250"), ("message", "250")):
            assert grown("correio_worker_replies_total", verb=verb, code=code) == 1
        # DATA takes no step if it comes soon; the gateway counts it then.
        data = {"verb": "DATA", "code": "354"}
        foreseen = "correio_gateway_replies_known_total"
        by_gateway = scrape(stack.metrics["gateway"])(foreseen, **data) - gateway_before(foreseen, **data)
        assert grown("correio_worker_replies_total", **data) + by_gateway == 1
        assert grown("correio_worker_questions_total", kind="deliver", outcome="delivered") == 1
        assert grown("correio_worker_question_seconds_count", kind="deliver") == 1
        assert grown("correio_worker_deliveries_total") == 1
        assert grown("correio_worker_message_bytes_count") == 1
        stack.kill("mailbox_store")
        wait_until(lambda: page(port, "/readyz") == (503, "the store does not answer\n"), "the store is missed")
        assert page(port, "/livez")[0] == 200
        with stack.connect() as client:
            client.reply()
            client.command("EHLO client.example.net")
            client.command("MAIL FROM:<>")
            assert client.command("RCPT TO:<maria@example.com>").startswith("451 ")
        wait_until(
            lambda: scrape(port)("correio_worker_questions_total", kind="lookup", outcome="timed_out") == 1,
            "the silence is counted",
        )
        # So that all can be stopped in order.
        stack.start("mailbox_store")
        wait_until(lambda: page(port, "/readyz")[0] == 200, "the store is there")
