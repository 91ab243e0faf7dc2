"""`gridhash compare`: two evaluations of the same spans, policy by policy and paired by day."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from gridhash.errors import DataError
from gridhash.training.report_text import MINUS, label, number
from gridhash.training.results import PolicyEntry, Results, ScenarioEntry
from gridhash.training.statistics import Difference, difference
from gridhash.training.statistics_across import holm


@dataclass(frozen=True, kw_only=True)
class PolicyChange:
    """What a policy earns more in the second run than in the first."""

    scenario: str
    name: str
    before: float
    """Profit in the first run [currency]."""
    after: float
    change: Difference
    corrected_p: float
    """Corrected over all policies and scenarios that are compared (Holm)."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs beside each other."""

    changes: tuple[PolicyChange, ...]
    settings: dict[str, tuple[str, str]]
    """What was set otherwise: (in the first run, in the second)."""
    only_first: tuple[str, ...]
    """Policies that are in one of the two alone, as scenario: policy."""
    only_second: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def compare_runs(first: Results, second: Results) -> Comparison:
    """Compare two runs of the same scenarios and spans.

    Raises
    ------
    DataError
        If scenarios, spans or currencies differ: their days cannot be paired.
    """
    _check_same_spans(first, second)
    pairs = list(_pairs(first, second))
    differences = {
        f"{scenario}: {a.name}": difference(_daily(b), _daily(a)) for scenario, a, b in pairs
    }
    corrected = holm({key: found.p_value for key, found in differences.items()})
    changes = tuple(
        PolicyChange(
            scenario=scenario,
            name=a.name,
            before=float(_daily(a).sum(axis=1).mean()),
            after=float(_daily(b).sum(axis=1).mean()),
            change=differences[f"{scenario}: {a.name}"],
            corrected_p=corrected[f"{scenario}: {a.name}"],
        )
        for scenario, a, b in pairs
    )
    names = [_policy_names(results) for results in (first, second)]
    return Comparison(
        changes=changes,
        settings=different_settings(first, second),
        only_first=tuple(name for name in names[0] if name not in names[1]),
        only_second=tuple(name for name in names[1] if name not in names[0]),
    )


def _daily(policy: PolicyEntry) -> np.ndarray:
    return np.array([seed.daily_profit for seed in policy.seeds])


def _policy_names(results: Results) -> list[str]:
    return [f"{s.name}: {policy.name}" for s in results.scenarios for policy in s.policies]


def _check_same_spans(first: Results, second: Results) -> None:
    names = [[scenario.name for scenario in results.scenarios] for results in (first, second)]
    if set(names[0]) != set(names[1]):
        raise DataError(
            f"the runs hold other scenarios, {', '.join(names[0])} and {', '.join(names[1])}: "
            "evaluate the same ones"
        )
    for a in first.scenarios:
        b = _scenario(second, a.name)
        if a.currency != b.currency:
            raise DataError(
                f"{a.name} is in {a.currency} in one run and in {b.currency} in the other"
            )
        if (a.first_day, a.n_days) != (b.first_day, b.n_days):
            raise DataError(
                f"{a.name}: the runs play other spans, {a.n_days} days from {a.first_day} and "
                f"{b.n_days} days from {b.first_day}, which cannot be paired: evaluate the same one"
            )


def _scenario(results: Results, name: str) -> ScenarioEntry:
    return next(scenario for scenario in results.scenarios if scenario.name == name)


def _pairs(first: Results, second: Results) -> Iterator[tuple[str, PolicyEntry, PolicyEntry]]:
    for a in first.scenarios:
        there = {policy.name: policy for policy in _scenario(second, a.name).policies}
        for policy in a.policies:
            if policy.name in there:
                yield a.name, policy, there[policy.name]


def different_settings(first: Results, second: Results) -> dict[str, tuple[str, str]]:
    """Return what was set otherwise, by name: command, version, and each scenario's figures."""
    both = [_settings(results) for results in (first, second)]
    keys = dict.fromkeys((*both[0], *both[1]))
    return {
        key: (both[0].get(key, "not set"), both[1].get(key, "not set"))
        for key in keys
        if both[0].get(key) != both[1].get(key)
    }


def _settings(results: Results) -> dict[str, str]:
    found = {"gridhash": results.gridhash}
    found |= {name: str(value) for name, value in results.settings.items()}
    for scenario in results.scenarios:
        values = {
            "site": scenario.site,
            "area": scenario.area,
            "source": scenario.source,
            "start cost": f"{scenario.start_cost_per_fleet_start:g} {scenario.currency}",
            "hashprice": f"{scenario.hashprice.usd_per_phs_day:g} USD/(PH/s)/day",
            "exchange rate": f"{scenario.hashprice.currency_per_usd:g} per USD",
            "features left out": ", ".join(scenario.ablated) or "none",
            "bound": f"{scenario.bound:,.2f} {scenario.currency}",
            "seeds": ", ".join(f"{p.name} {len(p.seeds)}" for p in scenario.policies),
        }
        found |= {f"{scenario.name}: {name}": value for name, value in values.items()}
    return found


def comparison_table(comparison: Comparison) -> Table:
    """Return the changes as a table for the terminal."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title="B less A",
        title_justify="left",
        caption="95 % intervals, paired by day. p: corrected over all lines (Holm).",
        caption_justify="left",
    )
    table.add_column("scenario", no_wrap=True)
    table.add_column("policy", no_wrap=True)
    for name in ("A", "B", "B less A", "95 % interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in comparison.changes:
        digits = 0 if max(abs(one.before), abs(one.after)) >= 1000.0 else 2
        change = one.change
        ends = [number(end, digits, signed=True) for end in (change.low, change.high)]
        cells = (
            one.scenario,
            label(one.name),
            number(one.before, digits),
            number(one.after, digits),
            number(change.estimate, digits, signed=True),
            " … ".join(ends),
            f"{one.corrected_p:.3f}" if one.corrected_p >= 0.001 else "< 0.001",
        )
        surely = one.corrected_p < 0.05
        table.add_row(
            *(escape(cell.replace(MINUS, "-")) for cell in cells), style="bold" if surely else ""
        )
    return table


def settings_lines(comparison: Comparison) -> list[str]:
    """Return what was set otherwise and which policies stand alone, one line each."""
    lines = [f"{name}: {a} → {b}" for name, (a, b) in comparison.settings.items()]
    head = ["set otherwise:"] if lines else ["nothing was set otherwise"]
    lines = head + [f"  {line}" for line in lines]
    for which, names in (("A", comparison.only_first), ("B", comparison.only_second)):
        if names:
            lines.append(f"in {which} alone: {', '.join(names)}")
    return lines
