"""Open-Meteo's JSON of hourly weather at a place, as its archive and forecast interfaces answer.

``hourly.time`` has naive times of the zone ``timezone``, all shifted by one ``utc_offset_seconds``;
a span in which the zone's clocks change is refused: ask with ``timezone=GMT``. Units stand in
``hourly_units`` and are converted from there. Temperatures, humidity, pressure and wind are values
at the time; irradiance is the mean of the hour *before* it, so it begins one hour earlier and makes
a table of its own, of the same dataset: a file says nothing of the irradiance of its last hour, nor
of the temperature of the hour before its first. ``null`` is a missing value.

A value counts as known at the end of its hour. Nothing in the file tells a forecast from the
archive: give the archive's files only.
"""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from gridhash.data.quantities import field
from gridhash.data.readers.checks import TICK_MIN_DISTINCT
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.json_values import is_object, number_list
from gridhash.data.readers.rows import Numbers, Seconds, make_table, to_index
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

HOUR_S = 3600
IRRADIANCE = frozenset({"shortwave_radiation", "direct_normal_irradiance", "diffuse_radiation"})

QUANTITIES = {
    "temperature_2m": "outdoor_temp_c",
    "dew_point_2m": "dew_point_c",
    "dewpoint_2m": "dew_point_c",
    "relative_humidity_2m": "relative_humidity_frac",
    "relativehumidity_2m": "relative_humidity_frac",
    "wind_speed_10m": "wind_speed_m_per_s",
    "windspeed_10m": "wind_speed_m_per_s",
    "surface_pressure": "pressure_pa",
    "shortwave_radiation": "ghi_w_per_m2",
    "direct_normal_irradiance": "dni_w_per_m2",
    "diffuse_radiation": "dhi_w_per_m2",
}
"""Variable of the interface, under its names of today and before → quantity."""

UNITS = {
    "°C": (1.0, 0.0, 0.1),
    "°F": (5.0 / 9.0, -160.0 / 9.0, 0.1),
    "%": (0.01, 0.0, 1.0),
    "km/h": (1.0 / 3.6, 0.0, 0.1),
    "m/s": (1.0, 0.0, 0.01),
    "mp/h": (0.44704, 0.0, 0.1),
    "kn": (1852.0 / 3600.0, 0.0, 0.1),
    "hPa": (100.0, 0.0, 0.1),
    "W/m²": (1.0, 0.0, 0.1),
}
"""Unit → factor and summand that convert it, and the step in which values are given."""

UNITS_OF = {
    "outdoor_temp_c": ("°C", "°F"),
    "dew_point_c": ("°C", "°F"),
    "relative_humidity_frac": ("%",),
    "wind_speed_m_per_s": ("km/h", "m/s", "mp/h", "kn"),
    "pressure_pa": ("hPa",),
}

DEW_POINT_SLACK_C = 0.6
"""Both are rounded to 0.1 °C or °F, and models may differ a little at saturation."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)


def sign(file: SourceFile) -> str | None:
    """Return why this is an answer of Open-Meteo, or None."""
    start = "" if file.text is None else file.text.text[:2000].lstrip()
    if start.startswith("{") and '"hourly_units"' in start and '"utc_offset_seconds"' in start:
        return "the JSON object has utc_offset_seconds and hourly_units"
    return None


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the hourly weather; the area is the place's latitude and longitude unless named.

    Values at a time and means of an hour are two tables of one dataset, each where it speaks.

    Raises
    ------
    FileFormatError
        If the JSON is not of this form, or a variable or its unit is not read.
    TimeGridError
        If an hour is missing or doubled, or the zone's clocks change within the span.
    DataError
        If a value is implausible, or a dew point lies above the temperature.
    """
    content = file.json
    needed = ("latitude", "longitude", "timezone", "utc_offset_seconds", "hourly_units", "hourly")
    if not is_object(content, *needed):
        raise FileFormatError(f"{file.path}: an object with {', '.join(needed)} is expected")
    hourly, units = content["hourly"], content["hourly_units"]
    if not is_object(hourly, "time") or not is_object(units, "time"):
        raise FileFormatError(f"{file.path}: hourly and hourly_units need a time")
    if units["time"] != "iso8601":
        raise FileFormatError(f"{file.path}: times as {units['time']!r}; ask for iso8601")
    place = number_list(file, [content["latitude"], content["longitude"]], "latitude, longitude")
    if abs(place[0]) > 90 or abs(place[1]) > 180:
        raise FileFormatError(f"{file.path}: {place.tolist()} is no place on Earth")
    instants_s = _instants_s(file, content)
    values: dict[str, Numbers] = {}
    for name in hourly:
        if name != "time":
            quantity = _quantity(file, name, values)
            values[quantity] = _values(file, name, quantity, hourly, units.get(name), instants_s)
    if not values:
        raise FileFormatError(f"{file.path}: there are no hourly variables")
    if {"outdoor_temp_c", "dew_point_c"} <= set(values):
        above = values["dew_point_c"] > values["outdoor_temp_c"] + DEW_POINT_SLACK_C
        if above.any():
            row = int(np.argmax(above))
            raise DataError(
                f"{file.path}, {hourly['time'][row]}: dew point {values['dew_point_c'][row]:g} "
                f"above the temperature, {values['outdoor_temp_c'][row]:g} °C"
            )
    means = {QUANTITIES[name] for name in IRRADIANCE} & set(values)
    groups = (
        (instants_s, [name for name in values if name not in means]),
        (instants_s - HOUR_S, [name for name in values if name in means]),
    )
    return tuple(
        _table(file, options, place, starts_s, {name: values[name] for name in names})
        for starts_s, names in groups
        if names
    )


def _table(
    file: SourceFile,
    options: ReadOptions,
    place: Numbers,
    starts_s: Seconds,
    values: dict[str, Numbers],
) -> SourceTable:
    where = f"{place[0]:g},{place[1]:g}"
    area = options.area.lower() if options.area is not None else where
    return make_table(
        file,
        "open-meteo",
        f"open-meteo-{place[0]:g}-{place[1]:g}",
        to_index(starts_s),
        {field(name, area): column for name, column in values.items()},
        to_index(starts_s + HOUR_S),
        period_s=HOUR_S,
    )


def _instants_s(file: SourceFile, content: dict[str, Any]) -> Seconds:
    times, offset_s = content["hourly"]["time"], content["utc_offset_seconds"]
    if not isinstance(times, list) or not times:
        raise FileFormatError(f"{file.path}: hourly.time is no list of times")
    if not isinstance(offset_s, int) or isinstance(offset_s, bool) or abs(offset_s) > 15 * HOUR_S:
        raise FileFormatError(f"{file.path}: utc_offset_seconds {offset_s!r} is no offset")
    seconds = np.array([_clock_s(file, i, text) for i, text in enumerate(times)], np.int64)
    wrong = np.flatnonzero(np.diff(seconds) != HOUR_S)
    if wrong.size:
        row = int(wrong[0]) + 1
        raise TimeGridError(
            f"{file.path}, hourly.time[{row}], value {times[row]!r}: not one hour after the value "
            "before it"
        )
    instants_s: Seconds = seconds - offset_s
    try:
        zone = ZoneInfo(content["timezone"])
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as err:
        raise FileFormatError(f"{file.path}: unknown timezone {content['timezone']!r}") from err
    local = to_index(instants_s).tz_convert(zone).tz_localize(None)
    shifted = np.flatnonzero(np.asarray(local.as_unit("s").asi8) != seconds)
    if shifted.size:
        raise TimeGridError(
            f"{file.path}, hourly.time[{shifted[0]}], value {times[shifted[0]]!r}: "
            f"{content['timezone']} is not {offset_s} s from UTC then; ask with timezone=GMT"
        )
    return instants_s


def _clock_s(file: SourceFile, i: int, text: Any) -> int:
    try:
        if isinstance(text, str) and _TIME.fullmatch(text):
            return int(pd.Timestamp(datetime.fromisoformat(text), tz="UTC").timestamp())
    except ValueError:
        pass
    raise DataError(f"{file.path}, hourly.time[{i}], value {text!r}: no time like 2024-04-01T00:00")


def _quantity(file: SourceFile, name: str, values: dict[str, Numbers]) -> str:
    quantity = QUANTITIES.get(name)
    if quantity is None:
        raise FileFormatError(
            f"{file.path}: the variable {name} is not read; ask for {', '.join(QUANTITIES)}"
        )
    if quantity in values:
        raise FileFormatError(f"{file.path}: {name} stands there under two names")
    return quantity


def _values(
    file: SourceFile,
    name: str,
    quantity: str,
    hourly: dict[str, Any],
    unit: Any,
    instants_s: Seconds,
) -> Numbers:
    if unit not in UNITS_OF.get(quantity, ("W/m²",)):
        raise FileFormatError(f"{file.path}: {name} in {unit!r} is not read")
    if not isinstance(hourly[name], list) or len(hourly[name]) != len(instants_s):
        raise FileFormatError(f"{file.path}: hourly.{name} needs {len(instants_s)} values")
    raw = number_list(file, hourly[name], f"hourly.{name}", may_lack=True)
    factor, summand, step = UNITS[unit]
    steps = raw[np.isfinite(raw)] / step
    whole = np.round(steps)
    is_finer = bool(np.any(np.abs(steps - whole) > 1e-6 * np.maximum(1.0, np.abs(whole))))
    is_coarse = np.unique(whole).size >= TICK_MIN_DISTINCT and not np.any(whole % 10)
    if is_finer or (is_coarse and quantity in ("outdoor_temp_c", "dew_point_c", "pressure_pa")):
        raise DataError(
            f"{file.path}: hourly.{name} is not given in steps of {step:g} {unit}; the unit may "
            "have been changed"
        )
    return raw * factor + summand


FORMATS = (Format("open-meteo", "Open-Meteo hourly weather", "open-meteo", sign, read),)
