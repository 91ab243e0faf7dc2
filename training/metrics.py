"""Every metric of an evaluation: what it is called, its unit, which way is better, its definition.

The definition is the docstring of the function that computes it; `docs/reference/metrics.md` and
the report are made from this table.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gridhash.training import metrics_fleet as fleet
from gridhash.training import metrics_grid as grid
from gridhash.training import metrics_money as money
from gridhash.training.played import Played

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number about a play."""

    label: str
    unit: str
    """Of the value; ``currency`` stands for that of the site."""
    better: Better
    compute: Callable[[Played], float | None]

    @property
    def name(self) -> str:
        """Key in `results.json`."""
        return self.compute.__name__

    @property
    def definition(self) -> str:
        """What it is, in a sentence or two."""
        text = " ".join((inspect.getdoc(self.compute) or "").split())
        text = re.sub(r" \[[^\]]*\](?=[.;,: ]|$)", "", text.removeprefix("Return "))
        text = text.replace("; None ", "; none ")
        return text[:1].upper() + text[1:]


def _metric(
    compute: Callable[[Played], float | None], label: str, unit: str, better: Better = ""
) -> Metric:
    return Metric(label=label, unit=unit, better=better, compute=compute)


GROUPS: Mapping[str, tuple[Metric, ...]] = {
    "Money": (
        _metric(money.profit, "profit", "currency", "higher"),
        _metric(money.ledger_profit, "ledger profit", "currency", "higher"),
        _metric(money.remaining_liability, "left to be paid later", "currency", "lower"),
        _metric(money.operating_profit, "operating profit", "currency", "higher"),
        _metric(money.fixed_charges, "fixed charges", "currency", "lower"),
        _metric(money.profit_per_mw_year, "profit per MW and year", "currency/MW/year", "higher"),
        _metric(money.uplift_frac, "uplift", "1", "higher"),
        _metric(money.regret, "regret", "currency", "lower"),
        _metric(money.hash_revenue, "hash revenue", "currency"),
        _metric(money.energy_bill, "energy bill", "currency"),
        _metric(money.effective_price_per_kwh, "effective price", "currency/kWh", "lower"),
        _metric(money.capture_price_ratio, "capture price ratio", "1", "lower"),
    ),
    "Risk": (
        _metric(money.daily_deviation, "deviation of days", "currency", "lower"),
        _metric(money.cvar_day, "worst 5 % of days", "currency", "higher"),
        _metric(money.worst_month, "worst month", "currency", "higher"),
        _metric(money.max_drawdown, "deepest fall", "currency", "lower"),
    ),
    "Energy and hashes": (
        _metric(fleet.energy_mwh, "energy", "MWh"),
        _metric(fleet.import_mwh, "energy from the grid", "MWh"),
        _metric(fleet.pue, "PUE", "1", "lower"),
        _metric(fleet.hash_phs_day, "hashes", "PH/s·day", "higher"),
        _metric(fleet.efficiency_j_per_th, "realised efficiency", "J/TH", "lower"),
        _metric(fleet.load_frac, "load factor", "1"),
        _metric(fleet.hashing_frac, "time hashing", "1"),
    ),
    "Grid": (
        _metric(grid.surplus_captured_frac, "surplus captured", "1", "higher"),
        _metric(grid.avoided_curtailment_mwh, "curtailment avoided", "MWh", "higher"),
        _metric(grid.calls_met_frac, "calls met", "1", "higher"),
        _metric(grid.call_delivery_frac, "delivered in calls", "1", "higher"),
        _metric(grid.pauses_met_frac, "pauses met", "1", "higher"),
        _metric(grid.base_points_met_frac, "base points met", "1", "higher"),
        _metric(
            grid.base_points_market_met_frac, "base points met as the market asks", "1", "higher"
        ),
        _metric(grid.base_point_deviation_frac, "distance from base points", "1", "lower"),
        _metric(grid.held_met_frac, "held capacity met", "1", "higher"),
        _metric(grid.program_pay, "paid by programs", "currency", "higher"),
        _metric(grid.program_penalty, "penalties", "currency", "lower"),
        _metric(grid.coincident_peak_frac, "power at coincident peaks", "1", "lower"),
        _metric(grid.coincident_peak_cost, "cost of coincident peaks", "currency", "lower"),
        _metric(grid.max_demand_kw, "highest demand", "kW", "lower"),
        _metric(grid.co2_average_t, "CO2, average factor", "t", "lower"),
        _metric(grid.co2_marginal_t, "CO2, marginal factor", "t", "lower"),
        _metric(grid.co2_g_per_ph, "CO2 per hash", "g/PH", "lower"),
    ),
    "Fleet": (
        _metric(fleet.fleet_starts, "fleet starts", "1", "lower"),
        _metric(fleet.wear_cycles_per_year, "wear", "1/year", "lower"),
        _metric(fleet.deep_cycles_per_year, "deep cycles", "1/year", "lower"),
        _metric(fleet.max_chip_temp_c, "hottest chip", "°C", "lower"),
        _metric(fleet.over_temperature_min, "over temperature", "min", "lower"),
        _metric(fleet.tripped_min, "tripped", "min", "lower"),
        _metric(fleet.cold_min, "too cold to start", "min", "lower"),
        _metric(fleet.decision_us, "decision, median", "µs", "lower"),
        _metric(fleet.decision_p99_us, "decision, 99 % point", "µs", "lower"),
    ),
}
"""All metrics in the order of tables, by what they are about."""

METRICS = tuple(metric for group in GROUPS.values() for metric in group)
METRIC_BY_NAME = {metric.name: metric for metric in METRICS}

Values = dict[str, float | None]


def metrics_of(played: Played) -> Values:
    """Return every metric of a play; None where it has no meaning on this site."""
    return {metric.name: metric.compute(played) for metric in METRICS}


def mean_of(values: list[Values]) -> Values:
    """Return the mean of each metric over several plays; None where one of them has none."""
    means: Values = {}
    for metric in METRICS:
        own = [value for each in values if (value := each[metric.name]) is not None]
        means[metric.name] = float(np.mean(own)) if len(own) == len(values) else None
    return means
