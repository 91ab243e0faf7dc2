"""What a user writes to join columns: ``COLUMN=DATASET:QUANTITY@AREA[,scale=…][,fill=…]``."""

import math
import re
from collections.abc import Sequence

from gridhash.data.join import Fill, JoinColumn, Part
from gridhash.data.quantities import split_field
from gridhash.data.schema import COLUMN_BY_NAME
from gridhash.data.store.store import Store
from gridhash.errors import DataError

EXAMPLE = "price_per_kwh=jepx-spot:price_per_kwh@kyushu"
_SPEC = re.compile(r"(\w+)=([^:,]+):(.+?)((?:,\w+=[^,]+)*)")
_FILL = re.compile(r"(hold|interpolate)(?::(\d+))?|(-?\d+(?:\.\d+)?)(?::(\d+))?")
DEFAULT_MAX_GAP_S = 3 * 3600


def parse_columns(specs: Sequence[str], store: Store) -> list[JoinColumn]:
    """Return the columns that are written as specs; a column named twice gets two sources.

    Options follow after commas: ``scale=0.5``, ``tolerance=0.01`` (how far sources may lie apart),
    and ``fill=hold``, ``fill=interpolate`` or ``fill=0``, each with the longest gap in seconds
    after a colon (``fill=hold:7200``; else 3 h).

    Raises
    ------
    DataError
        If a spec cannot be read, or names a column or dataset that does not exist.
    """
    columns: dict[str, JoinColumn] = {}
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise DataError(f"{spec!r}: write a column as {EXAMPLE}")
        name, dataset, field = match[1], match[2], match[3]
        if name not in COLUMN_BY_NAME:
            raise DataError(
                f"{spec!r}: no column {name}; a trace holds {', '.join(COLUMN_BY_NAME)}"
            )
        split_field(field)
        options = _options(spec, match[4])
        part = Part(
            table=store.read(dataset, [field]),
            field=field,
            scale=_number(spec, options.pop("scale", "1")),
        )
        if part.scale == 0.0:
            raise DataError(f"{spec!r}: a scale of zero leaves nothing of the column")
        tolerance = _number(spec, options.pop("tolerance", "1e-6"))
        fill = _fill(spec, options.pop("fill", None))
        if options:
            raise DataError(f"{spec!r}: unknown option {next(iter(options))}; see --help")
        before = columns.get(name)
        columns[name] = JoinColumn(
            column=name,
            parts=(*(before.parts if before else ()), part),
            fill=fill or (before.fill if before else None),
            tolerance=max(tolerance, before.tolerance if before else 0.0),
        )
    return list(columns.values())


def _options(spec: str, text: str) -> dict[str, str]:
    pairs = [item.split("=", 1) for item in text.split(",") if item]
    options = {name: value for name, value in pairs}
    if len(options) != len(pairs):
        raise DataError(f"{spec!r}: an option is given twice")
    return options


def _number(spec: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{spec!r}: {text!r} is not a number")
    return number


def _fill(spec: str, text: str | None) -> Fill | None:
    if text is None:
        return None
    match = _FILL.fullmatch(text)
    if match is None:
        raise DataError(f"{spec!r}: fill is hold, interpolate or a number, such as fill=hold:7200")
    max_gap_s = int(match[2] or match[4] or DEFAULT_MAX_GAP_S)
    if match[1] == "hold":
        return Fill(how="hold", max_gap_s=max_gap_s)
    if match[1] == "interpolate":
        return Fill(how="interpolate", max_gap_s=max_gap_s)
    return Fill(how="constant", max_gap_s=max_gap_s, value=float(match[3]))
