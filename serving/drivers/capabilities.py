"""What each firmware on each model can be told: our own table, not the flags of a driver's library.

pyasic's flags are wrong in both directions (Avalon says it cannot shut down and can; others say
they can and cannot), and its ``set_power_limit`` on an Avalon turns any wattage into the highest
work level. So a command that this table does not list is not sent.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from gridhash.config import FigureSource, Mark


class FirmwareName(StrEnum):
    """Firmwares that there is a driver for, as a rig list names them."""

    AVALON = "avalon"
    BRAIINS = "braiins"
    WHATSMINER_V3 = "whatsminer_v3"
    WHATSMINER_V2 = "whatsminer_v2"
    LUXOS = "luxos"
    VNISH = "vnish"
    EPIC = "epic"
    ANTMINER = "antminer"


@dataclass(frozen=True, kw_only=True)
class Capability:
    """Commands of one firmware on one model and how we know that it takes them."""

    firmware: FirmwareName = FirmwareName.AVALON
    model: str
    """Start of what the firmware calls itself, compared without case; empty for every model."""
    on_off: bool
    work_levels: tuple[int, ...] = ()
    """Levels that `set_work_level` may be given; empty if none is known to work."""
    presets: bool = False
    """Whether it runs at presets of its own; which, the rig tells."""
    continuous_power: bool = False
    """Whether it takes any number of watts between limits; which, the rig tells if it can."""
    change_restarts: bool = False
    """Whether a new level, preset or power stops the rig and boots it again."""
    sleep_survives_reboot: bool | None = None
    """Whether a stopped rig is still stopped after a reboot or a power failure; None: unknown."""
    reports_power: bool = True
    """Whether it tells its power; if not, nothing can be verified without a meter."""
    min_power_w: float | None = None
    """Lowest power target where the rig does not tell."""
    standby_w: float | None = None
    """Of one stopped rig, where the model is known."""
    figures: tuple[FigureSource, ...]
    """How each of these is known; the first is of the commands."""

    @property
    def mark(self) -> Mark:
        """How it is known that the rig takes these commands."""
        return self.figures[0].mark

    @property
    def source(self) -> str:
        """Whence it is known that the rig takes these commands."""
        return self.figures[0].source

    @property
    def takes_power(self) -> bool:
        """Whether `set_power_kw` can be used, be it by presets."""
        return self.continuous_power or self.presets

    @property
    def takes_load(self) -> bool:
        """Whether the rig can run at partial load."""
        return self.takes_power or bool(self.work_levels)

    def with_commissioned_levels(self, levels: tuple[int, ...]) -> "Capability":
        """Return the capability with work levels that were measured on site."""
        if not levels:
            return self
        source = f"{self.source}; levels commissioned"
        commands = FigureSource(figure="commands", mark="measured", source=source)
        return replace(self, work_levels=levels, figures=(commands, *self.figures[1:]))


REBOOTING = frozenset(
    {FirmwareName.AVALON, FirmwareName.BRAIINS, FirmwareName.WHATSMINER_V3, FirmwareName.LUXOS}
)
"""Firmwares that can be told to reboot, which commissioning does."""


def _figure(figure: str, mark: Mark, source: str) -> FigureSource:
    return FigureSource(figure=figure, mark=mark, source=source)


_ANY_STANDBY = _figure("standby_w", "assumed", "unknown: taken from the site file's group")
_AVALON_STANDBY = _figure(
    "standby_w", "assumed", "control board alone, as in the rig files; no capture"
)
_S21_STANDBY = _figure("standby_w", "assumed", "sleep keeps fans and control alive")
_SURVIVAL_UNKNOWN = _figure("sleep_survives_reboot", "assumed", "unknown until commissioned")

_BRAIINS = Capability(
    firmware=FirmwareName.BRAIINS,
    model="",
    on_off=True,
    continuous_power=True,
    figures=(
        _figure(
            "commands",
            "sourced",
            "Braiins OS+ public gRPC API: PauseMining, ResumeMining, SetPowerTarget within "
            "GetConstraints",
        ),
        _figure(
            "change_restarts", "sourced", "the tuner moves to a new target while the rig hashes"
        ),
        _SURVIVAL_UNKNOWN,
        _ANY_STANDBY,
    ),
)
_WHATSMINER_V3 = Capability(
    firmware=FirmwareName.WHATSMINER_V3,
    model="",
    on_off=True,
    continuous_power=True,
    change_restarts=True,
    sleep_survives_reboot=False,
    figures=(
        _figure(
            "commands",
            "sourced",
            "WhatsMiner API 3.0: set.miner.service, set.miner.power_limit (at most standard power)",
        ),
        _figure(
            "change_restarts", "sourced", 'WhatsMiner API 3.0: "the device will restart to apply"'
        ),
        _figure(
            "sleep_survives_reboot",
            "sourced",
            "WhatsMiner API 3.0: stop holds until the service starts; disable would outlast a boot",
        ),
        _figure("min_power_w", "assumed", "not published; a rig refuses what it cannot do"),
        _ANY_STANDBY,
    ),
)
_WHATSMINER_V2 = replace(
    _WHATSMINER_V3,
    firmware=FirmwareName.WHATSMINER_V2,
    sleep_survives_reboot=None,
    figures=(
        _figure(
            "commands",
            "sourced",
            "WhatsMiner API 2.0: power_off, power_on, adjust_power_limit, as pyasic 0.79.0 sends",
        ),
        _figure("change_restarts", "sourced", "pyasic: the miner reboots after adjust_power_limit"),
        _SURVIVAL_UNKNOWN,
        _figure("min_power_w", "assumed", "not published; a rig refuses what it cannot do"),
        _ANY_STANDBY,
    ),
)
_LUXOS = Capability(
    firmware=FirmwareName.LUXOS,
    model="",
    on_off=True,
    presets=True,
    sleep_survives_reboot=True,
    figures=(
        _figure("commands", "sourced", "docs.luxor.tech: curtail sleep|wakeup, profileset"),
        _figure("change_restarts", "assumed", "a new profile ramps while the rig hashes"),
        _figure("sleep_survives_reboot", "sourced", "docs.luxor.tech: sleep persists a restart"),
        _ANY_STANDBY,
    ),
)
_VNISH = Capability(
    firmware=FirmwareName.VNISH,
    model="",
    on_off=True,
    presets=True,
    change_restarts=True,
    figures=(
        _figure(
            "commands",
            "sourced",
            "VNish 1.2 web API: mining/stop, mining/start, settings with a tuned preset",
        ),
        _figure("change_restarts", "assumed", "a new preset may ask for restart_required"),
        _SURVIVAL_UNKNOWN,
        _ANY_STANDBY,
    ),
)
_EPIC = Capability(
    firmware=FirmwareName.EPIC,
    model="",
    on_off=True,
    figures=(
        _figure("commands", "sourced", "ePIC UMC API: miner Stop|Autostart, as pyasic sends"),
        _SURVIVAL_UNKNOWN,
        _ANY_STANDBY,
    ),
)
_ANTMINER = Capability(
    firmware=FirmwareName.ANTMINER,
    model="",
    on_off=True,
    sleep_survives_reboot=True,
    reports_power=False,
    figures=(
        _figure("commands", "sourced", "stock firmware since 2020: miner-mode 1 sleeps, 0 hashes"),
        _figure(
            "sleep_survives_reboot", "assumed", "the mode stands in the rig's configuration file"
        ),
        _figure(
            "reports_power", "sourced", "no field of power that pyasic or asic-rs reads on air rigs"
        ),
        _ANY_STANDBY,
    ),
)


def _s21_hydro(capability: Capability, model: str) -> Capability:
    figures = (*capability.figures[:-1], _S21_STANDBY)
    return replace(capability, model=model, standby_w=40.0, figures=figures)


CAPABILITIES = (
    Capability(
        model="AvalonMiner 1566HA",
        on_off=True,
        standby_w=20.0,
        figures=(
            _figure(
                "commands",
                "assumed",
                "soft-off as on other Avalon A-series; no public capture of a hydro A1566HA",
            ),
            _figure("sleep_survives_reboot", "assumed", "unknown until commissioned"),
            _AVALON_STANDBY,
        ),
    ),
    Capability(
        model="AvalonMiner 15-194",
        on_off=True,
        standby_w=20.0,
        figures=(
            _figure(
                "commands",
                "sourced",
                "soft-off of Avalon A-series: Canaan API manual, asic-rs on a live A1466",
            ),
            _figure("sleep_survives_reboot", "assumed", "unknown until commissioned"),
            _AVALON_STANDBY,
        ),
    ),
    _s21_hydro(_BRAIINS, "Antminer S21"),
    _BRAIINS,
    _WHATSMINER_V3,
    _WHATSMINER_V2,
    _s21_hydro(_LUXOS, "Antminer S21"),
    _LUXOS,
    _s21_hydro(_VNISH, "Antminer S21"),
    _VNISH,
    _EPIC,
    _s21_hydro(_ANTMINER, "Antminer S21"),
    _ANTMINER,
)
"""Models that may be commanded; within a firmware the most specific first."""

NO_COMMANDS = Capability(
    model="",
    on_off=False,
    figures=(
        _figure(
            "commands",
            "assumed",
            "the model is not in the capability table: it is read, never commanded",
        ),
    ),
)


def capability_of(model: str, firmware: FirmwareName = FirmwareName.AVALON) -> Capability:
    """Return what a model can be told; `NO_COMMANDS` for a model that is not in the table."""
    for capability in CAPABILITIES:
        known = model.casefold().startswith(capability.model.casefold())
        if known and capability.firmware is firmware:
            return capability
    return NO_COMMANDS
