"""The store's settings."""

from __future__ import annotations

import pytest

from mailbox_store.config import StoreSettings
from runtime.settings import EX_CONFIG, load


@pytest.mark.parametrize(
    ("name", "value"),
    [("DOMAIN", "my domain"), ("STORE_ENDPOINT", "12002"), ("LOG_LEVEL", "LOUD"), ("CONVERSATION", "1")],
)
def test_a_bad_setting_is_named_and_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(StoreSettings, "store")
    assert ended.value.code == EX_CONFIG
    assert capsys.readouterr().err.startswith(f"store: {name}={value}: ")


def test_the_domain_is_taken_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOMAIN", "Mail.Example")
    assert StoreSettings().domain == "mail.example"
