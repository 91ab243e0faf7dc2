"""`gridhash stop-all`: the order, the running controller, and if need be the rigs themselves.

It needs nobody alive. The order is a file that keeps every controller from starting anything; a
controller that answers stops the rigs; else they are told from here, all at once, past breakers,
packets and minimum times, until their own watts show that they stand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.guard_lowering import GuardedRig, Lowering
from gridhash.serving.line_record import LineRecord, spill
from gridhash.serving.operator_request import Asked, Reply, ask
from gridhash.serving.requests import RequestKind
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.stop_all import StopAllOrder, order_stop_all

ANSWER_WITHIN_S = 3.0
"""Shorter than a controller may take: who stops everything waits for nobody, and two stops of a rig
are as good as one."""

VERIFY_WITHIN_S = 120.0
LOOK_S = 2.0
RETRY_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What rigs' own watts showed at the end."""

    n_rigs: int
    n_standing: int
    n_silent: int
    """Rigs that did not answer at the last look."""
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every rig was seen to stand."""
        return self.n_standing == self.n_rigs


def order(
    folder: StateFolder, clock: Clock, *, person: str, reason: str, say: Callable[[str], None]
) -> Asked | None:
    """Write the order and tell the controller; return what it answered, None if it cannot be told.

    Nothing that fails here keeps the rigs from being told.
    """
    given = StopAllOrder(person=person[:128], reason=reason[:500], at=clock.now())
    spilt = f"stop-all by {person}: {reason}"
    try:
        order_stop_all(folder.stop_all, given)
        say(f"ordered: {folder.stop_all} keeps every controller from starting a rig")
    except OSError as err:
        spill(spilt)
        say(
            f"{folder.stop_all} cannot be written ({err.strerror}); the order is in the system's "
            "log. A controller that comes back would start rigs again: end its service first"
        )
    try:
        asked = ask(
            folder,
            RequestKind.STOP_ALL,
            clock,
            person=person,
            reason=reason,
            within_s=ANSWER_WITHIN_S,
        )
    except ServingError as err:
        spill(f"{spilt}: {err}")
        say(str(err))
        return None
    return asked


async def stop_rigs(
    folder: StateFolder,
    rigs: list[GuardedRig],
    clock: Clock,
    *,
    person: str,
    say: Callable[[str], None],
    within_s: float = VERIFY_WITHIN_S,
) -> Stopped:
    """Tell every rig to stop until watts show it, or `within_s` have passed."""
    record = LineRecord(folder.stop_all_record)
    note = partial(_note, record, clock)
    note("begin", person=person, n_rigs=len(rigs))
    lowering = Lowering(rigs, clock, retry_s=RETRY_S, note=note)
    began_s = clock.monotonic()
    said = -1
    await lowering.stop_down_to(0.0)
    say(f"{len(rigs)} rigs were told to stop within {clock.monotonic() - began_s:.1f} s")
    while True:
        await lowering.read()
        if lowering.n_standing != said:
            said = lowering.n_standing
            say(f"{said} of {len(rigs)} rigs stand by their own watts")
        gone_s = clock.monotonic() - began_s
        if lowering.is_settled(0.0) or gone_s >= within_s:
            break
        await lowering.stop_down_to(0.0)
        await clock.sleep_until(clock.now() + timedelta(seconds=LOOK_S))
    stopped = Stopped(
        n_rigs=len(rigs),
        n_standing=lowering.n_standing,
        n_silent=sum(not rig.answers for rig in rigs),
        seconds=gone_s,
    )
    draws = [rig.driver.rig_id for rig in rigs if not rig.stands]
    note("end", standing=stopped.n_standing, not_standing=draws, seconds=round(gone_s, 1))
    record.close()
    return stopped


def is_done_by(asked: Asked | None) -> bool:
    """Return whether a controller said that it stops the rigs."""
    return asked is not None and asked.reply is Reply.ACCEPTED


def _note(record: LineRecord, clock: Clock, kind: str, **fields: object) -> None:
    record.write(clock.now(), kind, **fields)
