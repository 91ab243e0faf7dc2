"""From a snapshot to a setpoint per group: pure, and the same code as in training.

Observation, action and limits are those of `gridhash.envs`, called for one site. What the policy
wishes yields to the orders in force (`gridhash.serving.authority`). The same snapshot and policy
give the same bits, on the same machine and versions, so that the journal can prove what was
decided (`gridhash.serving.replay`). A policy that raises, gives no usable action or is late is
replaced in the same call by the level rule.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from gridhash.agents.policy import Policy
from gridhash.envs.action import ActionKind
from gridhash.envs.limits import feasible_range_kw, limit_setpoint
from gridhash.envs.parameters import Floats
from gridhash.envs.state import FleetState
from gridhash.serving.authority import Authority, Order, Settled, settle
from gridhash.serving.input_age import Rung
from gridhash.serving.policy_call import CALLER, LATE, Answer
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_state import SiteSnapshot, exact, hash_of

LEVEL_RULE = "level rule"
"""Name of what decides when no policy does: zero shadow price through the merit order."""

SAME_KW = 1e-9


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One setpoint per group, and how it came about."""

    at: datetime
    input_hash: str
    """Of the snapshot's text."""
    policy_name: str
    authority: Authority
    late: bool
    """The policy missed its deadline: only the clock on the wall knows why, so a replay does not
    ask it again."""
    reason: str
    action: tuple[float, ...]
    observation: bytes
    """(F,) float32, little-endian; empty while no price is known."""
    wanted_kw: tuple[float, ...]
    setpoint_kw: tuple[float, ...]
    min_kw: tuple[float, ...]
    """Least rig power of each group by minimum up times; only caps go below."""
    max_kw: tuple[float, ...]
    """Greatest rig power of each group."""
    rig_cap_kw: float
    """Greatest sum over the groups: `cap_kw` less uncontrolled rigs."""
    cap_kw: float
    """Greatest power of all rigs: by the contract less cooling and standby, or by an order."""
    decided_by: tuple[Authority, ...]
    """Who had the last word on each group's setpoint."""
    replaced: bool
    """Whether the level rule decided in the place of a policy."""
    rung: Rung
    """On which step of the ladder it was decided."""
    trim: float | None = None
    """Metered kW per modelled kW that powers are in; None for a site without meter."""
    follows_meter: tuple[bool, ...] = ()
    """Whether a group's power is an order's or the cap's: then the meter moves its rigs until the
    next decision. What a policy wishes is rigs, whatever they draw. Empty without meter."""

    def to_text(self) -> str:
        """Return the decision as JSON in which every float is exact."""
        return json.dumps(
            {
                "at": self.at.isoformat(timespec="microseconds"),
                "input_hash": self.input_hash,
                "policy_name": self.policy_name,
                "authority": self.authority,
                "late": self.late,
                "reason": self.reason,
                "action": exact(self.action),
                "observation": self.observation.hex(),
                "wanted_kw": exact(self.wanted_kw),
                "setpoint_kw": exact(self.setpoint_kw),
                "min_kw": exact(self.min_kw),
                "max_kw": exact(self.max_kw),
                "rig_cap_kw": self.rig_cap_kw.hex(),
                "cap_kw": self.cap_kw.hex(),
                "decided_by": self.decided_by,
                "replaced": self.replaced,
                "rung": self.rung,
                **self._of_meter(),
            },
            separators=(",", ":"),
        )

    def _of_meter(self) -> dict[str, Any]:
        if self.trim is None:
            return {}
        return {"trim": self.trim.hex(), "follows_meter": self.follows_meter}


def decide(
    snapshot: SiteSnapshot,
    model: SiteModel,
    policy: Policy | None,
    *,
    policy_deadline_s: float | None = None,
    was_late: bool = False,
) -> Decision:
    """Return the setpoint of every group for the next dispatch interval.

    Parameters
    ----------
    policy
        None for the level rule.
    policy_deadline_s
        Wall time after which the level rule decides instead; None waits for ever.
    was_late
        Do not ask the policy: it was late when this decision was first made.
    """
    n_groups = model.n_groups
    state = snapshot.fleet_state(model.params)
    wish = _wish(snapshot, model, policy, state, policy_deadline_s, was_late=was_late)
    # Policy and kernel count rigs at their model's power; orders and caps are as metered.
    trim = 1.0 if snapshot.trim is None else snapshot.trim
    ranges = [feasible_range_kw(state, model.params, 0, g) for g in range(n_groups)]
    ranges = [(low * trim, high * trim) for low, high in ranges]
    wanted_kw = wish.power_kw * trim
    settled = settle(
        wanted_kw.tolist(),
        _on_what_obeys(snapshot),
        [high for _, high in ranges],
        model.params.merit_order.tolist(),
    )
    asked_kw, setpoint_kw = np.array(settled.power_kw), np.zeros(n_groups)
    cap_kw = min(float(model.params.rig_cap_kw), most_of_all_kw(snapshot.orders))
    most_kw = max(cap_kw / max(trim, 1.0) - snapshot.uncontrolled_kw, 0.0)
    limit_setpoint(state, model.params, 0, most_kw, asked_kw / trim, setpoint_kw)
    rig_cap_kw, setpoint_kw = most_kw * trim, setpoint_kw * trim
    capped = float(setpoint_kw.sum()) >= rig_cap_kw - SAME_KW
    # Whom an order of the highest authorities keeps down, no minimum up time or ramp keeps up.
    top_kw = [_ceiling_kw(snapshot, g) for g in range(n_groups)]
    setpoint_kw = np.minimum(setpoint_kw, top_kw)
    decided_by = _decided_by(settled, wish.authority, asked_kw, setpoint_kw)
    limits = _limits_in_words(snapshot, wanted_kw, settled, setpoint_kw, ranges, rig_cap_kw)
    return Decision(
        at=snapshot.at,
        input_hash=hash_of(snapshot.to_text()),
        policy_name=policy_name(policy),
        authority=_highest(settled, wish.authority),
        late=wish.answer.late,
        reason="; ".join([wish.why, *limits]),
        action=tuple(wish.action.tolist()),
        observation=wish.observation,
        wanted_kw=tuple(wanted_kw.tolist()),
        setpoint_kw=tuple(setpoint_kw.tolist()),
        min_kw=tuple(min(float(low), top) for (low, _), top in zip(ranges, top_kw, strict=True)),
        max_kw=tuple(min(float(high), top) for (_, high), top in zip(ranges, top_kw, strict=True)),
        rig_cap_kw=float(rig_cap_kw),
        cap_kw=cap_kw,
        decided_by=decided_by,
        replaced=bool(wish.answer.fault),
        rung=wish.rung,
        trim=snapshot.trim,
        follows_meter=()
        if snapshot.trim is None
        else tuple(capped or order is not None for order in settled.by),
    )


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What policy or fallback rule would have, before orders and limits."""

    power_kw: Floats
    authority: Authority
    why: str
    rung: Rung
    action: Floats
    observation: bytes
    answer: Answer


def _wish(
    snapshot: SiteSnapshot,
    model: SiteModel,
    policy: Policy | None,
    state: FleetState,
    policy_deadline_s: float | None,
    *,
    was_late: bool,
) -> _Wish:
    n_groups = model.n_groups
    wanted_kw, action = np.zeros(n_groups), np.zeros(n_groups)
    # Rigs that run whatever they are told are part of what the group is asked for.
    seen_kw = np.array([group.uncontrolled_kw for group in snapshot.groups])
    answer = Answer(action=None)
    if snapshot.market is None:
        if snapshot.fallback is None:
            why, rung = "no price is known: the last setpoint stays", Rung.LAST_GOOD
            wanted_kw[:] = [group.setpoint_kw for group in snapshot.groups]
        else:
            why, rung = snapshot.fallback.reason, snapshot.fallback.rung
            wanted_kw = np.maximum(np.array(snapshot.fallback.power_kw) - seen_kw, 0.0)
        return _Wish(
            power_kw=wanted_kw,
            authority=Authority.FALLBACK,
            why=why,
            rung=rung,
            action=action,
            observation=b"",
            answer=answer,
        )
    market, rows = snapshot.market.market_array(), snapshot.market.feature_array()
    situation = model.situation(market, rows, snapshot.programs)
    observation = model.observe(situation, state)
    if was_late:
        answer = LATE
    elif policy is not None:
        answer = CALLER.ask(policy, observation, model.params, policy_deadline_s)
    if policy is not None and answer.action is not None:
        authority, kind, action = Authority.POLICY, policy.action_kind, answer.action
    else:
        authority, kind = Authority.FALLBACK, ActionKind.SHADOW_PRICE
    wanted_kw = model.wanted_kw(situation, state, kind, action)
    why, rung = _price_in_words(snapshot, model), Rung.FRESH
    for age in snapshot.inputs:
        if age.name == "price" and age.rung is not Rung.FRESH:
            why, rung = (
                f"the price is that of {(age.age_s or 0.0) / 60.0:.0f} min ago; {why}",
                age.rung,
            )
    if answer.fault:
        why = f"{policy_name(policy)} {answer.fault}, so the {LEVEL_RULE} decides; {why}"
    return _Wish(
        power_kw=np.maximum(wanted_kw - seen_kw, 0.0),
        authority=authority,
        why=why,
        rung=rung,
        action=action,
        observation=observation.astype("<f4").tobytes(),
        answer=answer,
    )


def most_of_all_kw(orders: Iterable[Order]) -> float:
    """Return what orders leave to all rigs, also to those that take no commands [kW]."""
    binding = (
        own.at_most_kw
        for own in orders
        if own.group is None and own.authority.rank <= Authority.OBLIGATION.rank
    )
    return min(binding, default=math.inf)


def _on_what_obeys(snapshot: SiteSnapshot) -> list[Order]:
    """Return the orders as bounds on the rigs that take commands: others draw their part of it."""
    seen_kw = sum(group.uncontrolled_kw for group in snapshot.groups)
    if not seen_kw:
        return list(snapshot.orders)
    return [
        order
        if order.group is not None
        else replace(
            order,
            at_least_kw=max(order.at_least_kw - seen_kw, 0.0),
            at_most_kw=max(order.at_most_kw - seen_kw, 0.0),
        )
        for order in snapshot.orders
    ]


def _ceiling_kw(snapshot: SiteSnapshot, g: int) -> float:
    """Return what stop orders and the plant leave to a group [kW]; infinite without any."""
    return min(
        (
            own.at_most_kw
            for own in snapshot.orders
            if own.group == g and own.authority.rank <= Authority.LIMIT.rank
        ),
        default=math.inf,
    )


def _highest(settled: Settled, wisher: Authority) -> Authority:
    """Return the highest authority that moved a setpoint; who wished if none did."""
    moved = [order.authority for order in settled.by if order is not None]
    return min([*moved, wisher], key=lambda own: own.rank)


def _decided_by(
    settled: Settled, wisher: Authority, asked_kw: Floats, setpoint_kw: Floats
) -> tuple[Authority, ...]:
    """Return who had the last word on each group: limits if they moved what was asked."""
    by = []
    for order, asked, given in zip(settled.by, asked_kw, setpoint_kw, strict=True):
        own = wisher if order is None else order.authority
        limited = abs(given - asked) > SAME_KW and own.rank > Authority.LIMIT.rank
        by.append(Authority.LIMIT if limited else own)
    return tuple(by)


def policy_name(policy: Policy | None) -> str:
    """Return the name under which decisions are recorded."""
    return LEVEL_RULE if policy is None else policy.name


def _price_in_words(snapshot: SiteSnapshot, model: SiteModel) -> str:
    assert snapshot.market is not None
    site = model.site
    all_in = snapshot.market.price_per_kwh + site.market.adders_per_kwh
    value = float(snapshot.market.revenue_per_phs_day)
    worth = " ".join(
        f"{group.name} {value / (24.0 * group.efficiency_j_per_th * site.pue_for_planning):.4g}"
        for group in site.groups
    )
    return f"all-in price {all_in:.4g} per kWh against a break-even of {worth}"


def _limits_in_words(
    snapshot: SiteSnapshot,
    wanted_kw: Floats,
    settled: Settled,
    setpoint_kw: Floats,
    ranges: list[tuple[float, float]],
    rig_cap_kw: float,
) -> list[str]:
    """Return one line for each group whose setpoint is not what was wanted."""
    lines = []
    for g, group in enumerate(snapshot.groups):
        low, high = ranges[g]
        order, asked_kw = settled.by[g], settled.power_kw[g]
        causes = [] if order is None else [f"{order.authority}: {order.reason}"]
        if abs(setpoint_kw[g] - asked_kw) > SAME_KW:
            if group.tripped:
                causes.append("temperature trip")
            elif setpoint_kw[g] < low - SAME_KW or setpoint_kw.sum() >= rig_cap_kw - SAME_KW:
                causes.append(f"power cap {rig_cap_kw:.1f} kW")
            elif abs(setpoint_kw[g] - high) <= SAME_KW and asked_kw > high:
                causes.append(f"at most {high:.1f} kW can run")
            elif abs(setpoint_kw[g] - low) <= SAME_KW and asked_kw < low:
                causes.append(f"minimum up time holds {low:.1f} kW")
            else:
                causes.append("ramp")
        elif abs(setpoint_kw[g] - wanted_kw[g]) <= SAME_KW:
            continue
        if not causes:
            causes.append("temperature trip" if group.tripped else f"at most {high:.1f} kW can run")
        words = ", ".join(causes)
        lines.append(f"{group.name}: {wanted_kw[g]:.1f} → {setpoint_kw[g]:.1f} kW ({words})")
    return lines
