"""The gateway's settings: defaults, fractions, and a clear word about each bad value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config import GatewaySettings


def test_defaults_serve_on_this_host_alone() -> None:
    settings = GatewaySettings()
    assert (settings.bind, settings.port) == ("127.0.0.1", 12000)
    assert settings.gateway_endpoint == "tcp://127.0.0.1:12001"
    assert settings.feed_endpoint == ""
    assert settings.max_connections == 10_000
    assert settings.max_connections_per_address == 0


def test_settings_come_from_the_environment_and_times_may_have_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDLE_SECONDS", "0.25")
    monkeypatch.setenv("DOMAIN", "Mail.Example.COM")
    monkeypatch.setenv("CONVERSATION", "off")
    settings = GatewaySettings()
    assert (settings.idle_seconds, settings.domain, settings.conversation) == (0.25, "mail.example.com", "off")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "65536", "less than or equal to 65535"),
        ("PORT", "smtp", "valid integer"),
        ("DOMAIN", "not a domain", "labels of letters"),
        ("DOMAIN", "café.example", "must be ASCII"),
        ("GATEWAY_ENDPOINT", "127.0.0.1:12001", "must be tcp://"),
        ("GATEWAY_ENDPOINT", "ipc://", "must be tcp://"),
        ("GATEWAY_ENDPOINT", "ipc:///" + "x" * 107, "at most 107 octets"),
        ("FEED_ENDPOINT", "feed.sock", "must be tcp://"),
        ("LOG_FORMAT", "xml", "'human' or 'json'"),
        ("MAX_CONNECTIONS", "0", "greater than or equal to 1"),
        ("MAX_CONNECTIONS_PER_ADDRESS", "-1", "greater than or equal to 0"),
        ("IDLE_SECONDS", "0", "greater than 0"),
        ("IDLE_SECONDS", "inf", "finite"),
        ("NO_WORKER_SECONDS", "soon", "valid number"),
        ("SHUTDOWN_SECONDS", "-1", "greater than 0"),
        ("CONVERSATION", "maybe", "'on' or 'off'"),
    ],
)
def test_a_bad_setting_is_refused_with_the_rule_it_breaks(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        GatewaySettings()
    (problem,) = caught.value.errors()
    assert problem["loc"] == (name.lower(),)
    assert reason in problem["msg"]
