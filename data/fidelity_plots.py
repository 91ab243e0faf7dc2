"""Plots of the fidelity page: real beside synthetic.

Real lines come from the committed targets; where the raw series are given, they are drawn too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridhash.data.fidelity import draw_profile, draw_years, hourly_span, price_span, targets
from gridhash.data.fidelity_statistics import LAGS, autocorrelation
from gridhash.data.readers.jepx import TIMEZONE
from gridhash.data.runs import run_lengths
from gridhash.data.synthesis.calendar import SEASONS

Array = npt.NDArray[np.float64]

REAL, SYNTHETIC = "black", "tab:orange"
SHOWN_LAGS = tuple(range(1, 337, 3))
DPI = 90


@dataclass(frozen=True)
class RealSeries:
    """Raw series that are not part of the repository; each may be missing.

    Attributes
    ----------
    price_jpy_per_kwh
        Half hours of FY2023–24 by area.
    curtailed_mw
        Hours of Kyushu 2021–23.
    temp_c
        Hours of Haneda 2016–20.
    hashprice_usd_per_phs_day
        Days from 2021 on, expected from difficulty.
    """

    price_jpy_per_kwh: Mapping[str, pd.Series]
    curtailed_mw: pd.Series | None
    temp_c: pd.Series | None
    hashprice_usd_per_phs_day: pd.Series | None


def price_figure(area: str, seeds: Sequence[int], real: RealSeries) -> Figure:
    """Return duration curve, profile, autocorrelation and run lengths of an area's prices."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    duration, profile, acf, runs = figure.subplots(2, 2).ravel()
    paths = [price_span(draw_years(area, seed))[1] for seed in seeds]
    series = real.price_jpy_per_kwh.get(area)
    values = None if series is None else series.to_numpy(dtype="float64")
    _duration(duration, paths, values)
    _profile(profile, area, seeds)
    _acf(acf, area, paths, values)
    _runs(runs, paths, values)
    figure.suptitle(f"{area}: real (black) and {len(seeds)} synthetic draws (orange)")
    return figure


def site_figure(area: str, seeds: Sequence[int], real: RealSeries) -> Figure:
    """Return curtailment by month and hour, temperature and hashprice."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    left, right, temperature, hashprice = figure.subplots(2, 2).ravel()
    spans = [hourly_span(draw_years(area, seed)) for seed in seeds]
    share = np.mean([_by_month_hour(hours, power > 0) for hours, _, power, _ in spans], axis=0)
    _map(right, share, "synthetic: P(curtailed)")
    if real.curtailed_mw is None:
        left.set_axis_off()
    else:
        index = pd.DatetimeIndex(real.curtailed_mw.index)
        _map(left, _by_month_hour(index, real.curtailed_mw.to_numpy() > 0), "real 2021–23")
    _temperature(temperature, area, spans, real)
    years = draw_years(area, seeds[0])
    for number, seed in enumerate(seeds[:5]):
        paths = [y.hashprice.usd_per_phs_day for y in draw_years(area, seed) if y.hashprice]
        hashprice.plot(paths[0], color=SYNTHETIC, lw=0.8, label="synthetic" if not number else None)
    if real.hashprice_usd_per_phs_day is not None:
        last = real.hashprice_usd_per_phs_day.to_numpy()[-years[0].calendar.n_days :]
        hashprice.plot(last, color=REAL, lw=1.0, label="real, last year of the series")
    hashprice.set(title="hashprice", xlabel="day", ylabel="USD/(PH/s)/day")
    hashprice.legend(fontsize=8)
    figure.suptitle(f"{area}: surplus, temperature and hashprice")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a small PNG."""
    figure.savefig(path, dpi=DPI, pil_kwargs={"optimize": True})


def _duration(axes: Axes, paths: list[Array], real: Array | None) -> None:
    share = np.linspace(0.0, 1.0, 1001)
    for path in paths:
        axes.plot(share, np.quantile(path, 1 - share), color=SYNTHETIC, lw=0.5, alpha=0.6)
    if real is not None:
        axes.plot(share, np.quantile(real, 1 - share), color=REAL, lw=1.2, label="real FY2023–24")
        axes.legend(fontsize=8)
    axes.set_yscale("symlog", linthresh=10)
    axes.set(title="price duration curve", xlabel="share of time above", ylabel="JPY/kWh")


def _profile(axes: Axes, area: str, seeds: Sequence[int]) -> None:
    real = np.array(targets(area)["profile"]["mean"])
    synthetic = np.mean([draw_profile(area, seed) for seed in seeds], axis=0)
    hours = np.arange(48) / 2
    for number, (season, style) in enumerate(zip(SEASONS, ("-", "--", ":", "-."), strict=True)):
        axes.plot(hours, real[number], style, color=REAL, lw=1.0, label=season)
        axes.plot(hours, synthetic[number], style, color=SYNTHETIC, lw=1.4)
    axes.legend(fontsize=8)
    axes.set(title="mean by season, FY2023–26", xlabel="hour", ylabel="JPY/kWh")


def _acf(axes: Axes, area: str, paths: list[Array], real: Array | None) -> None:
    hours = np.array(SHOWN_LAGS) / 2
    for path in paths:
        values = [autocorrelation(path, lag) for lag in SHOWN_LAGS]
        axes.plot(hours, values, color=SYNTHETIC, lw=0.4, alpha=0.6)
    if real is not None:
        values = [autocorrelation(real, lag) for lag in SHOWN_LAGS]
        axes.plot(hours, values, color=REAL, lw=1.0, label="real FY2023–24")
    entry = targets(area)["targets"]
    tabled = [entry[f"ACF {lag / 2:g} h"][0] for lag in LAGS]
    axes.plot(np.array(LAGS) / 2, tabled, "o", color=REAL, ms=4, label="table FY2023–26")
    axes.legend(fontsize=8)
    axes.set(title="autocorrelation of price", xlabel="lag [h]", ylim=(0, 1))


def _runs(axes: Axes, paths: list[Array], real: Array | None) -> None:
    edges = np.arange(0.5, 13.0, 0.5)
    for name, low, high, style in (("at 0.01", 0.0, 0.01, "-"), ("> 20", 20.001, np.inf, "--")):
        runs = [run_lengths((path >= low) & (path <= high)) for path in paths]
        lengths = np.concatenate(runs) / 2
        survival = [(lengths >= edge).mean() for edge in edges]
        axes.plot(edges, survival, style, color=SYNTHETIC, label=f"synthetic {name}")
        if real is not None:
            lengths = run_lengths((real >= low) & (real <= high)) / 2
            survival = [(lengths >= edge).mean() for edge in edges]
            axes.plot(edges, survival, style, color=REAL, label=f"real FY2023–24 {name}")
    axes.legend(fontsize=8)
    axes.set(title="runs at least as long", xlabel="hours", ylabel="share of runs")


def _by_month_hour(hours: pd.DatetimeIndex, flags: npt.NDArray[np.bool_]) -> Array:
    local = hours.tz_convert(TIMEZONE)
    table = pd.Series(flags.astype(float)).groupby([local.month, local.hour]).mean().unstack()
    return table.to_numpy(dtype="float64")


def _map(axes: Axes, share: Array, title: str) -> None:
    image = axes.imshow(share, aspect="auto", vmin=0, vmax=0.8, extent=(0, 24, 12.5, 0.5))
    axes.set(title=title, xlabel="hour", ylabel="month")
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.colorbar(image, ax=axes)


def _temperature(
    axes: Axes,
    area: str,
    spans: list[tuple[pd.DatetimeIndex, Array, Array, Array]],
    real: RealSeries,
) -> None:
    entry = targets(area)["targets"]
    months = np.arange(1, 13)
    mean = np.array([entry[f"temperature mean, month {m}"][0] for m in months])
    sd = np.array([entry[f"temperature sd, month {m}"][0] for m in months])
    axes.errorbar(months - 0.1, mean, sd, fmt="o", color=REAL, label="target: mean, sd")
    local = [hours.tz_convert(TIMEZONE).month for hours, _, _, _ in spans]
    temp_c = np.concatenate([values for _, _, _, values in spans])
    by_month = pd.Series(temp_c).groupby(np.concatenate(local))
    axes.errorbar(
        months + 0.1, by_month.mean(), by_month.std(), fmt="o", color=SYNTHETIC, label="synthetic"
    )
    if real.temp_c is not None:
        at = pd.DatetimeIndex(real.temp_c.index).tz_convert(TIMEZONE)
        highest = real.temp_c.groupby(at.month).max()
        axes.plot(months - 0.1, highest, "_", color=REAL, label="highest at Haneda 2016–20")
    axes.plot(months + 0.1, by_month.max(), "_", color=SYNTHETIC)
    axes.legend(fontsize=8)
    axes.set(title="temperature by month", xlabel="month", ylabel="°C")
