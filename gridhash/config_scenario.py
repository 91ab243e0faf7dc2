"""What a scenario is: a site, its prices, its programs' processes, episodes and spans; one TOML.

A scenario of the package is read with ``load_scenario_config("JapanPilot")``, a file of one's own
by its path. `site` names a preset or holds a whole site; `overrides` is merged into it and the
result is validated as any site, so that a fault names the key that is wrong. A scenario may be
`based_on` another: what it says is merged over what that one says.
"""

from collections.abc import Mapping
from datetime import date
from importlib import resources
from itertools import pairwise, product
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from gridhash.config import SiteConfig, load_site
from gridhash.config_blocks import Block, FigureSource, describe_faults, parse_toml, read_toml
from gridhash.config_merge import merged
from gridhash.config_processes import ProcessSettings
from gridhash.config_trace import (
    JAPAN_PERIOD_S,
    SERIES_PERIOD_S,
    MarketTrace,
    ReferenceTrace,
    StoredTrace,
    SyntheticJapanTrace,
    TraceSource,
)
from gridhash.errors import ConfigError
from gridhash.units import SECONDS_PER_DAY

MIN_EMBARGO_DAYS = 7.0
TARIFF_BLOCKS = (
    "time_of_use",
    "power_purchase",
    "demand_charge",
    "coincident_peaks",
    "balancing",
    "behind_meter_pv",
    "capacity_contribution",
    "surplus_quota_kwh_per_day",
    "renewable_levy_per_kwh",
    "carbon_price_per_t",
)
"""Parts of a tariff that are named where a scenario is described."""
HEARD_BY = {
    "pause_orders": "programs.pause_orders",
    "dr_down": "programs.demand_reduction",
    "dr_up": "programs.demand_increase",
    "imbalance": "tariff.balancing",
    "base_points": "programs.base_point",
    "ancillary": "programs.ancillary",
}
"""Block of the site without which what a process draws would be ignored."""
MAX_DEPTH = 4
"""How many scenarios may stand on each other."""

REAL = "real"
ON_REAL_SERIES = "@real"
"""At the end of a scenario's name or path: with its table `real` merged over it."""


class EpisodeConfig(Block):
    """How the scenario's environments play unless their arguments say otherwise."""

    episode_days: float = Field(default=7.0, gt=0, le=366, description="length of an episode")
    action_kind: Literal["shadow_price", "power", "levels"] = Field(
        default="shadow_price", description="what an action means"
    )
    relative_reward: bool = Field(
        default=True, description="profit less that of the best static operating point"
    )


class Range(Block):
    """A figure that is drawn evenly between two values."""

    low: float = Field(description="least")
    high: float = Field(description="most")

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            if len(value) != 2:
                raise ValueError(f"write a range as [low, high]; found {list(value)}")
            return {"low": value[0], "high": value[1]}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"the range [{self.low:g}, {self.high:g}] runs backwards")
        return self


class RandomisationConfig(Block):
    """What varies from draw to draw of `gridhash.envs.named_scenario.randomised`; absent: nothing.

    A drawn hashprice is the mean of the span: a path in the trace keeps its shape.
    """

    hashprice_usd_per_phs_day: Range | None = Field(default=None, description="mean of the span")
    curve_b: Range | None = Field(
        default=None,
        description="slope of every group's efficiency curve; a profile tilts to it",
    )
    adders_per_kwh: Range | None = Field(default=None, description="of the market block")
    currency_per_usd: Range | None = Field(default=None, description="mean of the span")
    outdoor_offset_k: Range | None = Field(default=None, description="added to every temperature")
    start_cost_per_fleet_start: Range | None = Field(default=None, description="of the site")


class SpansConfig(Block):
    """Which part teaches, which chooses and which judges: by local dates, else by shares.

    Parts follow each other in this order; the embargo is taken from the end of the earlier one.
    """

    validation_from: date | None = Field(default=None, description="local")
    test_from: date | None = Field(default=None, description="local")
    train_share: float = Field(default=8 / 12, gt=0, lt=1, description="where no dates are given")
    validation_share: float = Field(
        default=1 / 12, gt=0, lt=1, description="where no dates are given"
    )
    embargo_days: float = Field(
        default=8.0, ge=MIN_EMBARGO_DAYS, le=60, description="left out before each border"
    )
    test_parts_from: tuple[date, ...] = Field(
        default=(),
        description="local days in the test from which it is played anew and reported apart",
    )
    exploratory: bool = Field(default=False, description="too short for a claim; results say so")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.validation_from is None) != (self.test_from is None):
            raise ValueError("validation_from and test_from go together: give both or neither")
        if self.test_from and self.validation_from and self.test_from <= self.validation_from:
            raise ValueError(
                f"test_from {self.test_from} must come after validation_from {self.validation_from}"
            )
        borders = (*((self.test_from,) if self.test_from else ()), *self.test_parts_from)
        if any(later <= earlier for earlier, later in pairwise(borders)):
            raise ValueError(
                f"test_from and test_parts_from must rise; found {', '.join(map(str, borders))}"
            )
        if self.train_share + self.validation_share >= 1.0:
            raise ValueError(
                f"train_share {self.train_share:g} and validation_share {self.validation_share:g} "
                "leave nothing for the test: their sum must be below 1"
            )
        return self


class ValueText(Block):
    """What the page of a scenario says in words."""

    lies_in: str = Field(min_length=1, description="where a good policy earns more than a rule")
    uncertain: str = Field(min_length=1, description="what is not known when it is decided")
    synthetic: tuple[str, ...] = Field(
        default=(), description="series that are drawn or derived, and by which process"
    )


class ScenarioConfig(Block):
    """One scenario, read by `load_scenario_config`."""

    format_version: Literal[1] = Field(default=1, description="layout of the file")
    name: str = Field(
        pattern=rf"^[A-Z][A-Za-z0-9]*({ON_REAL_SERIES})?$", description="as in gridhash/NAME-v0"
    )
    title: str = Field(min_length=1, description="for people")
    description: str = Field(min_length=1, description="for people")
    based_on: str | None = Field(default=None, description="scenario to take the rest from")
    site_preset: str | None = Field(default=None, description="where the site was taken from")
    site: SiteConfig
    trace: TraceSource
    processes: ProcessSettings | None = Field(
        default=None, description="what is drawn beside prices; its timezone is the site's"
    )
    episode: EpisodeConfig = EpisodeConfig()
    randomisation: RandomisationConfig = RandomisationConfig()
    spans: SpansConfig = SpansConfig()
    figures: tuple[FigureSource, ...] = ()
    value: ValueText

    @model_validator(mode="after")
    def _check(self) -> Self:
        site = self.site
        period_s = self._period_s
        if period_s is not None and period_s != site.market.settlement_period_s:
            raise ValueError(
                f"the trace has periods of {period_s} s, the site settles every "
                f"{site.market.settlement_period_s} s: set overrides.market.settlement_period_s, "
                "or processes.period_s for a finer trace"
            )
        drawn = self.randomisation.curve_b
        for group, end in product(site.groups, ("low", "high") if drawn else ()):
            slope = getattr(drawn, end)
            if fault := group.slope_fault(slope):
                raise ValueError(
                    f"randomisation.curve_b: {slope:g} does not fit the group {group.name}, "
                    f"narrow the range: {fault}"
                )
        for process, block in HEARD_BY.items():
            if getattr(self.processes, process, None) and not attrgetter(block)(site):
                raise ValueError(
                    f"processes.{process} draws what nobody hears: the site has no {block}"
                )
        if self.episode.episode_days * SECONDS_PER_DAY < site.dispatch_interval_s:
            raise ValueError(
                f"episode.episode_days {self.episode.episode_days:g} is shorter than one step of "
                f"{site.dispatch_interval_s} s"
            )
        return self

    @property
    def _period_s(self) -> int | None:
        """Settlement period of the trace where the scenario says it [s]."""
        if self.processes is not None and self.processes.period_s is not None:
            return self.processes.period_s
        if isinstance(self.trace, MarketTrace):
            return self.trace.period_s
        if isinstance(self.trace, ReferenceTrace):
            return SERIES_PERIOD_S[self.trace.series]
        return JAPAN_PERIOD_S if isinstance(self.trace, SyntheticJapanTrace) else None

    @property
    def env_id(self) -> str:
        """Gymnasium's name of the scenario."""
        return f"gridhash/{self.name}-v0"

    @property
    def is_synthetic(self) -> bool:
        """Whether the prices themselves are drawn."""
        return not isinstance(self.trace, StoredTrace | ReferenceTrace)

    @property
    def programs(self) -> list[str]:
        """Names of the site's tariff and program blocks that are in force."""
        tariff, programs = self.site.tariff, self.site.programs
        names = [name for name in TARIFF_BLOCKS if getattr(tariff, name)]
        return names + [name for name in type(programs).model_fields if getattr(programs, name)]


def scenario_names() -> list[str]:
    """Return the names of the scenarios that ship with the package."""
    files = resources.files("gridhash.scenarios").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def is_scenario(name_or_path: str | Path) -> bool:
    """Return whether this names a scenario of the package, or a file that is one, not a site."""
    name_or_path = str(name_or_path).removesuffix(ON_REAL_SERIES)
    if name_or_path in scenario_names():
        return True
    try:
        values, _ = _read(name_or_path)
    except ConfigError:
        return False
    return not {"based_on", "trace"}.isdisjoint(values)


def has_real_series(name_or_path: str | Path) -> bool:
    """Return whether a scenario may be played on real series, by ``@real`` after its name.

    Raises
    ------
    ConfigError
        If there is no such scenario, or its file is malformed.
    """
    values, origin = _read(name_or_path)
    return REAL in _with_parents(values, origin)


def load_scenario_config(name_or_path: str | Path) -> ScenarioConfig:
    """Read a scenario of the package by name or a scenario file by path.

    With ``@real`` at the end, as in ``JapanPilot@real``, its table `real` is merged over it: the
    same site on series that were measured, with spans of their own.

    Raises
    ------
    ConfigError
        If there is no such scenario or file, the TOML is malformed, a key is unknown or a value
        is out of range; every fault of the file is listed.
    """
    named = str(name_or_path)
    values, origin = _read(named.removesuffix(ON_REAL_SERIES))
    return parse_scenario(values, origin=origin, on_real_series=named.endswith(ON_REAL_SERIES))


def parse_scenario(
    values: Mapping[str, Any], *, origin: str, on_real_series: bool = False
) -> ScenarioConfig:
    """Turn parsed TOML into a scenario; `origin` is named in errors.

    Raises
    ------
    ConfigError
        With one line per fault: key, what was found, what is expected.
    """
    whole = _with_parents(values, origin)
    real = _table(whole, REAL, origin)
    whole.pop(REAL, None)
    drawn = None if on_real_series else _checked(whole, origin)
    if drawn is not None and not real:
        return drawn
    # Checked whether it is asked for or not.
    measured = _checked(_on_real_series(whole, real, origin), f"{origin}: [real]")
    return measured if drawn is None else drawn


def _checked(values: dict[str, Any], origin: str) -> ScenarioConfig:
    try:
        return ScenarioConfig.model_validate(_with_site(values, origin))
    except ValidationError as err:
        raise ConfigError(f"{origin}: {describe_faults(err)}") from err


def _with_parents(values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return what a file says over what the scenarios that it is based on say."""
    result = dict(values)
    parent = values.get("based_on")
    for _ in range(MAX_DEPTH):
        if parent is None:
            return result
        if not isinstance(parent, str):
            raise ConfigError(f"{origin}: based_on must be the name of a scenario; found {parent}")
        try:
            below, _ = _read(parent)
        except ConfigError as err:
            raise ConfigError(f"{origin}: based_on: {err}") from err
        grandparent = below.pop("based_on", None)
        below.pop("name", None)  # each has its own
        # A site or a source of one's own replaces the parent's with all that belongs to it.
        if "site" in result:
            below.pop("site", None)
            below.pop("overrides", None)
        if "source" in _table(result, "trace", origin):
            below.pop("trace", None)
        result = merged(below, result)
        parent = grandparent
    raise ConfigError(f"{origin}: more than {MAX_DEPTH} scenarios are based on each other")


def _on_real_series(values: dict[str, Any], real: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return what a scenario says with its table `real` merged over it."""
    if not real:
        raise ConfigError(
            f"{origin} has no table [real], which says on which real series it is played; leave "
            f"out {ON_REAL_SERIES}, or add [real.trace] to a scenario file"
        )
    base = {key: value for key, value in values.items() if key != "trace" or key not in real}
    return merged(base, real) | {"name": f"{values.get('name', '')}{ON_REAL_SERIES}"}


def _with_site(values: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return the values with the preset's site and the overrides in `site`."""
    result = dict(values)
    overrides = _table(result, "overrides", origin)
    result.pop("overrides", None)
    site = result.get("site")
    if isinstance(site, str):
        result["site_preset"] = site
        try:
            site = load_site(site).model_dump(exclude_unset=True)
        except ConfigError as err:
            raise ConfigError(f"{origin}: site: {err}") from err
    if isinstance(site, Mapping):
        result["site"] = merged(site, overrides)
        if "processes" in result and "timezone" in site:
            zone = {"timezone": result["site"]["timezone"]}
            result["processes"] = zone | dict(_table(result, "processes", origin))
    return result


def _table(values: Mapping[str, Any], key: str, origin: str) -> Mapping[str, Any]:
    """Return a table of the file, empty if absent; raise ConfigError if it is none."""
    table = values.get(key, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{origin}: {key} must be a table, [{key}]; found {table!r}")
    return table


def _read(name_or_path: str | Path) -> tuple[dict[str, Any], str]:
    if str(name_or_path) in scenario_names():
        origin = f"scenario {name_or_path}"
        file = resources.files("gridhash.scenarios").joinpath(f"{name_or_path}.toml")
        return parse_toml(file.read_text(encoding="utf-8"), origin=origin), origin
    missing = (
        f"no scenario and no file is called {name_or_path!s}; scenarios: "
        f"{', '.join(scenario_names())}"
    )
    return read_toml(name_or_path, missing=missing), str(name_or_path)
