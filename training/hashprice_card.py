"""What a hash earns in an evaluation, stated: value, currency, date. Printed with every result.

The hashprice of past years has little to do with that of today: replaying 2016's would make always
on win. So a real series of it is not replayed; the site file's figure or a given one holds for the
whole span. A hashprice that a scenario draws is part of what is uncertain in it and stays.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from gridhash.config_blocks import Mark
from gridhash.data.processes.common import LABEL
from gridhash.envs.named_scenario import Rows
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError

HASHPRICE, EXCHANGE = "hashprice_usd_per_phs_day", "currency_per_usd"


@dataclass(frozen=True, kw_only=True)
class HashpriceCard:
    """The hashprice of an evaluation."""

    usd_per_phs_day: float
    """Before the pool's fee; the mean where it moves."""
    low_usd_per_phs_day: float
    high_usd_per_phs_day: float
    currency_per_usd: float
    """Units of `currency` for one USD; the mean where it moves."""
    currency: str
    as_of: date | None
    """Day of the quote; None if its source states none."""
    mark: Mark
    source: str

    @property
    def fixed(self) -> bool:
        """Whether it is one value over the whole span."""
        return self.low_usd_per_phs_day == self.high_usd_per_phs_day

    @property
    def sentence(self) -> str:
        """The card in words."""
        value = f"{self.usd_per_phs_day:,.2f} USD/(PH/s)/day"
        if not self.fixed:
            value += f" on average ({self.low_usd_per_phs_day:,.2f} … "
            value += f"{self.high_usd_per_phs_day:,.2f})"
        rate = f"{self.currency_per_usd:,.4g} {self.currency} per USD"
        day = f"as of {self.as_of.isoformat()}" if self.as_of else "undated"
        return f"{value} at {rate}, {self.mark}, {day}: {self.source}"


def stated_card(scenario: Scenario, rows: Rows) -> HashpriceCard:
    """Return the card that a scenario plays by over a span."""
    values = []
    for name in (HASHPRICE, EXCHANGE):
        if name in scenario.trace.frame:
            values.append(scenario.trace.column(name)[slice(*rows)])
        else:
            values.append(np.array([getattr(scenario.site.mining, name)]))
    price, rate = values
    drawn = price.min() < price.max()
    figure = next((f for f in scenario.site.figures if "hashprice" in f.figure), None)
    source = "drawn by the scenario" if drawn else "site file, which names no source"
    if figure is not None and not drawn:
        source = figure.source
    return HashpriceCard(
        usd_per_phs_day=float(price.mean()),
        low_usd_per_phs_day=float(price.min()),
        high_usd_per_phs_day=float(price.max()),
        currency_per_usd=float(rate.mean()),
        currency=scenario.site.currency,
        as_of=None,
        mark="assumed" if figure is None or drawn else figure.mark,
        source=source,
    )


def replays_hashprice(scenario: Scenario) -> bool:
    """Return whether the trace holds a real series of hashprice or exchange rate."""
    trace = scenario.trace
    if trace.source.startswith("synthetic"):
        return False
    drawn = " ".join(note for note in trace.notes if note.startswith(LABEL))
    return any(name in trace.frame and name not in drawn for name in (HASHPRICE, EXCHANGE))


def with_fixed_hashprice(
    scenario: Scenario,
    *,
    usd_per_phs_day: float | None = None,
    currency_per_usd: float | None = None,
) -> Scenario:
    """Return the scenario with one hashprice and exchange rate for all of it.

    What is not given is the site file's.

    Raises
    ------
    ConfigError
        If a value is not above zero.
    """
    mining = scenario.site.mining
    values = {
        HASHPRICE: mining.hashprice_usd_per_phs_day if usd_per_phs_day is None else usd_per_phs_day,
        EXCHANGE: mining.currency_per_usd if currency_per_usd is None else currency_per_usd,
    }
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0.0):
            raise ConfigError(f"{name} {value} must be above zero")
    site = scenario.site.model_copy(update={"mining": mining.model_copy(update=values)})
    held = {
        name: np.full(scenario.trace.n_rows, value)
        for name, value in values.items()
        if name in scenario.trace.frame
    }
    return build_scenario(site, scenario.trace.with_columns(held) if held else scenario.trace)


def given_card(scenario: Scenario, rows: Rows, *, as_of: date | None) -> HashpriceCard:
    """Return the card of a scenario whose hashprice the user gave."""
    return replace(
        stated_card(scenario, rows), as_of=as_of, mark="assumed", source="given to the command"
    )
