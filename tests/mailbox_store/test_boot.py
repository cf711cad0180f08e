"""A boot has one name; one that the kernel does not tell has another name each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailbox_store import boot


def test_the_kernel_s_name_is_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boot_id").write_text("f6d5\n")
    monkeypatch.setattr(boot, "_BOOT_ID", tmp_path / "boot_id")
    assert boot.this_boot() == "f6d5"


@pytest.mark.parametrize(("text", "reason"), [(None, "No such file or directory"), ("\n", "is empty")])
def test_a_boot_that_cannot_be_known_is_a_new_one_at_each_start_and_the_log_says_so(
    text: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if text is not None:
        (tmp_path / "boot_id").write_text(text)
    monkeypatch.setattr(boot, "_BOOT_ID", tmp_path / "boot_id")
    first, second = boot.this_boot(), boot.this_boot()
    assert first
    assert second
    assert first != second
    said = f"! {tmp_path}/boot_id: {reason}; this start counts as one after a new boot"
    assert caplog.messages == [said, said]
