"""What was decided, held against envelope and obligations (I1 and I6)."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from gridhash.serving.authority import Authority, Order
from gridhash.serving.drivers.protocol import Command
from gridhash.serving.invariants_kinds import Invariant, Violation
from gridhash.serving.journal import Journal
from gridhash.serving.simulated_history import WorldHistory
from gridhash.serving.site_state import SiteSnapshot, from_exact

SAME_KW = 1e-6
SHED_S = 60.0
"""Time that load has to fall once its cap has fallen."""
METER_FRAC = 0.05
"""By which rigs may draw more than the model while no meter tells it."""


def check_envelope(journal: Journal, world: WorldHistory, run_id: int) -> Iterator[Violation]:
    """Yield setpoints above their limits, and true power above the cap that we could have cut.

    Power above the cap is no violation while every rig that draws it was last told to stop, or
    does not hear us: its command is then judged by other promises.
    """
    for row in journal.rows("SELECT id, at, text FROM decisions WHERE run_id = ?", run_id):
        text, at = json.loads(row["text"]), datetime.fromisoformat(row["at"])
        own_kw, most_kw = from_exact(text["setpoint_kw"]), from_exact(text["max_kw"])
        fits = all(
            -SAME_KW <= own <= most + SAME_KW for own, most in zip(own_kw, most_kw, strict=True)
        )
        if not fits or sum(own_kw) > float.fromhex(text["rig_cap_kw"]) + SAME_KW:
            told = f"decision {row['id']} sets {sum(own_kw):.1f} kW, more than its limits allow"
            yield Violation(Invariant.ENVELOPE, at, None, told)
    caps = [
        (datetime.fromisoformat(row["at"]), float(row["cap_kw"]))
        for row in journal.rows("SELECT at, cap_kw FROM supervisions WHERE run_id = ?", run_id)
    ]
    last_command = _last_commands(journal, run_id)
    for at, _ in caps:
        recent = [kw for then, kw in caps if at - timedelta(seconds=SHED_S) <= then <= at]
        power_kw, cap_kw = world.power_kw(at), max(recent)
        if power_kw <= cap_kw * (1.0 + METER_FRAC) + SAME_KW:
            continue
        free_kw = sum(
            rig.power_w(at) / 1e3
            for rig in world.rigs.values()
            if not _out_of_reach(rig.faults, at)
            and _newest(last_command.get(rig.rig_id, []), at) != Command.STOP
        )
        if free_kw > SAME_KW:
            told = f"{power_kw:.1f} kW drawn, {cap_kw:.1f} kW allowed for {SHED_S:g} s"
            yield Violation(Invariant.ENVELOPE, at, None, told)


def check_obligations(journal: Journal, run_id: int) -> Iterator[Violation]:
    """Yield decisions that a price, a wish or a rule made against an obligation in force."""
    found = journal.rows(
        "SELECT decisions.id, decisions.at, decisions.text, snapshots.text AS snapshot "
        "FROM decisions JOIN snapshots ON snapshots.id = decisions.snapshot_id "
        "WHERE decisions.run_id = ?",
        run_id,
    )
    for row in found:
        snapshot = SiteSnapshot.from_text(row["snapshot"])
        orders = snapshot.orders
        text = json.loads(row["text"])
        own_kw, most_kw = from_exact(text["setpoint_kw"]), from_exact(text["max_kw"])
        cap_kw = float.fromhex(text["rig_cap_kw"])
        for order in orders:
            if order.authority is not Authority.OBLIGATION:
                continue
            kept_kw = sum(own_kw) if order.group is None else own_kw[order.group]
            room_kw = _room_kw(order, orders, most_kw, cap_kw)
            seen = [group.uncontrolled_kw for group in snapshot.groups]
            seen_kw = sum(seen) if order.group is None else seen[order.group]
            least_kw = min(order.at_least_kw - seen_kw, room_kw)
            if not least_kw - SAME_KW <= kept_kw <= order.at_most_kw + SAME_KW:
                told = (
                    f"decision {row['id']} sets {kept_kw:.1f} kW where {order.reason} asks for "
                    f"{least_kw:.1f} to {order.at_most_kw:.1f} kW"
                )
                at = datetime.fromisoformat(row["at"])
                yield Violation(Invariant.OBLIGATION, at, None, told)


def _room_kw(
    order: Order, orders: Sequence[Order], most_kw: Sequence[float], cap_kw: float
) -> float:
    """Return the most that limits, and ceilings of no lower authority, leave to an order [kW]."""
    ceilings = [
        own for own in orders if own.authority.rank <= order.authority.rank and own is not order
    ]
    of_group = list(most_kw)
    for own in ceilings:
        if own.group is not None:
            of_group[own.group] = min(of_group[own.group], own.at_most_kw)
    total_kw = min([cap_kw, *(own.at_most_kw for own in ceilings if own.group is None)])
    return min(total_kw, sum(of_group) if order.group is None else of_group[order.group])


def _last_commands(journal: Journal, run_id: int) -> dict[str, list[tuple[datetime, str]]]:
    found: dict[str, list[tuple[datetime, str]]] = {}
    for row in journal.rows(
        "SELECT at, rig_id, command FROM intents WHERE run_id = ? ORDER BY id", run_id
    ):
        entry = (datetime.fromisoformat(row["at"]), str(row["command"]))
        found.setdefault(row["rig_id"], []).append(entry)
    return found


def _newest(commands: Sequence[tuple[datetime, str]], at: datetime) -> str:
    return next((command for then, command in reversed(commands) if then <= at), "")


def _out_of_reach(faults: Sequence[tuple[datetime, dict[str, object]]], at: datetime) -> bool:
    then = [own for since, own in faults if since <= at]
    return bool(then) and then[-1].get("unreachable", "no") != "no"
