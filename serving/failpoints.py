"""Named places at which a controller can be made to die, to prove that no place matters.

``GRIDHASH_FAILPOINT=intent.before_commit`` kills the process (SIGKILL, nothing is tidied up) when
it comes to that place, ``intent.before_commit:3`` the third time. Without the variable a place
costs one comparison. `scripts/kill_campaign.py` goes through all of them.
"""

import os
import signal
from collections.abc import Mapping
from types import MappingProxyType

from gridhash.errors import ServingError

VARIABLE = "GRIDHASH_FAILPOINT"

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "lease.locked": "the lease is free and about to be taken",
        "lease.written": "its file is written, not yet on the disk",
        "lease.before_renewal": "before its time begins anew",
        "lease.after_renewal": "after it",
        "lease.before_release": "before it is given back",
        "start.before_run": "rigs are read, no run is on record",
        "start.run_begun": "the run is on record, its rigs are not",
        "lease.before_record": "before the lease is on record, at start and end",
        "lease.after_record": "after it",
        "requests.before_settling": "a tick begins, operators' requests are not read",
        "requests.settled": "they are carried out",
        "orders.before_reading": "before the folder of orders is read",
        "orders.after_reading": "after it",
        "rigs.before_reading": "before rigs are read",
        "rigs.read": "rigs are read, nothing of it is taken in",
        "rigs.taken_in": "readings are taken in, nothing is decided",
        "decision.made": "a decision is made, and on no record",
        "reconcile.targets_set": "rigs have targets, no command is planned",
        "reconcile.planned": "commands are planned, none is on record",
        "intent.before_writing": "the transaction has begun",
        "intent.decision_written": "snapshot and decision are written, no intent",
        "intent.before_commit": "intents are written, not committed",
        "intent.after_commit": "intents are committed, no command is sent",
        "journal.before_commit": "before any commit of the journal",
        "journal.after_commit": "after any commit of the journal",
        "command.before_send": "before a rig is told",
        "command.after_reply": "a rig has answered, others may not have",
        "command.all_replied": "all rigs have answered, nothing of it is on record",
        "command.recorded": "results are on record",
        "heartbeat.before_beat": "before a heartbeat",
        "heartbeat.before_replace": "the new heartbeat is written, the old one stands",
        "heartbeat.after_beat": "after a heartbeat",
        "tick.end": "a tick is over",
        "journal.before_close": "before the journal is closed and its log checkpointed",
        "journal.after_close": "after it",
    }
)
"""Each place by its name, in the order in which a controller comes to them."""


class _Armed:
    """The one place at which this process is to die, and after how many more passes."""

    name = ""
    passes_left = 0


def arm(spec: str) -> None:
    """Die at ``name`` or ``name:n``, the n-th time; nowhere for an empty text.

    Raises
    ------
    ServingError
        If there is no such place, or `n` is no positive number.
    """
    name, _, nth = spec.partition(":")
    if not spec:
        _Armed.name = ""
        return
    if name not in NAMES:
        raise ServingError(f"{VARIABLE}: there is no {name!r}; choose one of {', '.join(NAMES)}")
    if nth and not (nth.isdecimal() and int(nth) > 0):
        raise ServingError(f"{VARIABLE}: {spec!r}: write a positive number after the colon")
    _Armed.name, _Armed.passes_left = name, int(nth or 1)


def failpoint(name: str) -> None:
    """Die here if this place is armed."""
    if name == _Armed.name:
        _Armed.passes_left -= 1
        if _Armed.passes_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
