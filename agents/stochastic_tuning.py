"""The stochastic dynamic program's settings, chosen on time that its chain has not seen."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gridhash.agents.price_chain import ChainSettings
from gridhash.agents.stochastic_dp import NEVER, StochasticDP
from gridhash.agents.tuning import play_profits
from gridhash.envs.columns import SURPLUS
from gridhash.envs.observation import horizon_periods
from gridhash.envs.scenario import Scenario
from gridhash.units import DAYS_PER_YEAR, SECONDS_PER_DAY

HELD_OUT_FRAC = 0.25
"""Last part of the training span, on which settings are chosen."""
FEWEST_DAYS = 20.0
"""Training span below which there is too little to hold out, and the default settings hold."""
FEWEST_YEARS_OF_SEASONS = 2
"""Years of training from which seasons may have chains of their own."""
ALTERNATIVES: tuple[Mapping[str, Any], ...] = (
    {"second": "ahead"},
    {"second": "surplus"},
    {"n_prices": 10},
    {"n_prices": 24},
    {"n_second": 4},
    {"n_second": 9},
    {"smoothing_h": 0.5},
    {"smoothing_h": 2.0},
    {"weekends": True},
    {"n_seasons": 4},
)
"""Changes that are tried one after the other; each stays if it earns more."""
MOST_STATES = 160
"""Price states beyond which a change is not tried: the table grows with the states."""


def tune_stochastic_dp(
    scenario: Scenario,
    rows: tuple[int, int],
    *,
    n_changes: int = len(ALTERNATIVES),
    peaks: tuple[float, float] = (NEVER, NEVER),
) -> StochasticDP:
    """Return the stochastic dynamic program of a training span, rows [first, last).

    Its settings are chosen one after the other by what a chain of the first part of the span earns
    on the rest; the chain that is returned is counted on all of it.

    Parameters
    ----------
    n_changes
        Of `ALTERNATIVES`, the first so many are tried.
    peaks
        Demand ratio and month ratio from which everything stops, as `PeakShaver`.
    """
    settings = ChainSettings()
    days = (rows[1] - rows[0]) * scenario.trace.period_s / SECONDS_PER_DAY
    if n_changes > 0 and days >= FEWEST_DAYS:
        middle = rows[1] - round((rows[1] - rows[0]) * HELD_OUT_FRAC)

        def held_out_profit(tried: ChainSettings) -> float:
            policy = StochasticDP.fit(scenario, (rows[0], middle), tried, peaks=peaks)
            return float(play_profits(scenario, (middle, rows[1]), policy, 1)[0])

        best = held_out_profit(settings)
        for change in ALTERNATIVES[:n_changes]:
            changed = replace(settings, **change)
            if is_worth_trying(scenario, rows, settings, changed):
                profit = held_out_profit(changed)
                if profit > best:
                    best, settings = profit, changed
    return StochasticDP.fit(scenario, rows, settings, peaks=peaks)


def is_worth_trying(
    scenario: Scenario, rows: tuple[int, int], settings: ChainSettings, changed: ChainSettings
) -> bool:
    """Return whether a change means something on this site and keeps the table small."""
    if changed.second == "surplus" and not scenario.market[slice(*rows), SURPLUS].any():
        return False
    if changed.second == "ahead" and horizon_periods(scenario.site) < 2:
        return False
    if not changed.second and changed.n_second != settings.n_second:
        return False
    days = (rows[1] - rows[0]) * scenario.trace.period_s / SECONDS_PER_DAY
    if changed.n_seasons > 1 and days < FEWEST_YEARS_OF_SEASONS * DAYS_PER_YEAR:
        return False
    return changed.n_prices * (changed.n_second if changed.second else 1) <= MOST_STATES
