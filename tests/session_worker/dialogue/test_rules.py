"""The defaults of the dialogue's rules are those of the settings."""

from __future__ import annotations

from session_worker.config import WorkerSettings
from session_worker.dialogue.rules import Rules


def test_rules_without_settings_are_those_of_a_service_without_settings() -> None:
    assert Rules() == WorkerSettings().rules()
