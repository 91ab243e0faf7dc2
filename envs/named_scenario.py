"""From the name of a scenario to what the kernel plays: its site, its trace, its spans."""

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.config import SiteConfig, parse_site
from gridhash.config_processes import ProcessSettings
from gridhash.config_scenario import (
    RandomisationConfig,
    Range,
    ScenarioConfig,
    SpansConfig,
    load_scenario_config,
)
from gridhash.config_trace import (
    DayAheadTrace,
    MarketTrace,
    ReferenceTrace,
    StoredTrace,
    SyntheticJapanTrace,
    TraceSource,
)
from gridhash.data.processes.add import add_processes
from gridhash.data.processes.common import LABEL
from gridhash.data.processes.real_time import two_settlement_market
from gridhash.data.reference import reference_trace
from gridhash.data.splits import Span, Split
from gridhash.data.synthetic import synthetic_japan
from gridhash.data.synthetic_market import market_preset, synthetic_market
from gridhash.data.trace import Trace, concat
from gridhash.envs.open_scenario import ScenarioRequest, open_trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError, DataError
from gridhash.units import DAYS_PER_YEAR, SECONDS_PER_DAY

Rows = tuple[int, int]
CACHED_TRACES = 8


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Rows [first, last) of a scenario that teach, choose and judge; disjoint, in this order."""

    train: Rows
    validate: Rows
    test: Rows
    parts: tuple[Rows, ...] = ()
    """Of the test, each played from the state that the site begins with; see `test_parts`."""

    @property
    def test_parts(self) -> tuple[Rows, ...]:
        """What is played and reported apart: fiscal years, say; the whole test where nothing is."""
        return self.parts or (self.test,)


def open_named_scenario(
    scenario: str | Path | ScenarioConfig,
    *,
    seed: int | None = None,
    years: int | None = None,
    days: int | None = None,
) -> Scenario:
    """Return a scenario of the package, or one of a file, ready to play.

    Parameters
    ----------
    scenario
        Name, path, or what `load_scenario_config` returned.
    seed
        Of all that is drawn; the scenario's own where None. The same seed gives the same bits.
    years, days
        Draw so many years instead of the scenario's; keep only the first days.

    Raises
    ------
    ConfigError
        If the scenario is wrong, or years or days are asked of prices that are not drawn.
    DataError
        If site and prices do not fit each other.
    """
    config = _config_of(scenario)
    return build_scenario(config.site, scenario_trace(config, seed=seed, years=years, days=days))


def scenario_trace(
    config: ScenarioConfig,
    *,
    seed: int | None = None,
    years: int | None = None,
    days: int | None = None,
) -> Trace:
    """Return the trace of a scenario with all its processes; arguments as `open_named_scenario`.

    What is drawn is kept, so that many environments of one process share it.
    """
    source = config.trace
    if years is not None:
        source = _of_length(source, years)
    if seed is not None:
        source = source.model_copy(update={"seed": seed})
    trace = _drawn(source, config.processes, config.site)
    if days is None:
        return trace
    if days < 2 or days * SECONDS_PER_DAY > trace.n_rows * trace.period_s:
        raise ConfigError(f"days {days} must be 2 or more and within {trace.source}")
    return trace.between(trace.start, trace.start + pd.Timedelta(days=days))


def randomised(
    scenario: str | Path | ScenarioConfig,
    n: int,
    seed: int,
    *,
    new_prices: bool = True,
    years: int | None = None,
    days: int | None = None,
) -> list[Scenario]:
    """Return `n` variants of a scenario, drawn from its `randomisation`.

    The same seed gives the same variants, and the first k of n are those of k.

    Parameters
    ----------
    new_prices
        Draw prices and processes of each variant anew; where prices are not drawn, they stay, and
        processes are drawn around them.

    Raises
    ------
    ConfigError
        If a drawn figure does not fit the site; narrow the range.
    """
    config = _config_of(scenario)
    is_drawn_anew = new_prices and (config.is_synthetic or config.processes is not None)
    variants = []
    for stream in np.random.SeedSequence(seed).spawn(n):
        rng = np.random.default_rng(stream)
        trace_seed = int(rng.integers(2**31))
        trace = scenario_trace(
            config,
            seed=trace_seed if is_drawn_anew else None,
            years=years,
            days=days,
        )
        variants.append(_variant(config.site, trace, config.randomisation, rng))
    return variants


def row_spans(scenario: Scenario, settings: SpansConfig) -> Spans:
    """Return what teaches, what chooses and what judges, as rows of a scenario.

    Boundaries are local midnights of the site. Each part but the last loses the embargo at its
    end, so that nothing that a policy looks back on or ahead to lies in two parts.

    Raises
    ------
    DataError
        If a date lies outside the trace or a part would be empty.
    """
    zone = scenario.site.timezone
    trace = scenario.trace
    playable = trace.starts[scenario.first_row]
    if settings.validation_from is not None and settings.test_from is not None:
        validation = pd.Timestamp(settings.validation_from, tz=zone)
        test = pd.Timestamp(settings.test_from, tz=zone)
    else:
        length = trace.end - trace.start
        validation, test = (
            (trace.start + length * share).tz_convert(zone).normalize()
            for share in (
                settings.train_share,
                settings.train_share + settings.validation_share,
            )
        )
    embargo = timedelta(days=settings.embargo_days)
    split = Split(
        train=Span(playable, validation - embargo),
        validation=Span(validation, test - embargo),
        test=Span(test, trace.end),
        embargo=embargo,
    )

    def rows(span: Span) -> Rows:
        first = scenario.row_at(span.start)
        return first, first + round(span.length.total_seconds() / trace.period_s)

    whole = rows(split.test)
    parts: tuple[Rows, ...] = ()
    if settings.test_parts_from:
        borders = [scenario.row_at(pd.Timestamp(day, tz=zone)) for day in settings.test_parts_from]
        if borders[0] <= whole[0]:
            raise DataError(
                f"test_parts_from {settings.test_parts_from[0]} must lie after the test begins, "
                f"{split.test.start.tz_convert(zone).date()}"
            )
        parts = tuple(pairwise((whole[0], *borders, whole[1])))
    return Spans(train=rows(split.train), validate=rows(split.validation), test=whole, parts=parts)


def _config_of(scenario: str | Path | ScenarioConfig) -> ScenarioConfig:
    return scenario if isinstance(scenario, ScenarioConfig) else load_scenario_config(scenario)


def _of_length(source: TraceSource, years: int) -> TraceSource:
    if years < 1:
        raise ConfigError(f"years {years} must be 1 or more")
    if isinstance(source, SyntheticJapanTrace):
        return source.model_copy(update={"years": years})
    if isinstance(source, MarketTrace):
        return source.model_copy(update={"days": years * DAYS_PER_YEAR})
    what = source.series if isinstance(source, ReferenceTrace) else source.prices
    raise ConfigError(f"{what} has the length it has: give no years")


@lru_cache(maxsize=CACHED_TRACES)
def _drawn(source: TraceSource, processes: ProcessSettings | None, site: SiteConfig) -> Trace:
    trace = _prices(source)
    return trace if processes is None else add_processes(trace, processes, source.seed, site)


def _prices(source: TraceSource) -> Trace:
    if isinstance(source, StoredTrace):
        return open_trace(ScenarioRequest(prices=source.prices, area=source.area))
    if isinstance(source, ReferenceTrace):
        return reference_trace(source.series, area=source.area, start=source.start, end=source.end)
    if isinstance(source, SyntheticJapanTrace):
        return _japan(source)
    market = market_preset(source.market)
    draw = synthetic_market if isinstance(source, DayAheadTrace) else two_settlement_market
    trace = draw(
        preset=source.market,
        period_s=source.period_s,
        start=pd.Timestamp(source.start, tz=market.timezone),
        n_days=source.days,
        seed=source.seed,
    )
    return _noted(trace, f"price_per_kwh: synthetic_market {source.market}, seed {source.seed}")


def _japan(source: SyntheticJapanTrace) -> Trace:
    first = source.fiscal_year_start
    years = [
        synthetic_japan(
            area=source.area, fiscal_year_start=year, seed=source.seed, regime=source.regime
        )
        for year in range(first, first + source.years)
    ]
    trace = concat(years) if len(years) > 1 else years[0]
    if not source.area_surplus:
        trace = trace.with_columns({"surplus_frac": np.zeros(trace.n_rows)})
    drawn = ", ".join(trace.frame.columns)
    return _noted(trace, f"{drawn}: synthetic_japan {source.area}, seed {source.seed}")


def _noted(trace: Trace, note: str) -> Trace:
    """Return the trace with a note that says what of it was drawn."""
    return replace(trace, notes=(*trace.notes, f"{LABEL} {note}"))


def _variant(
    site: SiteConfig, trace: Trace, ranges: RandomisationConfig, rng: np.random.Generator
) -> Scenario:
    """Return one draw; every figure takes a number from the stream, drawn or not."""

    def draw(wanted: Range | None) -> float | None:
        number = rng.random()
        return None if wanted is None else wanted.low + number * (wanted.high - wanted.low)

    hashprice = draw(ranges.hashprice_usd_per_phs_day)
    curve_b = draw(ranges.curve_b)
    adders = draw(ranges.adders_per_kwh)
    currency = draw(ranges.currency_per_usd)
    outdoor_k = draw(ranges.outdoor_offset_k)
    start_cost = draw(ranges.start_cost_per_fleet_start)

    values = site.model_dump(exclude_unset=True)
    columns: dict[str, npt.NDArray[np.float64]] = {}
    held = trace.frame.columns
    if hashprice is not None:
        values["mining"]["hashprice_usd_per_phs_day"] = hashprice
        if "hashprice_usd_per_phs_day" in held:
            path = trace.column("hashprice_usd_per_phs_day")
            columns["hashprice_usd_per_phs_day"] = path * (hashprice / path.mean())
    if currency is not None:
        values["mining"]["currency_per_usd"] = currency
        if "currency_per_usd" in held:
            path = trace.column("currency_per_usd")
            columns["currency_per_usd"] = path * (currency / path.mean())
    if adders is not None:
        values["market"]["adders_per_kwh"] = adders
    if start_cost is not None:
        values["start_cost_per_fleet_start"] = start_cost
    if outdoor_k is not None:
        values["outdoor_temp_c"] = site.outdoor_temp_c + outdoor_k
        if "outdoor_temp_c" in held:
            columns["outdoor_temp_c"] = trace.column("outdoor_temp_c") + outdoor_k
    if curve_b is not None:
        values["groups"] = [
            own | group.with_slope(curve_b)
            for own, group in zip(values["groups"], site.groups, strict=True)
        ]
    drawn = parse_site(values, origin=f"{site.name} with a drawn figure")
    return build_scenario(drawn, trace.with_columns(columns) if columns else trace)
