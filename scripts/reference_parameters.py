"""Tables of the keys of a configuration file, from its models: type, unit, default, bounds."""

import inspect
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

UNITS = (
    ("_usd_per_phs_day", "USD/(PH/s)/day"),
    ("currency_per_usd", "currency/USD"),
    ("_kwh_per_day", "kWh/day"),
    ("_per_kw_month", "currency/kW/month"),
    ("per_kw_month", "currency/kW/month"),
    ("per_kw_year", "currency/kW/year"),
    ("_per_kw_h", "currency/kW/h"),
    ("_per_kwh", "currency/kWh"),
    ("_price_per_t", "currency/t"),
    ("_per_m3", "currency/m³"),
    ("_frac_per_min", "1/min"),
    ("_kw_per_min", "kW/min"),
    ("_kw_per_k", "kW/K"),
    ("_kj_per_k", "kJ/K"),
    ("_k_per_kw", "K/kW"),
    ("pay_per_h", "currency/h"),
    ("_per_fleet_start", "currency"),
    ("_cost", "currency"),
    ("_per_start", "1"),
    ("_ref_per_h", "1/h"),
    ("_per_year", "1/year"),
    ("per_year", "1/year"),
    ("power_per_k", "1/K"),
    ("_days", "d"),
    ("days", "d"),
    ("_months", "months"),
    ("years", "years"),
    ("_hour", "h"),
    ("_ths", "TH/s"),
    ("_kw", "kW"),
    ("_ev", "eV"),
    ("_frac", "1"),
    ("_share", "1"),
    ("_min", "min"),
    ("_w", "W"),
    ("_s", "s"),
    ("_h", "h"),
    ("_c", "°C"),
    ("_k", "K"),
)
"""Unit by the end of a key's name, the first that fits; glossary: unit suffixes."""

PURE_NUMBERS = frozenset(
    {
        "base_power_factor", "call_probability", "clear_share", "curve_a", "curve_b",
        "cycles_of_concentration", "demand_link", "fiscal_year_month", "fiscal_year_start",
        "format_version", "heat_rejection_exponent", "high", "load_levels", "log_sd", "low",
        "months", "n_rigs", "optional_work_levels", "peaks_per_month", "power_factor",
        "pue_for_planning", "seed",
    }
)  # fmt: skip
"""Ratios, counts, calendar numbers: keys whose number has no unit."""
KEY_CELLS = ("type", "unit", "default", "bounds", "meaning")
"""What the table of a block says of each key."""
DEGREES = frozenset({"latitude", "longitude", "pv_azimuth", "pv_tilt"})
OR_INHERITED = "**required**, or inherited"
FILE_KEYS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "ScenarioConfig": {
        "based_on": {
            "meaning": "scenario, or path of a scenario file, from which all is inherited that "
            "this file does not say, but the name"
        },
        "site": {
            "type": "text | table",
            "default": OR_INHERITED,
            "meaning": "name of a preset or path of a site file, or the whole site as a table",
        },
        "overrides": {
            "type": "table",
            "default": "absent",
            "meaning": "keys of a site file, merged over the site; `[overrides.groups]` changes "
            "every group alike, `[[overrides.groups]]` replaces them all; another `rig` brings all "
            "that its catalogue entry supplies, keys beside it count first",
        },
        "real": {
            "type": "table",
            "default": "absent",
            "meaning": "keys of this file, merged over it where `@real` follows the scenario's "
            "name; another `trace` replaces the one that is there",
        },
        "site_preset": {"meaning": "filled in by the loader where `site` is text"},
        **{key: {"default": OR_INHERITED} for key in ("title", "description", "trace", "value")},
    }
}
"""By block what its file says otherwise than the model that it becomes, a scenario's by merging."""


def unit_of(name: str) -> str | None:
    """Return the unit that a key's name says, None if it says none."""
    if name in DEGREES:
        return "°"
    if name in PURE_NUMBERS:
        return "1"
    return next((unit for suffix, unit in UNITS if name.endswith(suffix)), None)


def inner_types(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation is made of, without None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from inner_types(get_args(annotation)[0])
    elif origin in (Union, types.UnionType, tuple, list, dict):
        for part in get_args(annotation):
            if part not in (type(None), Ellipsis):
                yield from inner_types(part)
    else:
        yield annotation


def blocks_of(annotation: Any) -> list[type[BaseModel]]:
    """Return the blocks that a key may hold."""
    return [t for t in inner_types(annotation) if isinstance(t, type) and issubclass(t, BaseModel)]


def is_number(annotation: Any) -> bool:
    """Return whether a key holds numbers, or ranges of them."""
    kinds = list(inner_types(annotation))
    names = {getattr(kind, "__name__", "") for kind in kinds}
    return bool({int, float} & set(kinds)) or names == {"Range"}


def walk(
    model: type[BaseModel], path: str, skip: tuple[str, ...]
) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every block that hangs on a model with its key path, the model itself first.

    Sources of figures and ranges are no blocks of their own here, and what lies below the keys
    `skip` is left out.
    """
    yield path, model
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        listed = get_origin(field.annotation) is tuple or "tuple[" in str(field.annotation)
        keyed = get_origin(field.annotation) is dict
        inner = f"{path}.{name}" if path else name
        inner += "[]" if listed else ".NAME" if keyed else ""
        for block in blocks_of(field.annotation):
            if block.__name__ not in ("Range", "FigureSource"):
                yield from walk(block, inner, skip)


def keys_table(model: type[BaseModel]) -> list[str]:
    """Return the table of a block's own keys, as a file has them, as lines of Markdown."""
    rows = {name: key_cells(name, field) for name, field in model.model_fields.items()}
    for name, cells in FILE_KEYS.get(model.__name__, {}).items():
        rows[name] = {**rows.get(name, dict.fromkeys(KEY_CELLS, "")), **cells}
    return table(
        ("key", *KEY_CELLS),
        [(f"`{name}`", *(cells[cell] for cell in KEY_CELLS)) for name, cells in rows.items()],
    )


def key_cells(name: str, field: FieldInfo) -> dict[str, str]:
    """Return what the table of a block says of a key, by `KEY_CELLS`."""
    texts = (
        type_text(field.annotation),
        unit_of(name) or "" if is_number(field.annotation) else "",
        default_text(field),
        bounds_text(field),
        description_of(field),
    )
    return dict(zip(KEY_CELLS, texts, strict=True))


def row_text(cells: tuple[str, ...]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return a table as lines of Markdown."""
    return [row_text(header), "|" + "---|" * len(header), *map(row_text, rows)]


def description_of(field: FieldInfo) -> str:
    """Return what a key means: its description, else the first sentence of the block it holds."""
    if field.description:
        return field.description
    blocks = blocks_of(field.annotation)
    return " / ".join(summary(block) for block in blocks)


def summary(block: object) -> str:
    """Return the first paragraph of a docstring in one line."""
    return paragraphs(block)[0].rstrip(".")


def paragraphs(thing: object) -> list[str]:
    """Return the paragraphs of a docstring, each in one line; sections are left out."""
    text = inspect.getdoc(thing) or ""
    text = re.split(r"\n\n\w+\n-{3,}\n", text)[0]
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    return [re.sub(r"``([^`]*)``", r"`\1`", part) for part in parts]


def type_text(annotation: Any) -> str:
    """Return a type as a reader of TOML knows it."""
    if get_origin(annotation) is Annotated:
        return type_text(get_args(annotation)[0])
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(f"`{value}`" for value in args)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(type_text(a) for a in args if a is not type(None)))
    if origin is tuple:
        return f"list of {type_text(args[0])}"
    if origin is dict:
        return "table by name"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "[low, high]" if annotation.__name__ == "Range" else "table"
    words = {float: "number", int: "whole number", str: "text", bool: "true or false"}
    return {**words, date: "date", time: "time"}[annotation]


def default_text(field: FieldInfo) -> str:
    """Return a key's default; required keys and absent blocks say so."""
    if field.is_required():
        return "**required**"
    value = field.default
    if value is None or value == () or value == "":
        return "absent"
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, tuple):
        return "[" + ", ".join(f"{item:g}" for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def bounds_text(field: FieldInfo) -> str:
    """Return the bounds of a key, as validation knows them."""
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    metadata = list(field.metadata)
    for part in get_args(field.annotation) or ():
        metadata += getattr(part, "__metadata__", ())
        if isinstance(part, FieldInfo):
            metadata += part.metadata
    found = []
    for rule in metadata:
        for holder in (rule, *getattr(rule, "metadata", ())):
            for attribute, sign in signs:
                bound = getattr(holder, attribute, None)
                if bound is not None:
                    found.append(f"{sign} {bound:g}")
            for attribute, word in (("min_length", "at least"), ("max_length", "at most")):
                length = getattr(holder, attribute, None)
                if length is not None:
                    found.append(f"{word} {length} long")
            pattern = getattr(holder, "pattern", None)
            if pattern is not None:
                found.append(f"`{pattern}`")
    return ", ".join(dict.fromkeys(found))
