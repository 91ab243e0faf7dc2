import os

import pytest


@pytest.fixture
def base_address() -> str:
    """First of 250 loopback addresses that no other test process uses."""
    pid = os.getpid()
    return f"127.{64 + pid % 64}.{pid // 64 % 256}.1"
