"""From a snapshot to a setpoint per group: pure, and the same code as in training.

Observation, action and limits are those of `gridhash.envs`, called for one site. The same snapshot
and policy give the same bits, on the same machine and versions, so that the journal can prove what
was decided (`gridhash.serving.replay`). A policy that raises, gives no usable action or is late is
replaced in the same call by the level rule.
"""

import json
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from threading import Thread

import numpy as np

from gridhash.agents.policy import Policy, check_action
from gridhash.envs.action import ActionKind, wanted_power
from gridhash.envs.limits import feasible_range_kw, limit_setpoint
from gridhash.envs.parameters import Floats, Floats32
from gridhash.errors import PolicyError
from gridhash.serving.site_state import SiteModel, SiteSnapshot, exact, hash_of

LEVEL_RULE = "level rule"
"""Name of what decides when no policy does: zero shadow price through the merit order."""

SAME_KW = 1e-9

_CALLS: list[tuple[Policy, Thread]] = []
"""Policies that were given up and the threads in which they may still work."""


class Authority(StrEnum):
    """Who decided."""

    POLICY = "policy"
    FALLBACK = "fallback rule"
    HOLD = "hold"  # no price is known: keep what was last asked for


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a policy said: an action, or why there is none."""

    action: Floats | None
    fault: str = ""
    late: bool = False


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
    """Greatest sum over the groups: the contract less cooling, standby and uncontrolled rigs."""

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
            },
            separators=(",", ":"),
        )


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
    scratch = np.zeros((5, n_groups))
    wanted_kw, setpoint_kw = np.zeros(n_groups), np.zeros(n_groups)
    action = np.zeros(n_groups)
    observation = np.zeros((1, len(model.bounds)), dtype=np.float32)
    answer = Answer(action=None)
    if snapshot.market is None:
        authority, why = Authority.HOLD, "no price is known: the last setpoint stays"
        wanted_kw[:] = [group.setpoint_kw for group in snapshot.groups]
    else:
        market = snapshot.market.market_array()
        rows = snapshot.market.feature_array()
        observation = model.observe(market, rows, state)
        if was_late:
            answer = Answer(action=None, fault="is late", late=True)
        elif policy is not None:
            answer = ask(policy, observation, n_groups, deadline_s=policy_deadline_s)
        if policy is not None and answer.action is not None:
            authority, kind, action = Authority.POLICY, policy.action_kind, answer.action
        else:
            authority, kind = Authority.FALLBACK, ActionKind.SHADOW_PRICE
        wanted_power(model.params, market, 0, int(kind), action, scratch, wanted_kw)
        # Rigs that run whatever they are told are part of what the group was asked for.
        seen_kw = np.array([group.uncontrolled_kw for group in snapshot.groups])
        wanted_kw = np.maximum(wanted_kw - seen_kw, 0.0)
        why = _price_in_words(snapshot, model)
        if answer.fault:
            why = f"{policy_name(policy)} {answer.fault}, so the {LEVEL_RULE} decides; {why}"
    rig_cap_kw = max(model.params.rig_cap_kw - snapshot.uncontrolled_kw, 0.0)
    limit_setpoint(state, model.params, 0, rig_cap_kw, wanted_kw, setpoint_kw)
    ranges = [feasible_range_kw(state, model.params, 0, g) for g in range(n_groups)]
    limits = _limits_in_words(snapshot, wanted_kw, setpoint_kw, ranges, rig_cap_kw)
    return Decision(
        at=snapshot.at,
        input_hash=hash_of(snapshot.to_text()),
        policy_name=policy_name(policy),
        authority=authority,
        late=answer.late,
        reason="; ".join([why, *limits]),
        action=tuple(action.tolist()),
        observation=b"" if snapshot.market is None else observation.astype("<f4").tobytes(),
        wanted_kw=tuple(wanted_kw.tolist()),
        setpoint_kw=tuple(setpoint_kw.tolist()),
        min_kw=tuple(float(low) for low, _ in ranges),
        max_kw=tuple(float(high) for _, high in ranges),
        rig_cap_kw=float(rig_cap_kw),
    )


def policy_name(policy: Policy | None) -> str:
    """Return the name under which decisions are recorded."""
    return LEVEL_RULE if policy is None else policy.name


def ask(
    policy: Policy, observation: Floats32, n_groups: int, *, deadline_s: float | None = None
) -> Answer:
    """Return the policy's action for one site, checked; never raises.

    The policy runs in a thread of its own, because only there it can be given up. A thread that
    was given up keeps nobody from leaving, and its policy is not asked again until it has ended.
    """
    _CALLS[:] = [(own, thread) for own, thread in _CALLS if thread.is_alive()]
    if any(own is policy for own, _ in _CALLS):
        return Answer(action=None, fault="is late", late=True)
    future: Future[Floats] = Future()

    def answer(own: Floats32) -> None:
        try:
            future.set_result(policy.act(own))
        except BaseException as err:  # noqa: BLE001  # handed to whoever asked
            future.set_exception(err)

    thread = Thread(target=answer, args=(observation.copy(),), name="policy", daemon=True)
    thread.start()
    try:
        error = future.exception(timeout=deadline_s)
    except FutureTimeout:
        _CALLS.append((policy, thread))
        return Answer(action=None, fault="is late", late=True)
    if error is not None:
        return Answer(action=None, fault=f"raised {type(error).__name__}: {error}")
    try:
        action = check_action(future.result(), n_sites=1, n_groups=n_groups)
    except (PolicyError, TypeError, ValueError) as err:
        return Answer(action=None, fault=f"gave no usable action ({err})")
    return Answer(action=action[0].copy())


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
    setpoint_kw: Floats,
    ranges: list[tuple[float, float]],
    rig_cap_kw: float,
) -> list[str]:
    """Return one line for each group whose setpoint is not what was wanted."""
    lines = []
    for g, group in enumerate(snapshot.groups):
        low, high = ranges[g]
        if abs(setpoint_kw[g] - wanted_kw[g]) <= SAME_KW:
            continue
        if group.tripped:
            cause = "temperature trip"
        elif setpoint_kw[g] < low - SAME_KW or setpoint_kw.sum() >= rig_cap_kw - SAME_KW:
            cause = f"power cap {rig_cap_kw:.1f} kW"
        elif abs(setpoint_kw[g] - high) <= SAME_KW and wanted_kw[g] > high:
            cause = f"at most {high:.1f} kW can run"
        elif abs(setpoint_kw[g] - low) <= SAME_KW and wanted_kw[g] < low:
            cause = f"minimum up time holds {low:.1f} kW"
        else:
            cause = "ramp"
        lines.append(f"{group.name}: {wanted_kw[g]:.1f} → {setpoint_kw[g]:.1f} kW ({cause})")
    return lines
