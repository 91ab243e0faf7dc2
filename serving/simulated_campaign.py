"""A campaign of faults: which rigs, what is wrong with them, from when to when.

A TOML file has an optional ``seed`` and one ``[[fault]]`` after another. Times are seconds after
the campaign's start; without ``until_s`` a fault lasts. Rigs are named (``rigs``), or drawn by
``count`` or ``fraction`` with the seed, from the ``groups`` given or from all; a rig that an
earlier block has drawn or named is drawn again only with ``may_overlap = true``.

.. code-block:: toml

    seed = 7

    [[fault]]
    kind = "hang"
    fraction = 0.1
    from_s = 600
    until_s = 1200

    [[fault]]
    kind = "slow"
    rigs = ["loop_a-001"]
    delay_s = 3.0
"""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from gridhash.config_blocks import Block, describe_faults, read_toml
from gridhash.errors import ConfigError
from gridhash.serving.simulated_model import Change

STEADY: dict[str, dict[str, Any]] = {
    "refuse": {"unreachable": "refused"},
    "hang": {"unreachable": "hang"},
    "black_hole": {"unreachable": "black_hole"},
    "lie": {"lies": True},
    "say_no": {"refuses": True},
    "hang_up": {"ignores": True},
    "ignore_stop": {"ignores_stop": True},
    "stale": {"stale_telemetry": True},
    "nan": {"nan_telemetry": True},
    "pool_down": {"pool_down": True},
}
"""Faults without a parameter, and what each sets of `RigFaults`."""


class FaultBlock(Block):
    """What every fault says: whom it meets, and when."""

    rigs: tuple[str, ...] = Field(default=(), description="names of rigs")
    groups: tuple[str, ...] = Field(default=(), description="groups to draw from; all if none")
    count: int | None = Field(default=None, ge=1, description="how many rigs to draw")
    fraction: float | None = Field(default=None, gt=0, le=1, description="share of rigs to draw")
    may_overlap: bool = Field(default=False, description="draw rigs that already have a fault")
    from_s: float = Field(default=0.0, ge=0, description="when it begins")
    until_s: float | None = Field(default=None, description="when it ends; never if absent")

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [bool(self.rigs), self.count is not None, self.fraction is not None]
        if sum(given) != 1:
            raise ValueError("give exactly one of rigs, count and fraction")
        if self.rigs and self.groups:
            raise ValueError("groups are drawn from: leave them out where rigs are named")
        if self.until_s is not None and self.until_s <= self.from_s:
            raise ValueError(f"until_s {self.until_s:g} is not after from_s {self.from_s:g}")
        return self

    def sets(self) -> dict[str, Any]:
        """Return what the fault sets of `RigFaults` while it lasts."""
        return {}


class SteadyFault(FaultBlock):
    """A fault without a parameter."""

    kind: Literal[
        "refuse", "hang", "black_hole", "lie", "say_no", "hang_up", "ignore_stop", "stale", "nan",
        "pool_down",
    ] = Field(description="what is wrong")  # fmt: skip

    def sets(self) -> dict[str, Any]:
        """Return what the fault sets of `RigFaults` while it lasts."""
        return STEADY[self.kind]


class ChanceFault(FaultBlock):
    """A fault that meets some commands and not others."""

    kind: Literal["drop_reply", "half_reply", "reboot_mid_command"] = Field(
        description="what goes wrong: replies get lost, or break off; a change reboots the rig"
    )
    probability: float = Field(default=1.0, gt=0, le=1, description="of each command")

    def sets(self) -> dict[str, Any]:
        """Return what the fault sets of `RigFaults` while it lasts."""
        name = "reboot_on_change" if self.kind == "reboot_mid_command" else self.kind
        return {name: self.probability}


class SlowFault(FaultBlock):
    """Each command keeps the rig busy for a time."""

    kind: Literal["slow"] = Field(description="what is wrong")
    delay_s: float = Field(gt=0, le=600, description="wall time per command")

    def sets(self) -> dict[str, Any]:
        """Return what the fault sets of `RigFaults` while it lasts."""
        return {"latency_s": self.delay_s}


class ClockFault(FaultBlock):
    """The rig's clock is wrong."""

    kind: Literal["clock_skew"] = Field(description="what is wrong")
    skew_s: float = Field(description="rig's clock minus the true time")

    def sets(self) -> dict[str, Any]:
        """Return what the fault sets of `RigFaults` while it lasts."""
        return {"clock_skew_s": self.skew_s}


class HandFault(FaultBlock):
    """A person, or another manager, changes rigs: once, or again and again until `until_s`."""

    kind: Literal["by_hand"] = Field(description="what happens")
    change: Literal[Change.STOP, Change.START, Change.REBOOT, Change.POWER_LIMIT] = Field(
        description="what is changed: stop, start, reboot or power_limit"
    )
    power_w: float | None = Field(default=None, gt=0, description="the limit of power_limit")
    every_s: float | None = Field(default=None, ge=1, description="how often; once if absent")

    @model_validator(mode="after")
    def _check_change(self) -> Self:
        if (self.change is Change.POWER_LIMIT) != (self.power_w is not None):
            raise ValueError("power_w belongs to change = 'power_limit', and only there")
        if (self.every_s is None) != (self.until_s is None):
            raise ValueError("every_s needs until_s, and until_s needs every_s")
        return self


class SwapFault(FaultBlock):
    """Rigs exchange addresses in pairs, and back when it ends."""

    kind: Literal["swap_addresses"] = Field(description="what happens")


class PowerFault(FaultBlock):
    """Rigs lose power, and boot by themselves when it returns."""

    kind: Literal["power_cut"] = Field(description="what happens")
    until_s: float = Field(description="when power returns")

    def sets(self) -> dict[str, Any]:
        """Return what the fault sets of `RigFaults` while it lasts: nobody answers."""
        return {"unreachable": "black_hole"}


Fault = SteadyFault | ChanceFault | SlowFault | ClockFault | HandFault | SwapFault | PowerFault


class Campaign(Block):
    """A file of faults."""

    seed: int = Field(default=0, ge=0, description="of the draw of rigs")
    fault: tuple[Annotated[Fault, Field(discriminator="kind")], ...] = Field(
        min_length=1, description="one block per fault"
    )


def load_campaign(path: Path) -> Campaign:
    """Read a campaign.

    Raises
    ------
    ConfigError
        With file, key, value and what to do.
    """
    values = read_toml(
        path, missing=f"there is no campaign {path}: give the path of a TOML file with [[fault]]"
    )
    try:
        return Campaign.model_validate(values)
    except ValidationError as err:
        raise ConfigError(f"{path}: {describe_faults(err)}") from err


def rigs_of_faults(
    campaign: Campaign, group_of: dict[str, str], *, origin: str
) -> list[tuple[Fault, list[str]]]:
    """Return each fault with the rigs that it meets, drawn by the seed; `origin` names the file.

    Parameters
    ----------
    group_of
        Group by rig, in the order of the fleet.

    Raises
    ------
    ConfigError
        If a named rig or group does not exist, too few rigs are left to draw from, or an odd
        number are to swap addresses.
    """
    luck = random.Random(campaign.seed)
    taken: set[str] = set()
    met = []
    for number, fault in enumerate(campaign.fault, 1):
        place = f"{origin}: fault {number} ({fault.kind})"
        rigs = _chosen(fault, group_of, taken, luck, place)
        if isinstance(fault, SwapFault) and len(rigs) % 2:
            raise ConfigError(
                f"{place}: {len(rigs)} rigs cannot swap addresses in pairs; name an even number"
            )
        taken.update(rigs)
        met.append((fault, rigs))
    return met


def _chosen(
    fault: Fault, group_of: dict[str, str], taken: set[str], luck: random.Random, place: str
) -> list[str]:
    _check_known("rigs", fault.rigs, group_of, place)
    _check_known("groups", fault.groups, group_of.values(), place)
    if fault.rigs:
        return list(fault.rigs)
    able = [rig for rig, group in group_of.items() if not fault.groups or group in fault.groups]
    count = fault.count
    if count is None:
        assert fault.fraction is not None
        count = max(round(fault.fraction * len(able)), 1)
        if isinstance(fault, SwapFault):
            count += count % 2
    left = [rig for rig in able if fault.may_overlap or rig not in taken]
    if count > len(left):
        raise ConfigError(
            f"{place}: {count} rigs are to be drawn and {len(left)} of {len(able)} have no fault "
            "yet; ask for fewer, or give may_overlap = true"
        )
    return luck.sample(left, count)


def _check_known(key: str, names: Iterable[str], known: Iterable[str], place: str) -> None:
    there = set(known)
    if unknown := sorted(set(names) - there):
        some = ", ".join(sorted(there)[:3])
        raise ConfigError(
            f"{place}: {key}: the fleet has no {', '.join(unknown)}; it has {some} "
            f"{'and others' if len(there) > 3 else ''}".rstrip()
        )
