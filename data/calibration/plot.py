"""What was measured beside what was fitted, one page per rig group."""

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gridhash.config import RigGroupConfig
from gridhash.data.calibration.fits import Fit, Result
from gridhash.data.calibration.toml import plain

MEASURED, FITTED, CONFIGURED = "#5b7fa6", "#c2410c", "#6b7280"
MOST_POINTS = 4000


def plot_group(
    folder: Path, group: RigGroupConfig, model: str, results: Mapping[str, Result]
) -> Path:
    """Draw the fits of one group, write them as PNG and return the file.

    Six panels: rig curve, settled rise of the chips, their warming, the instants at which power and
    hashes came after a start, and standby power.
    """
    figure = Figure(figsize=(13.0, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    panels: tuple[tuple[str, str, Callable[[Axes, Fit, RigGroupConfig], None]], ...] = (
        ("curve_b", "Rig curve", _curve),
        ("chip_to_coolant_k_per_kw", "Settled chips", _resistance),
        ("chip_time_constant_s", "Warming chips", _warming),
        ("boot_s", "Power after a start", _boot),
        ("start_up_s", "Hashes after a start", _start_up),
        ("standby_w", "Standby", _standby),
    )
    for ax, (name, title, draw) in zip(axes.flat, panels, strict=True):
        result = results[name]
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
        ax.spines[["top", "right"]].set_visible(False)
        if isinstance(result, Fit):
            draw(ax, result, group)
        else:
            why = textwrap.fill(result.why, 52)
            ax.text(
                0.02, 0.6, f"not identifiable:\n{why}", transform=ax.transAxes, fontsize=9
            ).set_in_layout(False)
            ax.set_xticks([])
            ax.set_yticks([])
    figure.suptitle(f"{group.name}: {model}, measured beside fitted", x=0.01, ha="left")
    folder.mkdir(parents=True, exist_ok=True)
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in f"{group.name}-{model}")
    path = folder / f"calibration-{safe}.png"
    figure.savefig(path, dpi=120)
    return path


def _curve(ax: Axes, fit: Fit, group: RigGroupConfig) -> None:
    p, b = fit.points["load_frac"], fit.interval
    _dots(ax, p, fit.points["relative_efficiency"])
    x = np.linspace(p.min() - 0.02, max(p.max(), 1.0) + 0.02, 50)
    ax.fill_between(
        x, 1.0 + b.low * (x - 1.0), 1.0 + b.high * (x - 1.0), color=FITTED, alpha=0.25, lw=0
    )
    ax.plot(x, 1.0 + b.value * (x - 1.0), color=FITTED, label=_named("b", fit))
    ax.plot(
        x,
        1.0 + group.curve_b * (x - 1.0),
        color=CONFIGURED,
        ls="--",
        label=f"configured {group.curve_b:g}",
    )
    ax.set_xlabel("load fraction p")
    ax.set_ylabel("efficiency e(p)/e(1)")
    ax.legend(frameon=False, fontsize=9)


def _resistance(ax: Axes, fit: Fit, group: RigGroupConfig) -> None:
    power_kw, resistance = fit.points["power_kw"], fit.interval
    _dots(ax, power_kw, fit.points["rise_k"])
    x = np.array([0.0, power_kw.max() * 1.05])
    ax.fill_between(x, resistance.low * x, resistance.high * x, color=FITTED, alpha=0.25, lw=0)
    ax.plot(x, resistance.value * x, color=FITTED, label=_named("R", fit) + " K/kW")
    configured = group.cooling.chip_to_coolant_k_per_kw
    ax.plot(x, configured * x, color=CONFIGURED, ls="--", label=f"configured {configured:g}")
    ax.set_xlabel("rig power, as reported [kW]")
    ax.set_ylabel("chip above coolant [K]")
    ax.legend(frameon=False, fontsize=9)


def _warming(ax: Axes, fit: Fit, group: RigGroupConfig) -> None:
    since_s, tau = fit.points["since_step_s"], fit.interval
    _dots(ax, since_s, fit.points["rise_frac"])
    x = np.linspace(0.0, 7.0 * tau.value, 200)
    ax.plot(x, -np.expm1(-x / tau.value), color=FITTED, label=_named("τ", fit) + " s")
    configured = group.cooling.chip_to_coolant_k_per_kw * group.cooling.rig_heat_capacity_kj_per_k
    ax.plot(
        x, -np.expm1(-x / configured), color=CONFIGURED, ls="--", label=f"configured {configured:g}"
    )
    ax.set_xlim(-0.5 * tau.value, 7.0 * tau.value)
    ax.set_ylim(-0.4, 1.5)
    ax.set_xlabel("time since power stepped [s]")
    ax.set_ylabel("share of the settled rise")
    ax.legend(frameon=False, fontsize=9, loc="lower right")


def _boot(ax: Axes, fit: Fit, group: RigGroupConfig) -> None:
    _brackets(ax, fit, group.boot_s)


def _start_up(ax: Axes, fit: Fit, group: RigGroupConfig) -> None:
    _brackets(ax, fit, group.boot_s + group.warm_up_s)


def _brackets(ax: Axes, fit: Fit, configured_s: float) -> None:
    order = np.argsort(fit.points["low_s"] + fit.points["high_s"], kind="stable")
    order = order[:: max(1, len(order) // 200)]
    y = np.arange(len(order))
    ax.hlines(
        y, fit.points["low_s"][order], fit.points["high_s"][order], color=MEASURED, lw=1, alpha=0.7
    )
    ax.axvspan(fit.interval.low, fit.interval.high, color=FITTED, alpha=0.25, lw=0)
    ax.axvline(fit.interval.value, color=FITTED, label=_named("mean", fit) + " s")
    ax.axvline(configured_s, color=CONFIGURED, ls="--", label=f"configured {configured_s:g}")
    ax.set_xlim(left=0.0)
    ax.set_xlabel("time after the start [s]")
    ax.set_ylabel("starts, by the readings that enclose it")
    ax.set_yticks([])
    ax.legend(frameon=False, fontsize=9, loc="lower left")


def _standby(ax: Axes, fit: Fit, group: RigGroupConfig) -> None:
    values_w = np.sort(fit.points["standby_w"])
    ax.plot(values_w, np.arange(1, len(values_w) + 1), "o", ms=4, color=MEASURED, alpha=0.7)
    ax.axvspan(fit.interval.low, fit.interval.high, color=FITTED, alpha=0.25, lw=0)
    ax.axvline(fit.interval.value, color=FITTED, label=_named("mean", fit) + " W")
    ax.axvline(group.standby_w, color=CONFIGURED, ls="--", label=f"configured {group.standby_w:g}")
    ax.set_xlabel("power of a stopped rig, as reported [W]")
    ax.set_ylabel("rigs")
    ax.set_ylim(0.5, 1.25 * len(values_w) + 1.0)
    ax.legend(frameon=False, fontsize=9, loc="upper left")


def _dots(ax: Axes, x: object, y: object) -> None:
    xs, ys = np.asarray(x), np.asarray(y)
    every = max(1, len(xs) // MOST_POINTS)
    ax.plot(xs[::every], ys[::every], "o", ms=2.5, color=MEASURED, alpha=0.35, mew=0)


def _named(symbol: str, fit: Fit) -> str:
    own = fit.interval
    return f"{symbol} = {plain(own.value, own)} ({plain(own.low, own)} … {plain(own.high, own)})"
