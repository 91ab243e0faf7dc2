"""A service tells its manager where there is one, and is not held up where there is none."""

import socket
from pathlib import Path

import pytest

from gridhash.serving.sd_notify import sd_notify


def test_states_reach_the_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        sd_notify("READY=1", "STATUS=shadow, 24 rigs")

        assert manager.recv(4096) == b"READY=1\nSTATUS=shadow, 24 rigs"


def test_no_manager_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    sd_notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    sd_notify("WATCHDOG=1")
