"""What a service tells systemd: that it is ready, lives, ends. Without systemd it tells nobody."""

import os
import socket
from contextlib import suppress


def sd_notify(*states: str) -> None:
    """Send states as ``READY=1``, ``WATCHDOG=1``, ``STOPPING=1``, ``STATUS=words`` (sd_notify(3)).

    A manager that does not listen keeps no service from its work.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_manager:
        to_manager.settimeout(1.0)
        to_manager.sendto("\n".join(states).encode(), address)
