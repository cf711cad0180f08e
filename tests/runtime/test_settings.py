"""Settings: from the environment, checked once, with errors that name the variable and the value."""

from __future__ import annotations

import pytest
from pydantic import Field, field_validator

from runtime.settings import EX_CONFIG, Settings, endpoint, load


class Example(Settings):
    port: int = Field(default=12000, ge=1, le=65535)
    domain: str = "localhost"

    @field_validator("domain")
    @classmethod
    def _no_blank(cls, value: str) -> str:
        if " " in value:
            raise ValueError("must be a domain, such as mail.example.com")
        return value


def test_a_setting_is_the_variable_of_its_name_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "2525")
    assert load(Example, "example").port == 2525


def test_an_empty_variable_is_as_if_it_were_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert load(Example, "example").port == 12000


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("PORT", "twelve", "valid integer"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("DOMAIN", "a b", "must be a domain, such as mail.example.com"),
        ("METRICS", "9120", "must be an IP address of this machine and a port, such as 127.0.0.1:9120 or [::1]:9120"),
        ("METRICS", "localhost:9120", "must be an IP address"),
        ("METRICS", "127.0.0.1:65536", "must be an IP address"),
        ("METRICS", "127.0.0.1: 9120", "must be an IP address"),
        ("METRICS", "::1:9120", "must be an IP address"),
        ("METRICS", "[127.0.0.1]:9120", "must be an IP address"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ],
)
def test_a_bad_setting_ends_with_its_name_its_value_and_the_rule(
    name: str, value: str, rule: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(Example, "example")
    assert ended.value.code == EX_CONFIG
    line = capsys.readouterr().err
    assert line.startswith(f"example: {name}={value}: ")
    assert rule in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "means"),
    [("127.0.0.1:9120", ("127.0.0.1", 9120)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:1", ("0.0.0.0", 1))],
)
def test_an_endpoint_is_an_address_and_a_port(value: str, means: tuple[str, int]) -> None:
    assert endpoint(value) == means


def test_settings_do_not_change_while_a_service_runs() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Example().port = 1
