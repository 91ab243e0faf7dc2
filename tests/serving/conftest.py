import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gridhash.serving.heartbeat import Heartbeat

AT = datetime(2026, 1, 1, tzinfo=UTC)


class HandClock:
    """Wall and monotonic time, moved by hand and together."""

    def __init__(self) -> None:
        self.s = 1000.0

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.s - 1000.0)

    def monotonic(self) -> float:
        return self.s


@pytest.fixture
def hand_clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_heartbeat() -> Callable[..., Heartbeat]:
    """Return a maker of heartbeats of a live controller at 100 kW, by tick."""

    def make(tick: int = 1, **given: Any) -> Heartbeat:
        fields: dict[str, Any] = {
            "site": "europe_sample",
            "controller": "host:/state",
            "run_id": 1,
            "lease_token": 1,
            "tick": tick,
            "at": AT,
            "mode": "live",
            "authority": "policy",
            "reason": "cheap",
            "setpoint_kw": {"loop_a": 100.0},
            "measured_kw": 100.0,
            "potential_kw": 100.0,
            "cap_kw": 4500.0,
        }
        return Heartbeat(**{**fields, **given})

    return make


@pytest.fixture
def base_address() -> str:
    """First of 250 loopback addresses that no other test process uses."""
    pid = os.getpid()
    return f"127.{64 + pid % 64}.{pid // 64 % 256}.1"
