"""Sites and traces that the environment's tests share."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.config import SiteConfig, load_site, parse_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.time_grid import grid, published_the_day_before

EditSite = Callable[..., SiteConfig]
MakeTrace = Callable[..., Trace]
MakeScenario = Callable[..., Scenario]
MakeSites = Callable[..., BatchedSite]
Floats = npt.NDArray[np.float64]

FIRST_DAY = "2024-07-01"
"""First day of every trace here, local midnight; a Monday."""


def edited(site: SiteConfig, changes: Mapping[str, Any]) -> SiteConfig:
    """Return a validated copy; a key is a path such as ``groups.*.cooling.fan_kw``."""
    values: dict[str, Any] = site.model_dump()
    for path, value in changes.items():
        *parents, last = path.split(".")
        blocks: list[Any] = [values]
        for name in parents:
            if name == "*":
                blocks = [child for block in blocks for child in block]
            elif name.isdigit():
                blocks = [block[int(name)] for block in blocks]
            else:
                blocks = [block[name] for block in blocks]
        for block in blocks:
            assert last in block, f"{path} names no key"
            block[last] = value
    return parse_site(values, origin="test")


def trace_for(
    site: SiteConfig,
    *,
    days: int = 4,
    prices: npt.ArrayLike | None = None,
    columns: Mapping[str, npt.ArrayLike] | None = None,
    seed: int = 1,
) -> Trace:
    """Return prices for a site: those given (one value serves all), else random ones."""
    start = pd.Timestamp(FIRST_DAY, tz=site.timezone)
    starts = grid(start, start + pd.Timedelta(days=days), site.market.settlement_period_s)
    if prices is None:
        level = site.break_even_per_kwh(site.groups[0])
        prices = np.random.default_rng(seed).uniform(-0.5 * level, 2.0 * level, len(starts))
    trace = Trace.from_prices(
        starts,
        np.broadcast_to(np.asarray(prices, dtype=float), len(starts)),
        published_at=published_the_day_before(
            starts, timezone=site.timezone, at=site.market.price_published_local
        ),
        period_s=site.market.settlement_period_s,
        currency=site.currency,
        area=site.area,
        source="test",
    )
    values = (
        {k: np.broadcast_to(np.asarray(v, float), len(starts)) for k, v in columns.items()}
        if columns
        else {}
    )
    return trace.with_columns(values)


def random_columns(n_rows: int, seed: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return every optional column, random within what is plausible in Japan."""
    rng = np.random.default_rng(seed)
    return {
        "surplus_frac": rng.uniform(0, 1, n_rows) * (rng.random(n_rows) < 0.5),
        "outdoor_temp_c": rng.uniform(-15, 45, n_rows),
        "hashprice_usd_per_phs_day": rng.uniform(20, 70, n_rows),
        "currency_per_usd": rng.uniform(100, 180, n_rows),
    }


class RandomPlay:
    """Actions that jump to extremes and often stay, so that every limit is met."""

    def __init__(self, kind: ActionKind, shape: tuple[int, int], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.low = kind.low
        self.high = 6.0 if kind is ActionKind.LEVELS else 1.0
        self.action = self.draw(shape)

    def draw(self, shape: tuple[int, int]) -> Floats:
        extreme = np.where(self.rng.random(shape) < 0.5, self.low, self.high)
        between = self.rng.uniform(self.low, self.high, shape)
        return np.where(self.rng.random(shape) < 0.6, extreme, between)

    def next(self) -> Floats:
        shape = self.action.shape
        stay = self.rng.random(shape) < 0.7
        self.action = np.where(stay, self.action, self.draw(shape))
        return self.action


@pytest.fixture(scope="session")
def random_play() -> Callable[[ActionKind, tuple[int, int], int], Callable[[], Floats]]:
    """Return a maker of endless actions: action kind, shape and seed."""
    return lambda kind, shape, seed: RandomPlay(kind, shape, seed).next


@pytest.fixture(scope="session")
def japan() -> SiteConfig:
    return load_site("japan_pilot")


@pytest.fixture(scope="session")
def japan_levels(japan: SiteConfig) -> SiteConfig:
    """Return the same site with work levels."""
    return edited(japan, {"use_work_levels": True})


@pytest.fixture(scope="session")
def edit_site() -> EditSite:
    return lambda site, changes: edited(site, changes)


@pytest.fixture(scope="session")
def make_trace() -> MakeTrace:
    return trace_for


@pytest.fixture(scope="session")
def make_scenario() -> MakeScenario:
    """Return a maker of scenarios; its arguments are those of `trace_for`."""
    return lambda site, **options: build_scenario(site, trace_for(site, **options))


@pytest.fixture(scope="session")
def make_sites() -> MakeSites:
    """Return a maker of N sites that play to the end of their data from its first row."""

    def make(scenario: Scenario, n_sites: int = 1, **rules: Any) -> BatchedSite:
        n_steps = (scenario.n_rows - scenario.first_row) * scenario.steps_per_row
        days = n_steps * scenario.site.dispatch_interval_s / 86400.0
        return BatchedSite(scenario, n_sites, EpisodeRules(episode_days=days, **rules))

    return make


@pytest.fixture(scope="session")
def busy_scenario(japan: SiteConfig) -> Scenario:
    """Return six days on which every column moves at random."""
    trace = trace_for(japan, days=6, columns=random_columns(6 * 48, 3))
    return build_scenario(japan, trace)


@pytest.fixture(scope="session")
def busy_levels_scenario(japan_levels: SiteConfig) -> Scenario:
    """Return the same with work levels."""
    trace = trace_for(japan_levels, days=6, columns=random_columns(6 * 48, 3))
    return build_scenario(japan_levels, trace)


@pytest.fixture(scope="session")
def pilot() -> Scenario:
    """Return the scenario with the most programs, a fortnight of it."""
    return open_named_scenario("JapanPilot", years=1, days=14)
