"""How a site is operated, besides what it is: the TOML file of `gridhash serve --operation`."""

import math
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from gridhash.config import SiteConfig
from gridhash.config_blocks import Block, describe_faults, parse_toml
from gridhash.errors import ConfigError
from gridhash.serving.input_age import AGE_LIMITS
from gridhash.serving.ladder import ScheduleEntry, StandIn
from gridhash.serving.modbus_config import MeterBlock, PlantBlock
from gridhash.serving.permissives import Permissive
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.topology import Circuit, Topology

Share = Annotated[float, Field(ge=0, le=1)]


class ScheduleBlock(Block):
    """From a local time of day on, a share of the power of all rigs."""

    start: time = Field(description="local at the site, as 06:00:00")
    share: Share


class StandInBlock(Block):
    """What is asked for while no price is known."""

    schedule: tuple[ScheduleBlock, ...] = Field(
        default=(), max_length=96, description="after the last price is two hours old"
    )
    schedule_up_to_h: float = Field(
        default=24.0, gt=0, le=24 * 31, description="age of the price at which it ends"
    )
    safe_share: Share = Field(default=0.0, description="after the schedule, or without one")

    @model_validator(mode="after")
    def _check(self) -> Self:
        starts = [entry.start for entry in self.schedule]
        if starts != sorted(set(starts)):
            raise ValueError("the schedule must rise by its time of day, each time once")
        if any(start.tzinfo is not None for start in starts):
            raise ValueError("times of the schedule are local: give no time zone")
        return self


class PermissiveBlock(Block):
    """A sensor of the plant without which rigs do not start, and beyond whose range none runs."""

    sensor: str = Field(min_length=1, max_length=64)
    groups: tuple[str, ...] = Field(default=(), description="that need it; all if left out")
    low: float = float("-inf")
    high: float = float("inf")
    latches: bool = Field(default=False, description="a trip stays until a person clears it")
    stale_s: float = Field(
        default=AGE_LIMITS["plant"].last_good_s,
        gt=0,
        le=600,
        description="age from which it is none",
    )


class GuardBlock(Block):
    """A guard on another host, to which heartbeats are pushed."""

    address: str = Field(description="HOST:PORT")
    key: Path = Field(description="key file, beside this file unless absolute")


class CircuitBlock(Block):
    """A feeder, a PDU: what several rigs hang on."""

    name: str = Field(min_length=1, max_length=64)
    rigs: tuple[str, ...] = Field(default=(), max_length=10_000)
    racks: tuple[str, ...] = Field(default=(), description="whose rigs hang on it too")
    groups: tuple[str, ...] = Field(default=(), description="whose rigs hang on it too")
    cap_kw: float | None = Field(default=None, gt=0, description="of its rigs; no cap if left out")


class PaceBlock(Block):
    """How fast rigs are raised and lowered, besides the limits of the site file."""

    packet_rigs: int = Field(default=10, ge=1, le=10_000, description="started at once")
    pause_s: float = Field(default=5.0, gt=0, le=600, description="between two packets")
    ramp_up_kw_per_min: float | None = Field(
        default=None, gt=0, description="fastest rise; the site file's besides"
    )
    ramp_down_kw_per_min: float | None = Field(
        default=None, gt=0, description="fastest fall by policy, schedule or hold; none if left out"
    )


class OperationConfig(Block):
    """Everything that a running site needs and no policy learns."""

    format_version: Literal[1] = Field(default=1, description="layout of the file")
    stand_in: StandInBlock = StandInBlock()
    orders: Path | None = Field(
        default=None, description="folder of JSON orders, beside this file unless absolute"
    )
    meter: MeterBlock | None = Field(default=None, description="of the whole site, Modbus TCP")
    plant: PlantBlock | None = Field(default=None, description="of the cooling, Modbus TCP")
    permissives: tuple[PermissiveBlock, ...] = Field(default=(), max_length=64)
    racks: dict[str, tuple[str, ...]] = Field(
        default={}, description="rigs of each rack, for the canary"
    )
    circuits: tuple[CircuitBlock, ...] = Field(
        default=(), max_length=1000, description="feeders and PDUs"
    )
    pace: PaceBlock = PaceBlock()
    guards: tuple[GuardBlock, ...] = Field(default=(), max_length=8)

    @property
    def rack_of(self) -> dict[str, str]:
        """Rack of each rig that the file names."""
        return {rig_id: rack for rack, rigs in self.racks.items() for rig_id in rigs}

    def to_settings(self) -> ControllerSettings:
        """Return how the controller supervises."""
        block = self.pace
        return ControllerSettings(
            start_packet_rigs=block.packet_rigs,
            start_packet_pause_s=block.pause_s,
            ramp_up_kw_per_min=block.ramp_up_kw_per_min or math.inf,
            ramp_down_kw_per_min=block.ramp_down_kw_per_min or math.inf,
        )

    def to_stand_in(self) -> StandIn:
        """Return what stands in for the price."""
        block = self.stand_in
        return StandIn(
            schedule=tuple(ScheduleEntry(start=e.start, share=e.share) for e in block.schedule),
            safe_share=block.safe_share,
            schedule_up_to_s=block.schedule_up_to_h * 3600.0,
        )

    def to_topology(self, group_of: Mapping[str, str]) -> Topology:
        """Return the circuits, `group_of` being the group of each rig of the list.

        Raises
        ------
        ConfigError
            If one has no rig, or names a rig, rack or group that there is not.
        """
        circuits = []
        names = [block.name for block in self.circuits]
        for block in self.circuits:
            if names.count(block.name) > 1:
                raise ConfigError(f"two circuits are called {block.name}: give each its own name")
            if unknown := sorted(set(block.racks) - set(self.racks)):
                raise ConfigError(f"circuit {block.name}: no rack is called {unknown[0]}")
            if unknown := sorted(set(block.groups) - set(group_of.values())):
                raise ConfigError(f"circuit {block.name}: the site has no group {unknown[0]}")
            if unknown := sorted(set(block.rigs) - set(group_of)):
                raise ConfigError(f"circuit {block.name}: the rig list has no rig {unknown[0]}")
            rigs = {
                *block.rigs,
                *(rig_id for rack in block.racks for rig_id in self.racks[rack]),
                *(rig_id for rig_id, group in group_of.items() if group in block.groups),
            }
            if not rigs:
                raise ConfigError(
                    f"circuit {block.name} has no rig: name rigs, racks or groups that hang on it"
                )
            circuits.append(Circuit(name=block.name, rigs=frozenset(rigs), cap_kw=block.cap_kw))
        return Topology(circuits)

    def to_permissives(self) -> list[Permissive]:
        """Return the permissives of the plant."""
        return [Permissive(**block.model_dump()) for block in self.permissives]


def read_operation(path: Path) -> OperationConfig:
    """Read an operation file.

    Raises
    ------
    ConfigError
        If it cannot be read or a key is wrong.
    """
    try:
        raw = parse_toml(path.read_text("utf-8"), origin=str(path))
        operation = OperationConfig.model_validate(raw)
        operation.to_permissives()
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: not UTF-8 text: {err}") from err
    except ValidationError as err:
        raise ConfigError(f"{path}: {describe_faults(err)}") from err
    except ValueError as err:
        raise ConfigError(f"{path}: {err}") from err
    return operation


def load_operation(path: Path, site: SiteConfig, group_of: Mapping[str, str]) -> OperationConfig:
    """Read an operation file and hold it against its site; `group_of` names each rig's group.

    Raises
    ------
    ConfigError
        If it cannot be read, a key is wrong, or it names a group or rig that the site has not.
    """
    operation = read_operation(path)
    groups = {group.name for group in site.groups}
    for block in operation.permissives:
        if unknown := sorted(set(block.groups) - groups):
            raise ConfigError(
                f"{path}: permissive {block.sensor}: the site has no group {unknown[0]}; it has "
                f"{', '.join(sorted(groups))}"
            )
        if operation.plant is not None and block.sensor not in operation.plant.sensors:
            raise ConfigError(
                f"{path}: permissive {block.sensor}: the plant has no such sensor; it has "
                f"{', '.join(operation.plant.sensors)}"
            )
    for rack, rigs in operation.racks.items():
        if unknown := sorted(set(rigs) - set(group_of)):
            raise ConfigError(f"{path}: racks.{rack}: the rig list has no rig {unknown[0]}")
    try:
        operation.to_topology(group_of)
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err
    return operation
