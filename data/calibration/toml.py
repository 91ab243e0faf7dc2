"""Measured figures as the blocks of a site file that they replace."""

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gridhash.config import RigGroupConfig, SiteConfig, describe_faults
from gridhash.data.calibration.statistics import Interval

COOLING_KEYS = ("chip_to_coolant_k_per_kw", "rig_heat_capacity_kj_per_k")
GROUP_KEYS = (
    "rig_power_w",
    "rig_hashrate_ths",
    "curve_a",
    "curve_b",
    "standby_w",
    "boot_s",
    "warm_up_s",
)


def site_toml(site: SiteConfig, measured: Mapping[str, Mapping[str, Interval]], source: str) -> str:
    """Return all groups of a site with measured figures in place of configured ones.

    Parameters
    ----------
    measured
        By group, by key of the site file: what was measured. Other keys stay as they are.
    source
        What the figures come from, for `figures`.
    """
    parts = [
        f"# {source[:1].upper()}{source[1:]}.",
        "# Put this in place of all [[groups]] of the site file. Lines with an interval were",
        "# measured, the others are as before. rig_power_w is as rigs report it: compare it with a",
        "# meter.",
    ]
    keys = [
        key for key in (*GROUP_KEYS, *COOLING_KEYS) if any(key in own for own in measured.values())
    ]
    if keys:
        parts += [
            "",
            "[[figures]]",
            f"figure = {json.dumps(', '.join(keys))}",
            'mark = "measured"',
            f"source = {json.dumps(source, ensure_ascii=False)}",
        ]
    for group in site.groups:
        parts += ["", *_group_lines(group, measured.get(group.name, {}))]
    return "\n".join(parts) + "\n"


def _group_lines(group: RigGroupConfig, measured: Mapping[str, Interval]) -> list[str]:
    values: dict[str, Any] = group.model_dump()
    cooling: dict[str, Any] = values.pop("cooling")
    comments: dict[str, str] = {}
    refused: list[str] = []
    for keys in (
        *[(key,) for key in GROUP_KEYS[:2]],
        ("curve_a", "curve_b"),
        *[(key,) for key in (*GROUP_KEYS[4:], *COOLING_KEYS)],
    ):
        if not all(key in measured for key in keys):
            continue
        rounded = {key: rounded_to(measured[key]) for key in keys}
        if "curve_b" in rounded:
            rounded["curve_a"] = round(1.0 - rounded["curve_b"], 10)
        if "warm_up_s" in rounded:
            rounded["warm_up_s"] = max(rounded["warm_up_s"], 0.0)
        fault = _fault(group, rounded)
        if fault:
            refused.append(
                f"# {', '.join(keys)} not taken over, a site file cannot hold it: {fault}"
            )
            continue
        for key, value in rounded.items():
            (cooling if key in COOLING_KEYS else values)[key] = value
            own = measured[key]
            comments[key] = f"  # {plain(own.low, own)} … {plain(own.high, own)}"
    lines = ["[[groups]]", *refused]
    lines += [f"{key} = {_toml(value)}{comments.get(key, '')}" for key, value in values.items()]
    lines += ["", "[groups.cooling]"]
    lines += [f"{key} = {_toml(value)}{comments.get(key, '')}" for key, value in cooling.items()]
    return lines


def digits_of(interval: Interval) -> int:
    """Return after how many decimals an estimate is written.

    Two figures of its half width, but no more than five figures of the estimate: rigs that all
    report the same leave no width.
    """
    half, most = 0.5 * (interval.high - interval.low), 1e-3 * abs(interval.value)
    scale = max(half, most) if half > 0.0 or most > 0.0 else 1e-3
    return max(0, 1 - math.floor(math.log10(scale)))


def rounded_to(interval: Interval) -> float:
    """Return an estimate without digits that mean nothing."""
    return round(interval.value, digits_of(interval))


def plain(value: float, interval: Interval) -> str:
    """Return a value with as many decimals as an estimate deserves."""
    return f"{value:.{digits_of(interval)}f}"


def _fault(group: RigGroupConfig, changed: Mapping[str, float]) -> str:
    values = group.model_dump()
    for key, value in changed.items():
        (values["cooling"] if key in COOLING_KEYS else values)[key] = value
    try:
        RigGroupConfig.model_validate(values)
    except ValidationError as err:
        return describe_faults(err).replace("\n", " ")
    return ""


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
