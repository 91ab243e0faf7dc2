"""What a simulated rig is, what may be wrong with it, what it is told and what it reports.

What no capture of a real rig shows yet says *assumed*.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from random import Random
from typing import Literal


class WireProtocol(StrEnum):
    """The protocols that simulated rigs speak."""

    AVALON = "avalon"
    WHATSMINER_V3 = "whatsminer_v3"
    BRAIINS = "braiins"
    LUXOS = "luxos"


@dataclass(frozen=True, kw_only=True)
class RigModel:
    """How a model introduces itself, and what its firmware does with a command."""

    product: str
    model: str
    n_boards: int
    chips_per_board: int
    core: str
    protocol: WireProtocol = WireProtocol.AVALON
    firmware: str = "24102401_25462b2_9ddf522"
    acknowledges: Literal["info", "ok"] = "info"
    """Avalon. ``info``: STATUS I "success softoff:<ts>" (an Avalon Q); ``ok``: STATUS S "ASC 0 set
    OK" (a live A1466). Drivers must understand both."""
    password: str = ""
    """What the firmware wants to hear before it changes anything; "" if it asks for nothing."""
    least_load: float = 1.0
    """Lowest power limit that the firmware takes, as a fraction of nameplate; 1 if it has none."""
    preset_loads: tuple[float, ...] = ()
    """Presets that the firmware offers in place of limits, as fractions of nameplate power."""
    restarts_to_apply: bool = False
    """Whether a new power limit stops the rig and boots it again."""
    sleeps_through_reboot: bool = False
    """Whether a rig that was put to sleep still sleeps after a reboot."""


HYDRO_1566HA = RigModel(
    product="AvalonMiner 1566HA-480", model="1566HA", n_boards=4, chips_per_board=160, core="A3197S"
)
AIR_1566 = RigModel(
    product="AvalonMiner 15-194", model="15-194", n_boards=3, chips_per_board=160, core="A3197S"
)
WHATSMINER_M63S = RigModel(
    product="M63S+_VK30",
    model="M63S+_VK30",
    n_boards=4,
    chips_per_board=456,
    core="K30",
    protocol=WireProtocol.WHATSMINER_V3,
    firmware="20241101.12.REL",
    password="super",
    least_load=0.4,
    restarts_to_apply=True,
)
"""Assumed: the least limit, and that ``stop`` does not outlast a reboot (``disable`` would)."""

BRAIINS_S21 = RigModel(
    product="Antminer S21",
    model="S21",
    n_boards=3,
    chips_per_board=108,
    core="BM1368",
    protocol=WireProtocol.BRAIINS,
    firmware="24.11",
    password="root",
    least_load=0.4,
)
LUXOS_S21 = RigModel(
    product="Antminer S21",
    model="S21",
    n_boards=3,
    chips_per_board=108,
    core="BM1368",
    protocol=WireProtocol.LUXOS,
    firmware="2024.11.1.120000",
    preset_loads=tuple(step / 20 for step in range(8, 21)),
    sleeps_through_reboot=True,
)
"""Sleep outlasts a reboot (docs.luxor.tech, curtail). Assumed: thirteen presets, 40 to 100 %."""


@dataclass(frozen=True, kw_only=True)
class RigMismatch:
    """How one rig differs from its group's model; the defaults are the model itself."""

    power_lag_s: float = 0.0
    """First-order lag of power, up and down."""
    power_factor: float = 1.0
    """True power per modelled power."""
    efficiency_factor: float = 1.0
    """True J/TH per modelled J/TH: above 1 hashes less for the same power."""
    reported_power_factor: float = 1.0
    """Power that the rig reports per true power."""


class Change(StrEnum):
    """What a command asks a rig to change."""

    STOP = "stop"
    START = "start"
    LEVEL = "level"
    POWER_LIMIT = "power_limit"
    REBOOT = "reboot"


class Fate(StrEnum):
    """What a rig made of a change that it was told."""

    OBEYED = "obeyed"
    FEIGNED = "feigned"  # acknowledged, not made
    REFUSED = "refused"  # answered with an error
    SILENT = "silent"  # neither made nor answered
    REBOOTED = "rebooted"  # the rig rebooted instead, and did not answer


@dataclass(frozen=True, kw_only=True)
class RigFaults:
    """What is wrong with one rig; the defaults are a rig that obeys.

    A *change* is any command but a question: stop, start, work level, power limit, reboot.
    """

    unreachable: Literal["no", "refused", "hang", "black_hole"] = "no"
    """``refused``: nothing listens; ``hang``: accepts and never answers; ``black_hole``: the
    network drops every attempt to connect."""
    lies: bool = False
    """Acknowledges every change and makes none."""
    refuses: bool = False
    """Answers every change with an error and makes none."""
    ignores: bool = False
    """Closes on every change without a word and makes none."""
    ignores_stop: bool = False
    """Acknowledges a stop and goes on hashing; obeys everything else."""
    softon_noreply: bool = False
    """Avalon: obeys soft-on but closes without a word, as A-series firmware does."""
    clock_skew_s: float = 0.0
    """The rig's clock minus the true time."""
    drop_reply: float = 0.0
    """Probability that a command is carried out and its reply lost."""
    half_reply: float = 0.0
    """Probability that a command is carried out and its reply breaks off in the middle."""
    latency_s: float = 0.0
    """Wall time for which each command keeps the rig busy."""
    reboot_on_change: float = 0.0
    """Probability that a change, instead of being made, reboots the rig before it replies."""
    stale_telemetry: bool = False
    """Reports what it reported when this fault began; its clock goes on."""
    nan_telemetry: bool = False
    """Reports NaN where numbers belong, or leaves them out where the protocol has no NaN."""
    pool_down: bool = False
    """The pool is gone: the rig reports so, hashes nothing and draws standby power (assumed)."""
    restarted_at: datetime | None = None
    """When a person restarts the rig by hand."""

    def fate_of(self, change: Change, luck: Random) -> Fate:
        """Return what a rig with these faults makes of a change."""
        if self.ignores:
            return Fate.SILENT
        if self.refuses:
            return Fate.REFUSED
        if self.reboot_on_change > 0.0 and luck.random() < self.reboot_on_change:
            return Fate.REBOOTED
        if self.lies or (self.ignores_stop and change is Change.STOP):
            return Fate.FEIGNED
        return Fate.OBEYED


class WorkState(StrEnum):
    """What the firmware says it is doing."""

    WORK = "In Work"
    INIT = "In Init"
    IDLE = "In Idle"


@dataclass(frozen=True, kw_only=True)
class ReceivedCommand:
    """One command as the rig saw it: the world's side of the journal."""

    received_at: datetime
    rig_clock_at: datetime
    text: str
    replied: bool
    """Whether a whole reply went out."""
    change: Change | None = None
    """What it asked to change; None for a question."""
    fate: Fate | None = None


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """What the firmware knows of its rig at one instant; NaN where it knows none."""

    power_w: float
    hashrate_ths: float
    chip_temp_c: float
    coolant_c: float
    state: WorkState
    soft_off: bool
    pool_alive: bool
    uptime_s: float
    level_power_w: float
    """Power at the work level or power limit that counts."""
    level_hashrate_ths: float
    mean_hashrate_ths: Callable[[float], float]
    """Mean over a window [s] until the instant, or since the simulation began where shorter."""
