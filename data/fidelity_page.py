"""The fidelity page in Markdown: verdict by area, every statistic, markets, what falls short."""

from collections.abc import Mapping, Sequence

import pandas as pd

from gridhash.data.fidelity import Check, FidelityReport

HEAD = """# Synthetic years beside real ones

Made by `GRIDHASH_REFERENCE_DATA=… python scripts/fidelity.py`. Every statistic is measured by one
function (`gridhash.data.fidelity_statistics`) on both sides. One draw covers the calendar of the
price tables, 1 April 2023 to 23 August 2026; curtailment, temperature and hashprice are measured on
three calendar years of it. *Achieved* is the mean over the draws, ± their standard deviation.

**Tolerance** is twice the standard error of the target: a target is a mean of n real years that
differ by s from year to year, so it is known to 2·s/√n. s comes from FY2023–25 where a table
holds the statistic by year, else from FY2023–24 (2021–23 for curtailment, 2016–20 for
temperature), pooled within families such as the twelve months, and for autocorrelations over the
nine areas; rare episodes count at least as Poisson's √λ; nothing is tighter than 5 % or the
resolution of the figures. Three choices were made after first results were seen: to pool
autocorrelations over the areas, to compare prices of curtailed and other hours with 2023 alone, and
to weigh years by their length in statistics by year, on both sides (FY2026 holds five months).
A statistic that misses is shown as failing.
`scripts/build_fidelity_targets.py` derives all of it from `calibration/` and the raw series.

The parameters themselves are fitted to the same years, so this page says that the generator holds
what it was given, not that it foresees. For results on unseen years, refit with `fit_japan`.
"""

LIMITS = """## What is not real about it

- Prices of FY2026 (five months, much dearer) are part of the tables but not of the raw series to
  which memory and shape are fitted (FY2023–24). In Tokyo and Hokkaido the 95th percentile of the
  daily spread is 26.0 and 28.6 over FY2023–26, and 17.5 and 19.1 over FY2023–24. How far days
  swing, how much of the level drifts over months, and the noise of the dearest hours are therefore
  fitted to the tables by simulated moments (`gridhash.data.price_tables`), on other draws than
  those judged here. Three constants, though, were chosen with seeds 0 to 19 in view: the price from
  which the noise of dear hours begins, how swings go with the drift, and which moments count.
- Twenty draws are few for what is rare, and some passes are narrow. With seeds 20 to 39 and 40 to
  59, Kyushu misses 1 and 0 statistics (episodes above 40), Hokkaido 1 and 0 (intraday
  autoregression), and Tokyo 1 and 5: its spread over the year, and for the second set also its
  highest price, spring noon, autocorrelation at 48 h and spread of daily levels.
- The drift over months is Gaussian and starts anew each fiscal year; the dear spring and summer of
  2026 is one event in the tables, and here a matter of chance in every draw. That is why counts of
  dear hours differ so much from draw to draw.
- Curtailment of other areas than Kyushu is Kyushu's pattern with their hours and energy of 2023;
  Tokyo's is zero, for there was nearly none up to 2025. The share of curtailed hours that fall on
  cheap ones is Kyushu's everywhere, though elsewhere it is lower.
- Temperature is Haneda's with an assumed offset by area; targets of other areas carry the same
  offset, so they test the generator and not the climate.
- Hashprice starts at an assumed level and reverts to it; only volatility and retargets are fitted.
- The price of curtailed and of other hours is compared with 2023, because 2021 and 2022 were years
  of crisis; `regime="crisis"` is drawn from FY2020–22 and judged in the tests, not here.
"""


def page(
    reports: Sequence[FidelityReport],
    shown: Sequence[str],
    markets: Mapping[str, pd.DataFrame],
    *,
    with_series: bool,
) -> str:
    """Return the page.

    Parameters
    ----------
    reports
        Of all areas.
    shown
        Areas with plots and a full table.
    markets
        By preset: rows of statistics with the columns ``real`` and ``synthetic``.
    with_series
        Whether raw series were at hand for the plots.
    """
    parts = [HEAD, "## Verdict\n", _verdict(reports)]
    source = (
        "Black lines are raw series (FY2023–24; not part of the repository), black points and "
        "profiles the committed targets."
        if with_series
        else "Black points and profiles are the committed targets; no raw series were at hand."
    )
    parts.append(f"\n## Real beside synthetic\n\n{source}\n")
    for area in shown:
        parts.append(f"![{area}: price](fidelity/{area}-price.png)\n")
    parts.append("![Kyushu: surplus, temperature, hashprice](fidelity/kyushu-site.png)\n")
    for report in reports:
        if report.area in shown:
            parts.append(f"## {report.area.capitalize()}\n\n{_table(report.checks)}\n")
    others = [report for report in reports if report.area not in shown and report.failures]
    if others:
        parts.append("## What fails elsewhere\n")
    for report in others:
        parts.append(f"### {report.area.capitalize()}\n\n{_table(report.failures)}\n")
    for name, frame in markets.items():
        parts.append(f"## Market preset `{name}`\n\n{_market(frame)}\n")
    return "\n".join([*parts, LIMITS])


def _verdict(reports: Sequence[FidelityReport]) -> str:
    lines = ["| area | statistics | within tolerance | outside |", "|---|---|---|---|"]
    for report in reports:
        names = " · ".join(check.name for check in report.failures) or "none"
        total, failed = len(report.checks), len(report.failures)
        lines.append(f"| {report.area} | {total} | {total - failed} | {names} |")
    return "\n".join(lines)


def _table(checks: Sequence[Check]) -> str:
    lines = ["| statistic | target | achieved | tolerance | |", "|---|---|---|---|---|"]
    for check in checks:
        lines.append(
            f"| {check.name} | {check.target:.3f} | {check.achieved:.3f} ± {check.spread:.3f} "
            f"| {check.tolerance:.3f} | {'pass' if check.passes else '**FAIL**'} |"
        )
    return "\n".join(lines)


def _market(frame: pd.DataFrame) -> str:
    lines = ["| statistic | figures aimed at | real series | synthetic |", "|---|---|---|---|"]
    for name, row in frame.iterrows():
        aim = "" if pd.isna(row["aim"]) else f"{row['aim']:.3f}"
        real = "" if pd.isna(row["real"]) else f"{row['real']:.3f}"
        lines.append(f"| {name} | {aim} | {real} | {row['synthetic']:.3f} |")
    return "\n".join(lines)
