"""How good forecasts are on time they have not seen; writes docs/results/forecasts.md.

Needs the real series, which are not part of the repository, where GRIDHASH_REFERENCE_DATA says.
The last case is embedded in gridhash: `--only nl-2018` prints it for anyone and writes nothing.

    GRIDHASH_REFERENCE_DATA=... python scripts/forecast_skill.py
    python scripts/forecast_skill.py --only nl-2018
"""

import argparse
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from forecast_cases import CASES, SEED, Case

from gridhash.data.forecasts.features import rows_of
from gridhash.data.forecasts.forecast import (
    Forecaster,
    Forecasts,
    forecast,
    forecast_many,
)
from gridhash.data.forecasts.methods import METHODS, fit
from gridhash.data.forecasts.quantile_model import QuantileModel
from gridhash.data.forecasts.rolling_map import WINDOW_DAYS, forecast_recalibrated
from gridhash.data.forecasts.sampling import whole_steps_s
from gridhash.data.forecasts.scores import coverage, crps, paired_difference, pinball
from gridhash.data.forecasts.series import known_at
from gridhash.time_grid import epoch_s, grid

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "forecasts.md"
LOW, HIGH = 0.1, 0.9
RECALIBRATED = "boosted, recalibrated daily"
BOOSTED = "boosted-quantiles"
WEEK_S = 7 * 86400
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Scores of one method; arrays by issue time and horizon, NaN where nothing came."""

    crps: Array
    pinball: float
    covered: Array
    covered_plain: float
    covered_unsure: float
    share_unsure: float


def judge(case: Case) -> list[str]:
    """Fit every method, score it on the held-out span and return a section of the page."""
    target = case.series[case.target]
    every_s = whole_steps_s(target.period_s, case.every_s)
    reach = pd.Timedelta(seconds=case.options.n_steps * target.period_s)
    issued = grid(case.test.start, case.test.end - reach, every_s)
    leads = np.unique([max(1, round(h * 3600 / target.period_s)) for h in case.horizons_h]) - 1
    fitted: dict[str, Forecaster] = {
        method: fit(method, case.series, [case.train], target=case.target, options=case.options)
        for method in METHODS
    }
    made: dict[str, Forecasts] = {
        method: forecast_many(forecaster, case.series, issued, leads)
        for method, forecaster in fitted.items()
    }
    model = fitted[BOOSTED]
    assert isinstance(model, QuantileModel)
    made[RECALIBRATED] = forecast_recalibrated(model, case.series, issued, leads)
    scored = {method: score(case, table) for method, table in made.items()}
    weeks = np.repeat(epoch_s(issued) // WEEK_S, len(leads)).reshape(len(issued), -1)
    n = int((~np.isnan(scored["persistence"].crps)).sum())
    return [
        f"## {case.title}",
        "",
        f"{case.note} Learned: {case.train}. Judged: {case.test}; an issue time every "
        f"{every_s / 3600:g} h, {len(issued):,} of them, {n:,} forecasts scored. CRPS and pinball "
        f"loss (mean over the levels) in {case.unit}.",
        "",
        *overall(case, scored, weeks),
        "",
        *by_horizon(case, scored, leads, target.period_s),
        "",
        f"One day ahead ({case.options.n_steps} steps) from one issue time takes "
        f"{latency_ms(case, model):.0f} ms of one processor, finding what is known included.",
        "",
    ]


def score(case: Case, table: Forecasts) -> Scored:
    """Return the scores of what came and was not published before."""
    target = case.series[case.target]
    rows = rows_of(target, epoch_s(table.issued_at), table.leads)
    outcomes = np.where(rows.wanted > rows.last[:, None], table.outcomes(target), np.nan)
    seen = ~np.isnan(outcomes)
    levels = table.quantile_levels
    values, came = table.values[seen], outcomes[seen]
    low, high = levels.index(LOW), levels.index(HIGH)
    unsure = values[:, high] > values[:, low]
    full = np.full(outcomes.shape, np.nan)
    covered = full.copy()
    full[seen] = crps(values, came, levels)
    covered[seen] = coverage(values, came, levels, low=LOW, high=HIGH)
    return Scored(
        crps=full,
        pinball=float(pinball(values, came, levels).mean()),
        covered=covered,
        covered_plain=float(((came >= values[:, low]) & (came <= values[:, high])).mean()),
        covered_unsure=float(covered[seen][unsure].mean()) if unsure.any() else float("nan"),
        share_unsure=float(unsure.mean()),
    )


def overall(case: Case, scored: dict[str, Scored], weeks: npt.NDArray[np.int64]) -> list[str]:
    """Return the table of all methods over all horizons."""
    lines = [
        "| method | CRPS | pinball | CRPS against persistence | difference, 95 % interval "
        "| 80 % interval covers | counted plainly | where it has a width |",
        "|---|---|---|---|---|---|---|---|",
    ]
    base = scored["persistence"]
    seen = ~np.isnan(base.crps)
    d = case.digits
    for method, one in scored.items():
        mean = float(one.crps[seen].mean())
        unsure = one.share_unsure > 0.0
        against, interval = "", ""
        if method != "persistence":
            found = paired_difference(one.crps[seen], base.crps[seen], weeks[seen], seed=SEED)
            against = f"{found.mean / base.crps[seen].mean():+.1%}"
            interval = f"{found.mean:+.{d}f} [{found.low:+.{d}f}, {found.high:+.{d}f}]"
        lines.append(
            f"| {method} | {mean:.{d}f} | {one.pinball:.{d}f} | {against} | {interval} | "
            f"{one.covered[seen].mean():.1%} | {one.covered_plain:.1%} | "
            + (f"{one.covered_unsure:.1%} (of {one.share_unsure:.0%}) |" if unsure else "none |")
        )
    return lines


def by_horizon(
    case: Case, scored: dict[str, Scored], leads: npt.NDArray[np.int64], period_s: int
) -> list[str]:
    """Return the table by horizon, counted to the end of the forecast interval."""
    shown = ("persistence", "seasonal-day", "climatology", RECALIBRATED)
    lines = [
        "| horizon | " + " | ".join(f"CRPS {method}" for method in shown) + " | covers |",
        "|---" * (len(shown) + 2) + "|",
    ]
    beaten: list[str] = []
    for i, lead in enumerate(leads):
        minutes = (int(lead) + 1) * period_s // 60
        label = f"{minutes} min" if minutes < 60 else f"{minutes / 60:g} h"
        if np.isnan(scored["persistence"].crps[:, i]).all():
            continue
        cells = [f"{np.nanmean(scored[method].crps[:, i]):.{case.digits}f}" for method in shown]
        share = np.nanmean(scored[RECALIBRATED].covered[:, i])
        lines.append(f"| {label} | " + " | ".join(cells) + f" | {share:.1%} |")
        if float(cells[-1]) > min(float(cell) for cell in cells[:-1]):
            beaten.append(label)
    if beaten:
        lines += ["", f"A plain method is better at {', '.join(beaten)}."]
    return lines


def latency_ms(case: Case, model: QuantileModel) -> float:
    """Return the median processor time of one forecast from one issue time, one thread [ms]."""
    issued = grid(case.test.start, case.test.start + pd.Timedelta(days=2), 3600)
    took = []
    for instant in issued[:30]:
        begun = time.process_time()
        forecast(model, known_at(case.series, instant), case.options.n_steps)
        took.append((time.process_time() - begun) * 1000)
    return statistics.median(took)


def head(minutes: float, peak_gib: float) -> list[str]:
    """Return what the page says first."""
    return [
        "# Forecasts on time they have not seen",
        "",
        "Made by `scripts/forecast_skill.py` with the real series in `GRIDHASH_REFERENCE_DATA` "
        f"({minutes:.1f} min of one core, {peak_gib:.1f} GiB). Every method forecasts the same "
        "15 quantiles from what is known at the issue time alone and is fitted on the training "
        "span alone; eight days lie between what is learned and what is judged. Nothing is learned "
        "from the held-out span, but recalibration reads, each day, the errors of the last "
        f"{WINDOW_DAYS} days that are known by then, as a site in operation does. One set of "
        "hyper-parameters, fixed beforehand for all series and never tuned; the form of the model "
        "and the window of recalibration (14 and 56 days were tried: much the same) were settled "
        "while looking at the scores of these series, so that they are a little flattering.",
        "",
        "- *persistence*: the last known value and the quantiles of its errors, per step ahead, in "
        "training; *seasonal-day*, *seasonal-week*: likewise with the same slot of the newest "
        "known day and of six days before that; *climatology*: quantiles of month and hour (of the "
        "hour alone for months that the training span lacks).",
        "- *boosted-quantiles*: LightGBM on top of a ridge regression, calibrated on every fifth "
        "week of the training span. Prices are learned as arcsinh(price / median |price|).",
        "- CRPS: 2 Σ weight · pinball over the quantiles; the mean is over the listed horizons, so "
        "the first hours, where persistence is strong, weigh more than in a whole day.",
        "- Difference: method − persistence, negative is better; 95 % interval of a paired "
        "bootstrap over whole weeks (2,000 draws).",
        "- *80 % interval covers*: where the outcome equals several quantiles, as a surplus of "
        "zero does at night, the forecast has a point mass, and the share is the probability that "
        "the randomised probability integral transform lies in 0.1–0.9: a certain and right zero "
        "counts 0.8. *Counted plainly* is the share of outcomes between the two quantiles, ends "
        "included, which is above 80 % for a right forecast with point masses. *Where it has a "
        "width*: the first figure over those forecasts alone whose 80 % interval is more than one "
        "point, and their share: a surplus at night cannot flatter it.",
        "",
    ]


def main() -> None:
    """Judge the cases; write the page if it was all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=CASES, help="print one case and write nothing")
    only = parser.parse_args().only
    begun = time.process_time()
    sections: list[str] = []
    for name in [only] if only else CASES:
        section = judge(CASES[name]())
        print("\n".join(section), flush=True)
        sections += section
    minutes = (time.process_time() - begun) / 60
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{minutes:.1f} min, {peak_gib:.1f} GiB")
    if only is None:
        text = "\n".join([*head(minutes, peak_gib), *sections]).rstrip() + "\n"
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
