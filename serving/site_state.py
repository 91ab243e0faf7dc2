"""What a decision is made from: a frozen picture of one site, in exact numbers.

A `SiteSnapshot` holds all that `gridhash.serving.decide` reads: what the market has published and
what the rigs were verified to do. Its text form keeps every bit, so that a decision can be made
again from the journal.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np

from gridhash.envs.availability import hold_cold_starts
from gridhash.envs.columns import (
    CAPACITY_WEIGHT,
    CARBON_COST,
    DEW_POINT,
    IMBALANCE_SHORTAGE,
    IMBALANCE_SURPLUS,
    OUTDOOR,
    PRICE,
    PV,
    REVENUE,
    RULE_PROFIT,
    SEEN_PRICE,
    SURPLUS,
    TRANSMISSION_WEIGHT,
    WET_BULB,
)
from gridhash.envs.parameters import NEVER_C, Floats, Floats32, SiteParameters
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import FleetState, empty_state, summarise_sites
from gridhash.errors import DataError
from gridhash.serving.authority import Authority, Order
from gridhash.serving.input_age import Fallback, InputAge, Rung
from gridhash.serving.programs_now import ProgramsNow
from gridhash.time_grid import require_aware

NOT_KNOWN_YET = [
    SURPLUS,
    OUTDOOR,
    RULE_PROFIT,
    CARBON_COST,
    PV,
    WET_BULB,
    DEW_POINT,
    IMBALANCE_SHORTAGE,
    IMBALANCE_SURPLUS,
    TRANSMISSION_WEIGHT,
    CAPACITY_WEIGHT,
]
"""Columns of the market array that hold what only the end of a period tells, or what no decision
reads."""


ONLY_SITE = np.zeros(1, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class MarketRow:
    """What is known of the market in one settlement period, at its start."""

    period_start: datetime
    values: tuple[float, ...]
    """The kernel's market row; 0 in the columns that are `NOT_KNOWN_YET`."""
    features: bytes
    """Row features of the observation: float32, little-endian."""

    @property
    def price_per_kwh(self) -> float:
        """Market price of the period; where it settles later, the newest known."""
        return self.values[PRICE]

    @property
    def revenue_per_phs_day(self) -> float:
        """Net of fees, in the site's currency."""
        return self.values[REVENUE]

    def feature_array(self) -> Floats32:
        """Return the row features, (1, R)."""
        return np.frombuffer(self.features, dtype="<f4").astype(np.float32)[None, :]

    def market_array(self) -> Floats:
        """Return the kernel's market array of one row; what nobody knows yet is NaN."""
        market = np.array([self.values])
        market[0, NOT_KNOWN_YET] = np.nan
        return market


def row_at(scenario: Scenario, instant: datetime) -> int | None:
    """Return the row of a scenario that holds an instant; None where none can be decided on."""
    start = scenario.trace.start.to_pydatetime()
    row = int((instant - start).total_seconds() // scenario.trace.period_s)
    return row if scenario.first_row <= row < scenario.n_rows else None


def market_row_at(scenario: Scenario, instant: datetime) -> MarketRow | None:
    """Return what a scenario knows at an instant; None where it has no prices."""
    row = row_at(scenario, instant)
    if row is None:
        return None
    values = scenario.market[row].copy()
    values[NOT_KNOWN_YET] = 0.0
    values[PRICE] = values[SEEN_PRICE]  # a real-time price settles after its period
    return MarketRow(
        period_start=scenario.trace.starts[row].to_pydatetime(),
        values=tuple(values.tolist()),
        features=scenario.rows[row].astype("<f4").tobytes(),
    )


@dataclass(frozen=True, kw_only=True)
class GroupState:
    """Rigs of one group that take commands, counted by age since their verified start or stop."""

    name: str
    up: tuple[float, ...]
    """Running rigs by age in dispatch intervals, the last bucket all older ones."""
    down: tuple[float, ...]
    up_temp_c: tuple[float, ...]
    down_temp_c: tuple[float, ...]
    coolant_c: float
    rig_kw: float
    """Power of one running rig."""
    setpoint_kw: float
    """Rig power last asked for, after limits."""
    tripped: bool
    uncontrolled_kw: float = 0.0
    """What its rigs that take no commands are seen to draw: the others are asked for so much
    less."""


@dataclass(frozen=True, kw_only=True)
class SiteSnapshot:
    """One site at one instant.

    Rigs that do not take commands (unreachable, flagged, locked out, just changed by hand) are in
    no group's counts; the power they may draw is `uncontrolled_kw`.

    Raises
    ------
    ValueError
        If the instant names no time zone.
    """

    at: datetime
    substep: int
    """Dispatch intervals gone since the start of the settlement period."""
    market: MarketRow | None
    """None while no price is known."""
    groups: tuple[GroupState, ...]
    uncontrolled_kw: float
    orders: tuple[Order, ...] = ()
    """In force now: stops, limits of the plant, obligations, holds."""
    inputs: tuple[InputAge, ...] = ()
    fallback: Fallback | None = None
    """What stands in for the policy; None asks it, or keeps the last setpoint without a market."""
    programs: ProgramsNow | None = None
    """What tariff and programs remember; None on a site without them."""
    trim: float | None = None
    """Metered kW per modelled kW (`gridhash.serving.meter_trim`); None for a site without meter."""

    def __post_init__(self) -> None:
        """Reject an instant that is none."""
        require_aware(self.at, "at")

    def fleet_state(self, params: SiteParameters) -> FleetState:
        """Return the kernel's state of one site at row 0 of `MarketRow.market_array`."""
        state = empty_state(params, 1)
        state.substep[0] = self.substep
        groups = self.groups
        state.up[0] = [group.up for group in groups]
        state.down[0] = [group.down for group in groups]
        state.up_temp_c[0] = [group.up_temp_c for group in groups]
        state.down_temp_c[0] = [group.down_temp_c for group in groups]
        state.coolant_c[0] = [group.coolant_c for group in groups]
        state.rig_kw[0] = [group.rig_kw for group in groups]
        state.setpoint_kw[0] = [group.setpoint_kw for group in groups]
        state.tripped[0] = [group.tripped for group in groups]
        summarise_sites(state, params, ONLY_SITE)
        for g in range(len(groups)):
            hold_cold_starts(state, params, 0, g, NEVER_C)
        return state

    def to_text(self) -> str:
        """Return the snapshot as JSON in which every float is exact (`float.hex`)."""
        return json.dumps(_encode_snapshot(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the snapshot of a text that `to_text` wrote.

        Raises
        ------
        DataError
            If the text is no snapshot.
        """
        try:
            raw = json.loads(text)
            return cls(
                at=_instant(raw["at"]),
                substep=int(raw["substep"]),
                market=_decode_market(raw["market"]),
                groups=tuple(_decode_group(group) for group in raw["groups"]),
                uncontrolled_kw=float.fromhex(raw["uncontrolled_kw"]),
                orders=tuple(_decode_order(order) for order in raw.get("orders", ())),
                inputs=tuple(_decode_age(age) for age in raw.get("inputs", ())),
                fallback=_decode_fallback(raw.get("fallback")),
                programs=ProgramsNow.from_json(raw.get("programs")),
                trim=float.fromhex(raw["trim"]) if "trim" in raw else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise DataError(f"not a snapshot of this version: {err!r}") from err


def hash_of(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def exact(values: tuple[float, ...]) -> list[str]:
    """Return floats as text that keeps every bit."""
    return [float(value).hex() for value in values]


def from_exact(values: list[str]) -> tuple[float, ...]:
    """Return the floats of `exact`."""
    return tuple(float.fromhex(value) for value in values)


def _encode_snapshot(snapshot: SiteSnapshot) -> dict[str, Any]:
    market = snapshot.market
    return {
        "at": _text(snapshot.at),
        "substep": snapshot.substep,
        "market": None
        if market is None
        else {
            "period_start": _text(market.period_start),
            "values": exact(market.values),
            "features": market.features.hex(),
        },
        "groups": [
            {
                "name": group.name,
                "up": exact(group.up),
                "down": exact(group.down),
                "up_temp_c": exact(group.up_temp_c),
                "down_temp_c": exact(group.down_temp_c),
                "coolant_c": float(group.coolant_c).hex(),
                "rig_kw": float(group.rig_kw).hex(),
                "setpoint_kw": float(group.setpoint_kw).hex(),
                "tripped": group.tripped,
                "uncontrolled_kw": float(group.uncontrolled_kw).hex(),
            }
            for group in snapshot.groups
        ],
        "uncontrolled_kw": float(snapshot.uncontrolled_kw).hex(),
        "orders": [
            {
                "authority": order.authority,
                "reason": order.reason,
                "group": order.group,
                "at_least_kw": float(order.at_least_kw).hex(),
                "at_most_kw": float(order.at_most_kw).hex(),
            }
            for order in snapshot.orders
        ],
        "inputs": [
            {
                "name": age.name,
                "age_s": None if age.age_s is None else float(age.age_s).hex(),
                "rung": age.rung,
            }
            for age in snapshot.inputs
        ],
        "fallback": None
        if snapshot.fallback is None
        else {
            "rung": snapshot.fallback.rung,
            "power_kw": exact(snapshot.fallback.power_kw),
            "reason": snapshot.fallback.reason,
        },
        **({} if snapshot.programs is None else {"programs": snapshot.programs.to_json()}),
        **({} if snapshot.trim is None else {"trim": snapshot.trim.hex()}),
    }


def _decode_order(raw: dict[str, Any]) -> Order:
    return Order(
        authority=Authority(raw["authority"]),
        reason=str(raw["reason"]),
        group=raw["group"],
        at_least_kw=float.fromhex(raw["at_least_kw"]),
        at_most_kw=float.fromhex(raw["at_most_kw"]),
    )


def _decode_age(raw: dict[str, Any]) -> InputAge:
    age_s = None if raw["age_s"] is None else float.fromhex(raw["age_s"])
    return InputAge(name=str(raw["name"]), age_s=age_s, rung=Rung(raw["rung"]))


def _decode_fallback(raw: dict[str, Any] | None) -> Fallback | None:
    if raw is None:
        return None
    return Fallback(
        rung=Rung(raw["rung"]), power_kw=from_exact(raw["power_kw"]), reason=str(raw["reason"])
    )


def _decode_market(raw: dict[str, Any] | None) -> MarketRow | None:
    if raw is None:
        return None
    return MarketRow(
        period_start=_instant(raw["period_start"]),
        values=from_exact(raw["values"]),
        features=bytes.fromhex(raw["features"]),
    )


def _decode_group(raw: dict[str, Any]) -> GroupState:
    return GroupState(
        name=str(raw["name"]),
        up=from_exact(raw["up"]),
        down=from_exact(raw["down"]),
        up_temp_c=from_exact(raw["up_temp_c"]),
        down_temp_c=from_exact(raw["down_temp_c"]),
        coolant_c=float.fromhex(raw["coolant_c"]),
        rig_kw=float.fromhex(raw["rig_kw"]),
        setpoint_kw=float.fromhex(raw["setpoint_kw"]),
        tripped=bool(raw["tripped"]),
        uncontrolled_kw=float.fromhex(raw["uncontrolled_kw"]),
    )


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def _instant(text: str) -> datetime:
    return require_aware(datetime.fromisoformat(text), "instant").astimezone(UTC)
