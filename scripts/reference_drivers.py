"""The page of drivers: the capability matrix, from `gridhash.serving.drivers.capabilities`."""

from reference_parameters import table

from gridhash.serving.drivers.capabilities import CAPABILITIES, Capability
from gridhash.serving.drivers.credentials import DEFAULTS
from gridhash.serving.drivers.registry import KINDS

YES_NO = {True: "yes", False: "no", None: "unknown"}


def driver_lines() -> list[str]:
    """Return the body of the page of drivers."""
    header = (
        "firmware",
        "model",
        "on/off",
        "levels",
        "presets",
        "watts",
        "a change restarts",
        "sleep outlasts a reboot",
        "tells power",
        "standby W",
    )
    lines = [
        "What each firmware on each model may be told. What is not in this table is never sent, "
        "whatever a library's flags say; a model that is not in it is read and never commanded. "
        "Work levels of an Avalon are unlocked by a commissioning record of the site. `firmware` "
        "is what a rig list writes; `auto` asks in this order: "
        f"{', '.join(f'`{name}`' for name in KINDS)}.",
        "",
        *table(header, [_row(capability) for capability in CAPABILITIES]),
        "",
        "A new level, preset or power may still be refused by a rig; limits are those that the rig "
        "tells (Braiins OS+: power targets; LuxOS and VNish: presets, of VNish those that are "
        "tuned). `set_power_kw` sets the highest preset that draws no more, where there are "
        "presets alone.",
        "",
        "| firmware | port | asks for a password |",
        "|---|---|---|",
    ]
    for name, kind in KINDS.items():
        asks = "no" if name not in DEFAULTS else f"yes, of `{DEFAULTS[name].username}`"
        lines.append(f"| `{name}` | {kind.port} | {asks} |")
    lines += ["", "## How each figure is known", ""]
    for capability in CAPABILITIES:
        lines += [f"### {capability.firmware}, {capability.model or 'any model'}", ""]
        lines += [
            f"- {figure.figure} ({figure.mark}): {figure.source}" for figure in capability.figures
        ]
        lines += [""]
    return lines[:-1]


def _row(capability: Capability) -> tuple[str, ...]:
    return (
        f"`{capability.firmware}`",
        capability.model or "any",
        YES_NO[capability.on_off],
        "commissioned" if capability.firmware == "avalon" else "no",
        YES_NO[capability.presets],
        YES_NO[capability.continuous_power],
        YES_NO[capability.change_restarts] if capability.takes_power else "—",
        YES_NO[capability.sleep_survives_reboot],
        YES_NO[capability.reports_power],
        "of the group" if capability.standby_w is None else f"{capability.standby_w:g}",
    )
