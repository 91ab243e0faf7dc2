"""`results.json`: what an evaluation found, as models that also make its JSON schema.

The schema is `docs/reference/results.schema.json`. Every amount is in the scenario's currency;
metrics are those of `docs/reference/metrics.md`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from gridhash import __version__
from gridhash.config_blocks import describe_faults
from gridhash.data.processes.common import LABEL
from gridhash.errors import DataError
from gridhash.training.evaluate import Evaluation, PolicyScore, daily_index
from gridhash.training.statistics import Interval
from gridhash.training.statistics_across import (
    Profile,
    holm,
    iqm_interval,
    performance_profile,
)

FORMAT_VERSION = 2
SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
THRESHOLDS = tuple(round(float(x), 2) for x in np.arange(-0.5, 1.001, 0.05))
"""Of performance profiles: shares of the uplift."""


class Entry(BaseModel):
    """Base of every part: unknown keys and values that are no numbers are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class IntervalEntry(Entry):
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


class DifferenceEntry(IntervalEntry):
    """What a policy earned more than another over the span [currency]."""

    p_value: float = Field(ge=0, le=1, description="two-sided, not corrected")
    n_seeds: int
    n_days: int
    block_days: int = Field(description="neighbouring days that are drawn together")


class SeedEntry(Entry):
    """One play: of one training seed, or of a policy that has none."""

    run: str = Field(description="as in steps-RUN.parquet")
    seed: int | None
    daily_profit: list[float] = Field(
        description="by local day from `first_day`; charges of a month spread over its days"
    )
    metrics: dict[str, float | None]


class PolicyEntry(Entry):
    """A policy; metrics are means over its seeds."""

    name: str
    kind: Literal["rule", "planner", "learned"]
    note: str = Field(description="what a reader must know, such as zero-shot; else empty")
    metrics: dict[str, float | None]
    over_rule: DifferenceEntry = Field(description="profit above the level rule")
    over_best_rule: DifferenceEntry | None = Field(
        description="above the rule that earned most on this span; null if it is that rule"
    )
    gap_closed: IntervalEntry | None = Field(
        description="share of the gap from level rule to day-ahead DP; null without a clear gap"
    )
    seeds: list[SeedEntry]


class HashpriceEntry(Entry):
    """The hashprice that all played by."""

    usd_per_phs_day: float = Field(description="mean where it moves")
    low_usd_per_phs_day: float
    high_usd_per_phs_day: float
    currency_per_usd: float
    currency: str
    as_of: date | None
    mark: Literal["measured", "sourced", "assumed"]
    source: str


class VariantPolicyEntry(Entry):
    """What a policy earned with one assumption changed."""

    name: str
    profit: float
    over_rule: DifferenceEntry
    gap_closed: IntervalEntry | None


class VariantEntry(Entry):
    """The scenario with one assumption changed; nobody was trained or tuned anew."""

    name: str
    policies: list[VariantPolicyEntry]


class TransferEntry(Entry):
    """How a policy played at a site that it does not fit: its observation made from that site's."""

    made_for: str = Field(description="the site that it was made for")
    currency: str = Field(description="that it reads amounts in")
    currency_per_currency: float = Field(
        description="of its own per one of the scenario's, fixed: the ratio of both site files"
    )
    groups: dict[str, str] = Field(description="whose action each group gets")
    settlement_period_s: tuple[int, int] = Field(description="its own and the site's")
    horizon_h: tuple[int, int] = Field(description="its own and the site's")
    dispatch_interval_s: tuple[int, int] = Field(description="its own and the site's")
    other_levels: list[str] = Field(description="groups with other work levels than it learned")
    converted: list[str] = Field(description="features that are amounts in another currency")
    filled: dict[str, float | str] = Field(
        description="features that the site lacks: a number, or the feature that stands for them"
    )
    unread: list[str] = Field(description="features of the site that it does not know")


class ScenarioEntry(Entry):
    """All policies on the held-out span of one scenario."""

    name: str
    site: str
    area: str
    currency: str
    timezone: str
    source: str = Field(description="of the prices")
    synthetic: list[str] = Field(description="what is drawn or derived, and by what")
    start: AwareDatetime
    end: AwareDatetime
    first_day: date
    n_days: int
    start_cost_per_fleet_start: float
    hashprice: HashpriceEntry
    carbon_g_per_kwh: float | None = Field(description="assumed factor, where the data have none")
    ablated: list[str] = Field(description="groups of features that learned policies lacked")
    bound: float = Field(description="perfect foresight: what no policy's profit exceeds")
    best_rule: str
    policies: list[PolicyEntry]
    not_played: dict[str, str] = Field(description="policies that could not play, and why")
    transfers: dict[str, TransferEntry] = Field(
        default={}, description="plays by a mapped observation (--zero-shot), and how"
    )
    sensitivity: list[VariantEntry]


class ProfileEntry(Entry):
    """Share of runs above each threshold, with its 95 % band."""

    threshold: list[float]
    share: list[float]
    low: list[float]
    high: list[float]


class AcrossPolicyEntry(Entry):
    """A policy over all scenarios: shares of the uplift."""

    name: str
    scores: dict[str, list[float]] = Field(description="uplift of every seed, by scenario")
    iqm: IntervalEntry = Field(description="interquartile mean over seeds and scenarios")
    profile: ProfileEntry
    p_values: dict[str, float] = Field(
        description="against the best rule, by scenario, corrected over scenarios (Holm)"
    )


class Results(Entry):
    """What `gridhash evaluate` found."""

    format_version: Literal[2] = 2
    gridhash: str
    complete: bool = Field(description="false if it was stopped before all had played")
    settings: dict[str, JsonValue] = Field(description="of the command")
    scenarios: list[ScenarioEntry] = Field(min_length=1)
    across: list[AcrossPolicyEntry] = Field(
        description="policies that played in every scenario, if there are several"
    )


def _interval(interval: Interval | None) -> IntervalEntry | None:
    return None if interval is None else IntervalEntry(**asdict(interval))


def policy_entry(score: PolicyScore) -> PolicyEntry:
    """Return a policy's score as it stands in the file."""
    over_best = score.over_best_rule
    return PolicyEntry(
        name=score.name,
        kind=score.kind,
        note=score.note,
        metrics=score.metrics,
        over_rule=DifferenceEntry(**asdict(score.over_rule)),
        over_best_rule=None if over_best is None else DifferenceEntry(**asdict(over_best)),
        gap_closed=_interval(score.gap_closed),
        seeds=[
            SeedEntry(
                run=seed.run_name,
                seed=seed.seed,
                daily_profit=list(seed.daily_profit),
                metrics=seed.metrics,
            )
            for seed in score.seeds
        ],
    )


def scenario_entry(evaluation: Evaluation) -> ScenarioEntry:
    """Return an evaluation as it stands in the file."""
    scenario = evaluation.scenario
    trace, site = scenario.trace, scenario.site
    first, last = evaluation.rows
    days = daily_index(evaluation)
    return ScenarioEntry(
        name=evaluation.name,
        site=site.name,
        area=trace.area,
        currency=site.currency,
        timezone=site.timezone,
        source=trace.source,
        synthetic=synthetic_notes(evaluation),
        start=trace.starts[first].to_pydatetime(),
        end=(trace.starts[last - 1] + np.timedelta64(trace.period_s, "s")).to_pydatetime(),
        first_day=date.fromisoformat(days[0]),
        n_days=len(days),
        start_cost_per_fleet_start=site.start_cost_per_fleet_start,
        hashprice=HashpriceEntry(**asdict(evaluation.card)),
        carbon_g_per_kwh=evaluation.carbon_g_per_kwh,
        ablated=list(evaluation.ablated),
        bound=evaluation.bound.value,
        best_rule=evaluation.best_rule,
        policies=[policy_entry(score) for score in evaluation.scores],
        not_played=dict(evaluation.not_played),
        transfers={
            run: TransferEntry.model_validate(asdict(transfer))
            for run, transfer in evaluation.transfers.items()
        },
        sensitivity=[
            VariantEntry(
                name=variant.name,
                policies=[
                    VariantPolicyEntry(
                        name=own.name,
                        profit=own.profit,
                        over_rule=DifferenceEntry(**asdict(own.over_rule)),
                        gap_closed=_interval(own.gap_closed),
                    )
                    for own in variant.scores
                ],
            )
            for variant in evaluation.sensitivity
        ],
    )


def synthetic_notes(evaluation: Evaluation) -> list[str]:
    """Return what of the scenario is drawn or derived, and by what."""
    trace = evaluation.scenario.trace
    notes = [n.removeprefix(LABEL).strip() for n in trace.notes if n.startswith(LABEL)]
    if trace.source.startswith("synthetic") and not notes:
        notes = [f"{', '.join(trace.frame.columns)}: {trace.source}"]
    return notes


def across_scenarios(scenarios: Sequence[ScenarioEntry]) -> list[AcrossPolicyEntry]:
    """Return what policies achieved over several scenarios, those that played in all of them."""
    if len(scenarios) < 2:
        return []
    by_scenario = {s.name: {p.name: p for p in s.policies} for s in scenarios}
    common = set.intersection(*(set(own) for own in by_scenario.values()))
    entries = []
    for name in (p.name for p in scenarios[0].policies if p.name in common):
        own = {scenario: policies[name] for scenario, policies in by_scenario.items()}
        scores = {
            scenario: [u for seed in policy.seeds if (u := seed.metrics["uplift_frac"]) is not None]
            for scenario, policy in own.items()
        }
        scores = {scenario: values for scenario, values in scores.items() if values}
        if not scores:
            continue
        raw = {
            scenario: policy.over_best_rule.p_value
            for scenario, policy in own.items()
            if policy.over_best_rule is not None
        }
        entries.append(
            AcrossPolicyEntry(
                name=name,
                scores=scores,
                iqm=IntervalEntry(**asdict(iqm_interval(scores))),
                profile=_profile(performance_profile(scores, THRESHOLDS)),
                p_values=holm(raw),
            )
        )
    return entries


def wins_over_best_rule(results: Results, entry: AcrossPolicyEntry) -> int:
    """Return in how many scenarios a policy earns more than the best rule, corrected p < 0.05."""
    won = 0
    for scenario in results.scenarios:
        own = next(policy for policy in scenario.policies if policy.name == entry.name)
        above = own.over_best_rule is not None and own.over_best_rule.estimate > 0.0
        won += above and entry.p_values[scenario.name] < 0.05
    return won


def _profile(profile: Profile) -> ProfileEntry:
    return ProfileEntry(**{name: list(values) for name, values in asdict(profile).items()})


def results_of(
    scenarios: Sequence[ScenarioEntry],
    *,
    settings: Mapping[str, JsonValue] | None = None,
    complete: bool = True,
) -> Results:
    """Return what was found in one or several scenarios."""
    return Results(
        gridhash=__version__,
        complete=complete,
        settings=dict(settings or {}),
        scenarios=list(scenarios),
        across=across_scenarios(scenarios),
    )


def write_results(results: Results, path: Path) -> None:
    """Write `results.json`, at once: who reads it finds the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def read_results(path: Path) -> Results:
    """Read `results.json`, or that of a folder.

    Raises
    ------
    DataError
        If there is none, or it is no such file or of another version.
    """
    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: there is no such file; `gridhash evaluate --out FOLDER` makes it")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as err:
        raise DataError(f"{file}: no JSON: {err}") from err
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            f"{file}: format_version is {version!r}; this gridhash reads version "
            f"{FORMAT_VERSION}: evaluate again"
        )
    try:
        return Results.model_validate(values)
    except ValidationError as err:
        raise DataError(f"{file}: {describe_faults(err)}") from err


def results_schema() -> dict[str, Any]:
    """Return the JSON schema of `results.json`."""
    return {"$schema": SCHEMA_ID, **Results.model_json_schema()}
