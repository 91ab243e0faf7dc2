"""The page of the rig catalogue, from the files in `gridhash/rigs`."""

from reference_parameters import keys_table, summary, table, walk

from gridhash.config_blocks import FigureSource
from gridhash.rig_models import RigModel, load_rig, rig_names


def number(value: float) -> str:
    """Return a number as short as it can be read."""
    return f"{value:,.6g}" if abs(value) < 1e7 else f"{value:.3g}"


def figures_table(figures: tuple[FigureSource, ...]) -> list[str]:
    """Return where the figures of a file come from."""
    return table(("figure", "mark", "source"), [(f.figure, f.mark, f.source) for f in figures])


def rig_lines() -> list[str]:
    """Return the body of the page of the rig catalogue."""
    models = [load_rig(name) for name in rig_names()]
    rows = [
        (
            f"`{rig.name}`",
            rig.cooling,
            number(rig.power_w),
            number(rig.hashrate_ths),
            f"{rig.efficiency_j_per_th:.1f}",
            f"{len(rig.profile)} points" if rig.profile else f"b = {rig.curve_b:g}",
            "published table" if rig.tested else "no table",
            f"{rig.chip_derate_c:g} / {rig.chip_trip_c:g}",
        )
        for rig in models
    ]
    header = ("rig", "cooling", "W", "TH/s", "J/TH", "curve", "held to", "derate / trip °C")
    lines = [
        'Rig models that a group of a site file takes over with `rig = "NAME"`.',
        "",
        *table(header, rows),
        "",
    ]
    for rig in models:
        lines += rig_section(rig)
    lines += ["## Keys of a rig file", ""]
    for path, block in walk(RigModel, "", ()):
        lines += [f"### `{path}`", ""] if path else []
        lines += [summary(block) + ".", "", *keys_table(block), ""]
    return lines[:-1]


def rig_section(rig: RigModel) -> list[str]:
    """Return what the catalogue knows of one rig, and from where."""
    modes = [
        (
            f"`{name}`" + (" (default)" if name == rig.default_stop_mode else ""),
            number(mode.standby_w),
            number(mode.boot_s),
            number(mode.warm_up_s),
        )
        for name, mode in rig.stop_modes.items()
    ]
    points = [(number(p.power_w), number(p.hashrate_ths)) for p in rig.profile or ()]
    levels = rig.load_levels or ()
    optional = rig.optional_work_levels
    return [
        f"## {rig.name}",
        "",
        "Commands: " + ", ".join(f"`{command}`" for command in rig.commands) + ". Load levels: "
        + (", ".join(f"{level:g}" for level in levels) or "rows of the profile")
        + (f"; optional: {', '.join(f'{level:g}' for level in optional)}" if optional else "")
        + ".",
        "",
        *table(("stop mode", "standby W", "boot s", "warm-up s"), modes),
        "",
        *([*table(("W", "TH/s"), points), ""] if points else []),
        *figures_table(rig.figures),
        "",
    ]  # fmt: skip
