"""What each rig model can be told: our own table, not the flags of a driver's library.

pyasic's flags are wrong in both directions (Avalon says it cannot shut down and can; others say
they can and cannot), and its ``set_power_limit`` on an Avalon turns any wattage into the highest
work level. So a command that this table does not list is not sent.
"""

from dataclasses import dataclass, replace

from gridhash.config import Mark


@dataclass(frozen=True, kw_only=True)
class Capability:
    """Commands of one model and how we know that it takes them."""

    model: str
    """Start of what the firmware calls itself, compared without case."""
    on_off: bool
    work_levels: tuple[int, ...]
    """Levels that `set_work_level` may be given; empty if none is known to work."""
    continuous_power: bool
    mark: Mark
    source: str

    def with_commissioned_levels(self, levels: tuple[int, ...]) -> "Capability":
        """Return the capability with work levels that were measured on site."""
        if not levels:
            return self
        return replace(
            self, work_levels=levels, mark="measured", source=f"{self.source}; levels commissioned"
        )


CAPABILITIES = (
    Capability(
        model="AvalonMiner 1566HA",
        on_off=True,
        work_levels=(),
        continuous_power=False,
        mark="assumed",
        source="soft-off as on other Avalon A-series; no public capture of a hydro A1566HA",
    ),
    Capability(
        model="AvalonMiner 15-194",
        on_off=True,
        work_levels=(),
        continuous_power=False,
        mark="sourced",
        source="soft-off of Avalon A-series: Canaan API manual, asic-rs on a live A1466",
    ),
)
"""Models that may be commanded, most specific first."""

NO_COMMANDS = Capability(
    model="",
    on_off=False,
    work_levels=(),
    continuous_power=False,
    mark="assumed",
    source="the model is not in the capability table: it is read, never commanded",
)


def capability_of(model: str) -> Capability:
    """Return what a model can be told; `NO_COMMANDS` for a model that is not in the table."""
    for capability in CAPABILITIES:
        if model.casefold().startswith(capability.model.casefold()):
            return capability
    return NO_COMMANDS
