"""Damaged configuration files: one clear error each, never a traceback and never a silent pass.

``GRIDHASH_CONFIG_FUZZ=10000 pytest tests/test_config_fuzz.py`` damages ten thousand files. Every
damage is invalid by construction: what it breaks is a rule of the format, written down here
independently of the models.
"""

import copy
import json
import math
import os
import random
import re
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from gridhash.config import load_site, parse_site
from gridhash.config_merge import merged
from gridhash.config_scenario import (
    load_scenario_config,
    parse_scenario,
    scenario_names,
)
from gridhash.data.samples import load_sample
from gridhash.envs.scenario import build_scenario
from gridhash.errors import ConfigError, DataError

N_FILES = int(os.environ.get("GRIDHASH_CONFIG_FUZZ", "500"))
N_PARTS = 10
MAX_LINES = 20
SYNTAX = r"not valid TOML.*(line \d+|end of document|nested|digits)"
"""How an error says where TOML is broken."""

Table = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Base:
    """A valid file: what it holds, and its text."""

    name: str
    kind: str
    values: Table
    text: str


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """A file that is no longer valid, and what its error must name."""

    content: bytes
    names: str
    """Regular expression that the message holds."""


def toml(values: Table) -> str:
    """Return values as TOML: the scalars and arrays of a table, then its tables."""
    return "\n".join(_lines(values, ())) + "\n"


def _lines(values: Table, path: tuple[str, ...]) -> Iterator[str]:
    def is_array_of_tables(value: object) -> bool:
        return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)

    for key, value in values.items():
        if not isinstance(value, dict) and not is_array_of_tables(value):
            yield f"{_key(key)} = {_scalar(value)}"
    for key, value in values.items():
        inner = (*path, _key(key))
        if isinstance(value, dict):
            yield f"[{'.'.join(inner)}]"
            yield from _lines(value, inner)
        elif is_array_of_tables(value):
            for item in value:
                yield f"[[{'.'.join(inner)}]]"
                yield from _lines(item, inner)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_scalar(v)}" for k, v in value.items()) + "}"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def raw(package: str, name: str) -> tuple[Table, str]:
    text = resources.files(package).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text), text


def bases() -> list[Base]:
    """Return presets, the whole sites of scenarios, and scenario files."""
    found = []
    for name in ("japan_pilot", "texas_air", "europe_sample"):
        values, text = raw("gridhash.presets", name)
        found.append(Base(name=name, kind="site", values=values, text=text))
    for name in scenario_names():
        site = load_scenario_config(name).site.model_dump(exclude_none=True)
        values = json.loads(json.dumps(site, default=str))
        found.append(Base(name=name, kind="site", values=values, text=toml(values)))
        values, text = raw("gridhash.scenarios", name)
        found.append(Base(name=name, kind="scenario", values=values, text=text))
    return found


BASES = bases()


def leaves(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every key that holds no table, with its path; texts about figures are left out."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        if key in ("figures", "value", "description", "title"):
            continue
        nested = isinstance(value, dict) or (
            isinstance(value, list) and value and isinstance(value[0], dict)
        )
        if nested:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def tables(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every table."""
    yield path
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        if isinstance(value, dict):
            yield from tables(value, (*path, key))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for k, item in enumerate(value):
                yield from tables(item, (*path, key, k))


def at(values: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def with_value(base: Base, path: tuple[Any, ...], value: Any) -> Damaged:
    values = copy.deepcopy(base.values)
    at(values, path[:-1])[path[-1]] = value
    return Damaged(content=toml(values).encode(), names=re.escape(str(path[-1])))


def numbers(base: Base) -> list[tuple[Any, ...]]:
    return [
        path
        for path, value in leaves(base.values)
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]


Damage = Callable[[random.Random, Base], Damaged | None]
"""Damages a file, or returns None where it holds nothing of that kind."""


def misspell(rng: random.Random, base: Base) -> Damaged | None:
    paths = [path for path, _ in leaves(base.values)]
    path = rng.choice(paths)
    table = copy.deepcopy(base.values)
    holder, name = at(table, path[:-1]), str(path[-1])
    k = rng.randrange(len(name))
    letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
    wrong = rng.choice(
        [name[:k] + name[k + 1 :], name[:k] + letter + name[k:], name[:k] + letter + name[k + 1 :]]
    )
    known = {str(p[-1]) for b in BASES for p, _ in leaves(b.values)} | {"seed", "rig", "area"}
    if wrong in known or not wrong or isinstance(path[-1], int):
        return None
    holder[wrong] = holder.pop(name)
    return Damaged(content=toml(table).encode(), names=re.escape(wrong))


def unknown_key(rng: random.Random, base: Base) -> Damaged:
    values = copy.deepcopy(base.values)
    name = rng.choice(["colour", "max_temp", "n_rig", "contract_power_mw", "Ünknown", "a b"])
    at(values, rng.choice(list(tables(values))))[name] = rng.choice([1, "x", True, {}, []])
    return Damaged(content=toml(values).encode(), names=re.escape(name))


def wrong_type(rng: random.Random, base: Base) -> Damaged:
    path, value = rng.choice(list(leaves(base.values)))
    if isinstance(value, bool):
        wrong = rng.choice([1, 0, "true", "yes", [], {}, 0.5])
    elif isinstance(value, int | float):
        wrong = rng.choice(["many", str(value), True, [value], {"value": value}, time(12), []])
    elif isinstance(value, date | time):
        wrong = rng.choice([20250401, True, [], {"a": 1}, 0.5])
    elif isinstance(value, str):
        wrong = rng.choice([1, 2.5, True, ["x"], {"a": 1}])
    else:
        wrong = rng.choice([1.0, "[1.0]", True, {"a": 1}])
        if value and isinstance(value[0], int | float):
            wrong = rng.choice([wrong, [str(value[0])], [True], ["x", *value]])
    return with_value(base, path, wrong)


def table_for_scalar(rng: random.Random, base: Base) -> Damaged | None:
    paths = [p for p in tables(base.values) if p and isinstance(p[-1], str)]
    paths = [p for p in paths if p[-1] not in ("overrides", "groups") or base.kind == "site"]
    return with_value(base, rng.choice(paths), rng.choice([3, "x", True])) if paths else None


def not_finite(rng: random.Random, base: Base) -> Damaged | None:
    found = [p for p in numbers(base) if isinstance(at(base.values, p), float)]
    wrong = rng.choice([math.nan, math.inf, -math.inf])
    return with_value(base, rng.choice(found), wrong) if found else None


def huge(rng: random.Random, base: Base) -> Damaged | None:
    found = numbers(base)
    wrong = rng.choice([1e300, -1e300, 10**30, 10**400, 1.8e308])
    wrong = wrong if not isinstance(wrong, float) or math.isfinite(wrong) else 1e308
    return with_value(base, rng.choice(found), wrong) if found else None


NEVER_NEGATIVE = re.compile(
    r"(_kw|_s|_ths|_w|_frac|_kj_per_k|_k_per_kw|_kw_per_k|_per_min|_phs_day|per_usd|per_kw_month"
    r"|per_kw_year|n_rigs|years|days|_months|horizon_h|notice_h|block_h|per_year|_share|power_factor"
    r"|per_fleet_start|pue_for_planning|levy_per_kwh|penalty_per_kwh|adders_per_kwh)$"
)


def negative(rng: random.Random, base: Base) -> Damaged | None:
    found = [
        p for p in numbers(base) if NEVER_NEGATIVE.search(str(p[-1])) and "randomisation" not in p
    ]
    if not found:
        return None
    path = rng.choice(found)
    value = at(base.values, path)
    wrong = -abs(value) - rng.choice([1, 100])
    return with_value(base, path, type(value)(wrong))


def out_of_range(rng: random.Random, base: Base) -> Damaged | None:
    """Percent for shares, kelvin for degrees, watts for rigs of kilowatts, hours for days."""
    rules: dict[str, Any] = {
        r"(pool_fee|stale|fan_min_speed|pump_idle_flow|tolerance|ratchet)_frac": 98,
        r"(outdoor_temp|chip_derate|chip_trip|coolant_setpoint|coolant_restart)_c": 300.0,
        r"(boot|warm_up)_s": 86_400.0,
        r"min_(up|down)_s": 1e6,
        r"horizon_h": 96,
        r"pue_for_planning": 102.0,
        r"n_rigs": 0,
        r"curve_[ab]": 35.0,
        r"(from|to|first|last)_hour": 25.0,
        r"episode_days": 1000.0,
        r"fiscal_year_start": 25,
        r"format_version": 2,
        r"dispatch_interval_s": 0,
        r"rig_power_w": 8.064e6,
        r"embargo_days": 0.5,
    }
    found = [(p, w) for p in numbers(base) for r, w in rules.items() if re.fullmatch(r, str(p[-1]))]
    found = [(p, w) for p, w in found if "randomisation" not in p]
    return with_value(base, *rng.choice(found)) if found else None


SITE_KEYS = (
    "name currency timezone area outdoor_temp_c pue_for_planning start_cost_per_fleet_start "
    "market mining limits groups"
)
BLOCK_KEYS = {
    "market": "settlement_period_s price_published_local adders_per_kwh",
    "mining": "hashprice_usd_per_phs_day currency_per_usd pool_fee_frac stale_frac",
    "limits": "contract_power_kw ramp_up_kw_per_min ramp_down_kw_per_min",
    "groups": "name n_rigs min_up_s min_down_s cooling",
    "cooling": "loop_heat_capacity_kj_per_k fan_kw pump_kw coolant_setpoint_c coolant_restart_c",
    "demand_charge": "per_kw_month",
    "demand_reduction": "committed_kw penalty_per_kwh",
    "value": "lies_in uncertain",
}


def missing_key(rng: random.Random, base: Base) -> Damaged | None:
    values = copy.deepcopy(base.values)
    found = []
    for path in tables(values):
        if base.kind == "scenario" and (path != () or "based_on" in values):
            continue
        block = next((str(key) for key in reversed(path) if isinstance(key, str)), None)
        names = (SITE_KEYS if block is None else BLOCK_KEYS.get(block, "")).split()
        if base.kind == "scenario":
            names = ["name", "title", "description", "site", "trace", "value"]
        found += [(*path, name) for name in names if name in at(values, path)]
    if not found:
        return None
    path = rng.choice(found)
    del at(values, path[:-1])[path[-1]]
    return Damaged(content=toml(values).encode(), names=re.escape(str(path[-1])))


ENUMS = (
    "kind contract settles_at price_known days replaces ledger_line baseline_limit stop_mode "
    "source regime market action_kind climate mark currency timezone rig"
)
"""Keys that hold one of a few words; a space between them."""


def wrong_word(rng: random.Random, base: Base) -> Damaged | None:
    found = [p for p, v in leaves(base.values) if p[-1] in ENUMS.split() and isinstance(v, str)]
    word = rng.choice(["sideways", "", "Dry_Cooler", "日本", "x" * 300])
    return with_value(base, rng.choice(found), word) if found else None


def empty_array(rng: random.Random, base: Base) -> Damaged | None:
    names = ("groups", "load_levels", "months", "bands", "profile")
    found = [
        (*path, name)
        for path in tables(base.values)
        for name in names
        if isinstance(at(base.values, path).get(name), list)
    ]
    found += [p for p, v in leaves(base.values) if "randomisation" in p and isinstance(v, list)]
    return with_value(base, rng.choice(found), []) if found else None


def duplicate(rng: random.Random, base: Base) -> Damaged | None:
    values = copy.deepcopy(base.values)
    site = values if base.kind == "site" else values.get("overrides", {})
    peaks = site.get("tariff", {}).get("coincident_peaks")
    which = [block for block in (site.get("groups"), peaks) if block]
    if not which:
        return None
    block = rng.choice(which)
    block.append(copy.deepcopy(rng.choice(block)))
    return Damaged(content=toml(values).encode(), names="names .*must differ")


CONTRADICTIONS: tuple[tuple[str, Table, str], ...] = (
    ("site", {"tariff": {"contract": "balancing"}}, "balancing"),
    ("site", {"tariff": {"balancing": {}, "contract": "indexed"}}, "balancing"),
    ("site", {"tariff": {"price_delay_s": 300, "price_known": "current"}}, "price_delay_s"),
    (
        "site",
        {"tariff": {"settles_at": "real_time_price_per_kwh", "price_known": "published"}},
        "price_known",
    ),
    (
        "site",
        {
            "programs": {
                "base_point": {"penalty_per_kwh": 1.0},
                "ancillary": {"held_kw": 1.0, "shortfall_penalty_per_kw_h": 1.0},
            }
        },
        "base_point",
    ),
    ("site", {"dispatch_interval_s": 7}, "dispatch_interval_s"),
    ("site", {"dispatch_interval_s": 300, "market": {"settlement_period_s": 4500}}, "period_s"),
    ("site", {"limits": {"contract_power_kw": 0.5}}, "contract_power_kw"),
    ("site", {"observation": {"forecast_h": [1.0, 1.0]}}, "forecast_h"),
    ("site", {"observation": {"forecast_h": [-1.0]}}, "forecast_h"),
    ("site", {"observation": {"price_history_h": [0.5, 0.5]}}, "price_history_h"),
    ("site", {"groups": {"curve_a": 0.9, "curve_b": 0.9}}, "curve_"),
    ("site", {"groups": {"load_levels": [1.0, 0.5]}}, "load_levels"),
    ("site", {"groups": {"standby_w": 9e5}}, "standby_w"),
    ("site", {"groups": {"power_per_k": 0.004, "power_reference_c": None}}, "power_reference_c"),
    ("site", {"groups": {"cooling": {"chip_trip_c": 20.0}}}, "chip_trip_c"),
    ("site", {"groups": {"cooling": {"coolant_restart_c": -10.0}}}, "coolant_restart_c"),
    ("site", {"groups": {"cooling": {"freeze_heater_kw": 5.0}}}, "freeze_protect_c"),
    ("site", {"groups": {"cooling": {"kind": "wet_tower"}}}, "spray_off_below_c"),
    (
        "site",
        {
            "tariff": {
                "time_of_use": {
                    "replaces": "nothing",
                    "bands": [
                        {"from_hour": 8, "to_hour": 20, "price_per_kwh": 1.0},
                        {"from_hour": 0, "to_hour": 24, "price_per_kwh": 2.0},
                    ],
                }
            }
        },
        "never holds",
    ),
    (
        "site",
        {
            "tariff": {
                "time_of_use": {"bands": [{"from_hour": 20, "to_hour": 8, "price_per_kwh": 1}]}
            }
        },
        "to_hour",
    ),
    ("scenario", {"spans": {"validation_from": "2024-06-01", "test_from": "2024-01-01"}}, "test_"),
    ("scenario", {"spans": {"train_share": 0.7, "validation_share": 0.4}}, "train_share"),
    ("scenario", {"randomisation": {"adders_per_kwh": [3.0, 1.0]}}, "adders_per_kwh"),
    ("scenario", {"randomisation": {"curve_b": [0.1, 0.2, 0.3]}}, "curve_b"),
    ("scenario", {"overrides": {"market": {"settlement_period_s": 21_600}}}, "settlement_period_s"),
    ("scenario", {"episode": {"episode_days": 0.0001}}, "episode_days"),
    ("scenario", {"site": "japan_pilott"}, "japan_pilott"),
    ("scenario", {"site": "a\u0000b"}, "site"),
    ("scenario", {"site": 3}, "site"),
    ("scenario", {"based_on": "Atlantis"}, "Atlantis"),
    ("scenario", {"based_on": 7}, "based_on"),
    ("scenario", {"spans": {"validation_from": "2025-02-30", "test_from": "2025-04-01"}}, "valid"),
    ("scenario", {"processes": {"ancillary": {}, "base_points": {}}}, "ancillary|base_points"),
    ("scenario", {"processes": {"pause_orders": {"shortest_h": 9.0}}}, "windows of"),
    ("scenario", {"processes": {"timezone": "Asia/Tokio"}}, "Asia/Tokio"),
)


def contradiction(rng: random.Random, base: Base) -> Damaged | None:
    kind, changes, names = rng.choice(CONTRADICTIONS)
    values = copy.deepcopy(base.values)
    if kind != base.kind:
        return None
    if "curve_a" in changes.get("groups", {}) and any("profile" in g for g in values["groups"]):
        return None

    def put(table: Table, change: Table) -> None:
        for key, value in change.items():
            present = table.get(key)
            if isinstance(value, dict) and isinstance(present, list):
                for item in present:
                    put(item, value)
            elif isinstance(value, dict) and isinstance(present, dict):
                put(present, value)
            elif value is None:
                table.pop(key, None)
            else:
                table[key] = copy.deepcopy(value)

    put(values, changes)
    return Damaged(content=toml(values).encode(), names=names)


def broken_syntax(rng: random.Random, base: Base) -> Damaged:
    lines = base.text.splitlines()
    keys = [k for k, line in enumerate(lines) if re.match(r"\w+ = [^\[{]", line)]
    k = rng.choice(keys)
    name, _, value = lines[k].partition(" = ")
    lines[k] = rng.choice(
        [
            f"{name}: {value}",
            f"{name} =",
            f"{name} = yes please",
            f"{name} {value}",
            f"{lines[k]}\n{lines[k]}",
            f"{name} = [{value}",
            f'{name} = "{value}\\q"',
            f"[{name}",
            f"{name} = 1_000_",
            f"{name} = 2025-02-30",
            f"{name} = 25:00:00",
            "= 3",
            "???",
            f"{lines[k]}\x00",
            f"{name} = {'[' * 3000}",
            f"{name} = {'9' * 5000}",
        ]
    )
    return Damaged(content="\n".join(lines).encode(), names=SYNTAX)


def wrong_encoding(rng: random.Random, base: Base) -> Damaged:
    text = "# 東京の設定 é\n" + base.text
    content = rng.choice(
        [
            text.encode("cp932", errors="replace").replace(b"?\n", b"\x82\n", 1),
            text.encode("utf-16"),
            text.encode("utf-32"),
            text.encode().replace(b"=", b"\xff=", 1),
            base.text.encode() + b"\x80",
            bytes(rng.randrange(128, 192) for _ in range(200)),
        ]
    )
    return Damaged(content=content, names="cannot be read as UTF-8")


def truncated(rng: random.Random, base: Base) -> Damaged | None:
    """Cut a file before a table that must be there begins."""
    needed = "[[groups]]" if base.kind == "site" else "[value]"
    if "based_on" in base.values:
        return None
    end = base.text.index(needed)
    content = base.text[: rng.randrange(end)].encode()
    return Damaged(content=content, names=f"{SYNTAX}|missing key")


DAMAGES: tuple[Damage, ...] = (
    misspell,
    unknown_key,
    wrong_type,
    table_for_scalar,
    not_finite,
    huge,
    negative,
    out_of_range,
    missing_key,
    wrong_word,
    empty_array,
    duplicate,
    contradiction,
    broken_syntax,
    wrong_encoding,
    truncated,
)


def load(kind: str, path: Path) -> None:
    if kind == "site":
        load_site(path)
    else:
        load_scenario_config(path)


@pytest.mark.parametrize("base", BASES, ids=lambda base: f"{base.kind}-{base.name}")
def test_the_files_are_valid_before_the_damage(base: Base, tmp_path: Path) -> None:
    path = tmp_path / "whole.toml"
    for text in (base.text, toml(base.values)):
        path.write_text(text, encoding="utf-8")
        load(base.kind, path)


def fault_of(damaged: Damaged, kind: str, path: Path) -> str | None:
    """Return what is wrong with how a damaged file is refused, None if nothing is."""
    path.write_bytes(damaged.content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            load(kind, path)
        except ConfigError as err:
            text = str(err)
        except Exception as err:  # noqa: BLE001 - that another error comes is the fault to report
            return f"{type(err).__name__}: {err}"
        else:
            return f"accepted, though it breaks {damaged.names}"
    if not text.startswith(str(path)):
        return f"does not begin with the file: {text}"
    if not re.search(damaged.names, text):
        return f"does not name {damaged.names}: {text}"
    if len(text.splitlines()) > MAX_LINES or len(text) > 4000 or "Traceback" in text:
        return f"too long: {len(text.splitlines())} lines, {len(text)} characters"
    return None


@pytest.mark.parametrize("part", range(N_PARTS))
def test_every_damaged_file_is_one_clear_error(part: int, tmp_path: Path) -> None:
    rng = random.Random(20_260 + part)
    path = tmp_path / "damaged.toml"
    faults, n_tried = [], 0
    while n_tried < N_FILES // N_PARTS:
        base, damage = rng.choice(BASES), rng.choice(DAMAGES)
        damaged = damage(rng, base)
        if damaged is None:
            continue
        n_tried += 1
        fault = fault_of(damaged, base.kind, path)
        if fault is not None:
            faults.append(f"{damage.__name__} of {base.kind} {base.name}: {fault[:600]}")
    assert not faults, f"{len(faults)} of {n_tried}:\n" + "\n".join(faults[:20])


@pytest.mark.parametrize(
    ("name", "changes", "fault"),
    [
        ("MixedFleet", {"randomisation": {"curve_b": [0.0, 0.3]}}, "0 does not fit .* s19k_pro"),
        ("SpotJapan", {"processes": {"dr_up": {}}}, "dr_up draws what nobody hears.*demand_incre"),
        ("SpotJapan", {"processes": {"imbalance": {}}}, "imbalance draws .*tariff.balancing"),
    ],
)
def test_what_would_be_ignored_is_refused(name: str, changes: Table, fault: str) -> None:
    values, _ = raw("gridhash.scenarios", name)
    with pytest.raises(ConfigError, match=fault):
        parse_scenario(merged(values, changes), origin="test")


def test_curve_keys_beside_a_profile_are_refused_where_they_differ_from_it() -> None:
    site = load_scenario_config("MixedFleet").site.model_dump()
    assert parse_site(site, origin="test").groups[0].profile is not None
    first, *others = site["groups"]
    site["groups"] = [first | {"curve_a": 0.6, "curve_b": 0.4}, *others]
    with pytest.raises(ConfigError, match=r"curve_b 0\.4 is not the slope of the profile"):
        parse_site(site, origin="test")


@pytest.mark.parametrize(
    ("block", "column"),
    [
        ("tariff.behind_meter_pv", "behind_meter_pv_frac"),
        ("tariff.carbon_price_per_t", "carbon_g_per_kwh"),
        ("programs.demand_increase", "dr_up_call"),
        ("programs.pause_orders", "pause_order"),
        ("programs.base_point", "base_point_frac"),
    ],
)
def test_a_block_without_its_column_names_both(block: str, column: str) -> None:
    contents: Table = {
        "tariff.behind_meter_pv": {},
        "tariff.carbon_price_per_t": 30.0,
        "programs.demand_increase": {"pay_per_kwh": 3.0, "max_kw": 100.0},
        "programs.pause_orders": {"pause_power_kw": 200.0},
        "programs.base_point": {"penalty_per_kwh": 1.0},
    }
    part, key = block.split(".")
    site = parse_site(
        load_site("europe_sample").model_dump() | {part: {key: contents[block]}}, origin="test"
    )
    with pytest.raises(DataError, match=f"no column {column}, which {block} of the site"):
        build_scenario(site, load_sample("nl_2018"))
