"""A worker's settings: what the environment gives, and what it must not give."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import load
from session_worker.config import WorkerSettings
from session_worker.dialogue.turn import Policy, SenderDomainRule
from session_worker.faults.cue import Faults
from session_worker.faults.rules import Drop, Rule


def test_every_setting_that_decides_replies_reaches_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "DOMAIN": "Mail.Example.com",
        "PROFILE": "strict",
        "SENDER_DOMAIN_RULE": "never",
        "MAX_MESSAGE_BYTES": "1000",
        "MAX_RECIPIENTS": "100",
        "MAX_ERRORS": "3",
        "VRFY": "off",
        "EXPLAIN": "on",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert WorkerSettings().policy() == Policy(
        domain="mail.example.com",
        strict=True,
        sender_domain_rule=SenderDomainRule.NEVER,
        max_message_octets=1000,
        max_recipients=100,
        max_errors=3,
        vrfy=False,
        explain=True,
    )


def test_a_policy_without_settings_is_that_of_a_worker_without_settings() -> None:
    assert Policy() == WorkerSettings().policy()


def test_several_gateways_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ENDPOINT", "tcp://a:1, ipc:///run/b.sock")
    assert WorkerSettings().gateways() == ["tcp://a:1", "ipc:///run/b.sock"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOMAIN", "-example.com"),
        ("DOMAIN", "bücher.example"),
        ("GATEWAY_ENDPOINT", "localhost:1"),
        ("GATEWAY_ENDPOINT", "tcp://a:1,"),
        ("STORE_ENDPOINT", "udp://a:1"),
        ("PROFILE", "lenient"),
        ("SENDER_DOMAIN_RULE", "sometimes"),
        ("MAX_MESSAGE_BYTES", "0"),
        ("MAX_MESSAGE_BYTES", str(2**64)),
        ("MAX_RECIPIENTS", "99"),
        ("MAX_RECIPIENTS", "1001"),
        ("MAX_ERRORS", "0"),
        ("VRFY", "perhaps"),
        ("STORE_SECONDS", "0"),
        ("STORE_SECONDS", "inf"),
        ("SHUTDOWN_SECONDS", "inf"),
        ("SHUTDOWN_SECONDS", "-1"),
    ],
)
def test_a_bad_setting_ends_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(WorkerSettings, "session_worker")
    assert ended.value.code == 78
    assert f"session_worker: {name}={value}: " in capsys.readouterr().err


def test_failures_on_cue_are_off_and_their_rules_are_a_file_s_or_stand_in_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert WorkerSettings().policy().faults is None
    monkeypatch.setenv("FAULTS", "on")
    assert WorkerSettings().policy().faults == Faults()
    (tmp_path / "rules").write_text("# a comment\nat noop drop\n")
    for given in (str(tmp_path / "rules"), "at noop drop"):
        monkeypatch.setenv("FAULT_RULES", given)
        assert WorkerSettings().policy().faults == Faults((Rule("noop", Drop()),))


@pytest.mark.parametrize(
    ("faults", "given", "said"),
    [
        ("off", "at noop drop", "FAULT_RULES=at noop drop: has no effect without FAULTS=on"),
        ("on", "/no/such/file", "FAULT_RULES=/no/such/file: [Errno 2] No such file"),
        ("on", "at noop", 'FAULT_RULES=at noop: rule 1, "at noop": there is no action'),
    ],
)
def test_bad_rules_of_failures_are_named_at_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], faults: str, given: str, said: str
) -> None:
    monkeypatch.setenv("FAULTS", faults)
    monkeypatch.setenv("FAULT_RULES", given)
    with pytest.raises(SystemExit):
        load(WorkerSettings, "session_worker")
    assert capsys.readouterr().err.startswith(f"session_worker: {said}")
