"""Sites, traces and plays that the tests of policies share."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig, load_site, parse_site
from gridhash.data.trace import Trace
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.time_grid import grid, published_the_day_before

Floats = npt.NDArray[np.float64]
EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Play = Callable[..., float]

NO_STARTS = {
    "start_cost_per_fleet_start": 0.0,
    "groups.*.boot_s": 0.0,
    "groups.*.warm_up_s": 0.0,
    "groups.*.standby_w": 0.0,
    "groups.*.min_up_s": 0.0,
    "groups.*.min_down_s": 0.0,
}
"""Changes that make starting free."""
NO_COOLING = {
    "pue_for_planning": 1.0,
    "groups.*.cooling.fan_kw": 0.0,
    "groups.*.cooling.pump_kw": 0.0,
}


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


def scenario_for(
    site: SiteConfig, prices: npt.ArrayLike, columns: Mapping[str, npt.ArrayLike] | None = None
) -> Scenario:
    """Return whole days of market prices, from local midnight; the first cannot be played."""
    prices = np.asarray(prices, dtype=float)
    start = pd.Timestamp("2024-07-01", tz=site.timezone)
    period_s = site.market.settlement_period_s
    starts = grid(start, start + pd.Timedelta(seconds=period_s * len(prices)), period_s)
    trace = Trace.from_prices(
        starts,
        prices,
        published_at=published_the_day_before(
            starts, timezone=site.timezone, at=site.market.price_published_local
        ),
        period_s=period_s,
        currency=site.currency,
        area=site.area,
        source="test",
    )
    return build_scenario(site, trace.with_columns(columns) if columns else trace)


def play(
    policy: Policy,
    scenario: Scenario,
    rows: tuple[int, int] | None = None,
    *,
    running_frac: float = 0.0,
) -> float:
    """Return the profit of a policy in the kernel over rows, from a fleet at rest."""
    first, last = rows or (scenario.first_row, scenario.n_rows)
    sites = BatchedSite(
        scenario, 1, EpisodeRules(action_kind=policy.action_kind, episode_days=1 / 24)
    )
    sites.start_at(first, running_frac=running_frac)
    observation = sites.observe()
    profit = 0.0
    for _ in range((last - first) * scenario.steps_per_row):
        output = sites.step(policy.act(observation))
        profit += float(output.profit[0])
        observation = output.observation
    return profit


def wavy_prices(site: SiteConfig, *, days: int, seed: int) -> Floats:
    """Return prices that cross break-even several times a day, with noise that invites starts."""
    rng = np.random.default_rng(seed)
    per_day = 86400 // site.market.settlement_period_s
    phase = 2 * np.pi * np.arange(days * per_day) / per_day
    level = site.break_even_per_kwh(site.groups[0]) - site.market.adders_per_kwh
    shape = 1.0 + 0.5 * np.sin(phase) + 0.3 * np.sin(3 * phase) + 0.25 * rng.normal(size=len(phase))
    return np.asarray(level * shape)


@pytest.fixture(scope="session")
def japan() -> SiteConfig:
    return load_site("japan_pilot")


@pytest.fixture(scope="session")
def japan_levels(japan: SiteConfig) -> SiteConfig:
    return edited(japan, {"use_work_levels": True})


@pytest.fixture(scope="session")
def single_group(japan: SiteConfig) -> SiteConfig:
    """Return a site with the first group of the pilot alone; a rig's start costs the same."""
    share = japan.groups[0].n_rigs / japan.n_rigs
    return edited(
        japan,
        {
            "groups": japan.model_dump()["groups"][:1],
            "start_cost_per_fleet_start": japan.start_cost_per_fleet_start * share,
        },
    )


@pytest.fixture(scope="session")
def edit_site() -> EditSite:
    return edited


@pytest.fixture(scope="session")
def make_scenario() -> MakeScenario:
    return scenario_for


@pytest.fixture(scope="session")
def make_prices() -> Callable[..., Floats]:
    return wavy_prices


@pytest.fixture(scope="session")
def play_policy() -> Play:
    return play


@pytest.fixture(scope="session")
def free_starts() -> dict[str, Any]:
    return dict(NO_STARTS)


@pytest.fixture(scope="session")
def free_cooling() -> dict[str, Any]:
    return dict(NO_COOLING)


@pytest.fixture(scope="session")
def lively_scenario(japan_levels: SiteConfig) -> Scenario:
    """Return five days with work levels on which surplus and weather move too."""
    rng = np.random.default_rng(5)
    prices = wavy_prices(japan_levels, days=5, seed=5)
    return scenario_for(
        japan_levels,
        prices,
        {
            "surplus_frac": rng.uniform(0, 1, len(prices)) * (rng.random(len(prices)) < 0.4),
            "outdoor_temp_c": rng.uniform(0, 38, len(prices)),
        },
    )
