"""Typical years of hourly weather: EnergyPlus weather files (EPW) and TMY3.

Both have 8,760 rows without 29 February, each labelled by the *end* of its hour, 1 to 24, on local
standard time without daylight saving; irradiance is the mean of that hour, the rest are values at
its end (EnergyPlus, "Auxiliary Programs", weather file format; Wilcox and Marion, "Users Manual
for TMY3 Data Sets", NREL/TP-581-43156).

The months come from different years, so the year of a row means nothing. The table stands in the
nominal year 1901, which no market knows; `typical_year` puts it into a year to join it with. A
value counts as known at the end of its hour. Each row is checked against the sun at the place
(pvlib), humidity against temperatures, and pressure against altitude.
"""

import csv
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.quantities import field
from gridhash.data.readers.cells import DECIMAL, Cells, header_cells, read_cells
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.rows import Numbers, Seconds, clock_s, make_table, to_index
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError
from gridhash.time_grid import epoch_s

HOUR_S = 3600
N_HOURS = 8760
NOMINAL_YEAR = 1901

EPW_HEADERS = (
    "LOCATION",
    "DESIGNCONDITIONS",
    "TYPICAL/EXTREMEPERIODS",
    "GROUNDTEMPERATURES",
    "HOLIDAYS/DAYLIGHTSAVINGS",
    "COMMENTS1",
    "COMMENTS2",
    "DATAPERIODS",
)
EPW_FIELDS = (
    "year month day hour minute flags outdoor_temp_c dew_point_c relative_humidity_percent "
    "pressure_pa etr etrn ir ghi dni dhi gh_illum dn_illum dh_illum zenith_lum wind_direction "
    "wind_speed total_cloud opaque_cloud visibility ceiling weather weather_codes water aod snow "
    "days_since_snow albedo rain rain_hours"
)
"""The 35 columns of an EPW file, which has no header for them."""

EPW_COLUMNS = {
    "outdoor_temp_c": ("outdoor_temp_c", 1.0, 99.9),
    "dew_point_c": ("dew_point_c", 1.0, 99.9),
    "relative_humidity_percent": ("relative_humidity_frac", 0.01, 999.0),
    "pressure_pa": ("pressure_pa", 1.0, 999_999.0),
    "ghi": ("ghi_w_per_m2", 1.0, 9999.0),
    "dni": ("dni_w_per_m2", 1.0, 9999.0),
    "dhi": ("dhi_w_per_m2", 1.0, 9999.0),
    "wind_speed": ("wind_speed_m_per_s", 1.0, 999.0),
}
TMY3_COLUMNS = {
    "Dry-bulb(C)": ("outdoor_temp_c", 1.0, -9900.0),
    "Dew-point(C)": ("dew_point_c", 1.0, -9900.0),
    "RHum(%)": ("relative_humidity_frac", 0.01, -9900.0),
    "Pressure(mbar)": ("pressure_pa", 100.0, -9900.0),
    "GHI(W/m^2)": ("ghi_w_per_m2", 1.0, -9900.0),
    "DNI(W/m^2)": ("dni_w_per_m2", 1.0, -9900.0),
    "DHI(W/m^2)": ("dhi_w_per_m2", 1.0, -9900.0),
    "Wspd(m/s)": ("wind_speed_m_per_s", 1.0, -9900.0),
}
"""Column → quantity, factor, and the number that stands for a missing value."""


@dataclass(frozen=True)
class Place:
    """Where a station is; the offset is that of its standard time."""

    station: str
    latitude: float
    longitude: float
    utc_offset_s: int
    altitude_m: float


def sign_epw(file: SourceFile) -> str | None:
    """Return why this is an EPW file, or None."""
    if file.text is None or header_cells(file.text, 1)[:1] != ["LOCATION"]:
        return None
    return "the file begins with LOCATION"


def read_epw(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return a typical year in the nominal year 1901; the area is the station unless named.

    Raises
    ------
    FileFormatError
        If a header line is missing, or the file has several records an hour or daylight saving.
    TimeGridError
        If it is no whole year of 8,760 hours in order.
    DataError
        If values do not fit the sun, each other or the altitude.
    """
    text = file.text
    assert text is not None
    heads = [header_cells(text, line) for line in range(1, len(EPW_HEADERS) + 1)]
    for line, (found, wanted) in enumerate(zip(heads, EPW_HEADERS, strict=True), 1):
        if found[:1] != [wanted]:
            raise FileFormatError(f"{file.path} line {line}: {wanted} is expected first")
    if heads[4][1:2] != ["No"] or heads[4][2:4] != ["0", "0"]:
        raise FileFormatError(f"{file.path} line 5: a file with leap year or daylight saving")
    if heads[7][1:3] != ["1", "1"]:
        raise FileFormatError(f"{file.path} line 8: one period with one record an hour is expected")
    place = _place(file, heads[0][5:6] + heads[0][6:10], len(heads[0]) == 10)
    cells = read_cells(text, header_line=len(EPW_HEADERS), names=EPW_FIELDS.split())
    month, day, hour = (cells.numbers(at, pattern=r" ?\d{1,2}") for at in (1, 2, 3))
    _check_calendar(cells, month, day, hour)
    return (_table(file, options, place, cells, EPW_COLUMNS, month),)


def sign_tmy3(file: SourceFile) -> str | None:
    """Return why this is a TMY3 file, or None."""
    if file.text is None or not {"Date(MM/DD/YYYY)", "Time(HH:MM)"} <= set(
        header_cells(file.text, 2)
    ):
        return None
    return "the second line has Date (MM/DD/YYYY) and Time (HH:MM)"


def read_tmy3(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return a typical year in the nominal year 1901; see `read_epw` for what is raised."""
    text = file.text
    assert text is not None
    head = next(csv.reader([text.first_line]))
    place = _place(file, [*head[:1], *head[4:6], head[3], *head[6:7]], len(head) == 7)
    cells = read_cells(text, header_line=2)
    if cells.names[:2] != ["Date(MM/DD/YYYY)", "Time(HH:MM)"]:
        raise FileFormatError(f"{file.path} line 2: date and time must stand first")
    date_s = clock_s(cells, 0, pattern=r"\d{2}/\d{2}/\d{4}", form="%m/%d/%Y", example="01/31/1998")
    dates = to_index(date_s)
    codes, texts = cells.codes(1)
    hours = {f"{i:02d}:00": i for i in range(1, 25)}
    for i, clock in enumerate(texts):
        if clock not in hours:
            raise DataError(f"{cells.where(int(np.argmax(codes == i)), 1)}: 01:00 to 24:00")
    hour = np.array([hours[clock] for clock in texts], np.float64)[codes]
    month, day = np.asarray(dates.month, np.float64), np.asarray(dates.day, np.float64)
    _check_calendar(cells, month, day, hour)
    return (_table(file, options, place, cells, TMY3_COLUMNS, month),)


def typical_year(table: SourceTable, year: int) -> SourceTable:
    """Return a typical year put into a year; a leap year lacks 29 February.

    Raises
    ------
    DataError
        If the table is no typical year in the nominal year, or the year is out of range.
    """
    if not table.dataset.startswith("weather-tmy-") or len(table) != N_HOURS:
        raise DataError(f"{table.name}: no typical year as its reader returns it")
    if not 1902 <= year <= 2200:
        raise DataError(f"{table.name}: the year {year} is not from 1902 to 2200")
    offset_s = int(_starts_s(0)[0] - epoch_s(table.starts[:1])[0])
    local = to_index(epoch_s(table.starts) + offset_s).tz_localize(None)
    parts = {"year": year, "month": local.month, "day": local.day, "hour": local.hour}
    placed = pd.DatetimeIndex(pd.to_datetime(pd.DataFrame(parts)))
    starts = to_index(np.asarray(placed.as_unit("s").asi8) - offset_s).rename("start")
    known = starts + pd.Timedelta(seconds=HOUR_S)
    return replace(
        table,
        dataset=f"{table.dataset}-{year}",
        frame=table.frame.set_axis(starts, axis=0),
        available_at=dict.fromkeys(table.columns, known),
    )


def _place(file: SourceFile, cells: list[str], is_whole: bool) -> Place:
    """Return the place from station, latitude, longitude, offset [h] and altitude as text."""
    try:
        if not is_whole:
            raise ValueError("a cell is missing")
        latitude, longitude, offset_h, altitude = (float(cell) for cell in cells[1:])
        if not (abs(latitude) <= 90 and abs(longitude) <= 180 and abs(offset_h) <= 14):
            raise ValueError("no place on Earth")
        if not -500 <= altitude <= 6000 or abs(longitude / 15 - offset_h) > 4:
            raise ValueError("altitude or offset does not fit")
    except ValueError as err:
        raise FileFormatError(f"{file.path} line 1: {err} in {', '.join(cells)}") from err
    station = "".join(c for c in cells[0].lower() if c.isalnum())
    if not station:
        raise FileFormatError(f"{file.path} line 1: the station has no number")
    return Place(station, latitude, longitude, round(offset_h * HOUR_S), altitude)


def _check_calendar(cells: Cells, month: Numbers, day: Numbers, hour: Numbers) -> None:
    """Raise TimeGridError unless rows are all hours of a year in order, by month, day and hour."""
    year = pd.date_range(f"{NOMINAL_YEAR}-01-01", periods=365, freq="D", unit="s")
    expected = pd.DataFrame({"month": year.month, "day": year.day}).loc[
        np.repeat(np.arange(365), 24)
    ]
    n = min(len(cells), N_HOURS)
    due = np.arange(n)
    wrong = np.flatnonzero(
        (month[:n] != expected["month"].to_numpy()[:n])
        | (day[:n] != expected["day"].to_numpy()[:n])
        | (hour[:n] != due % 24 + 1)
    )
    if wrong.size or len(cells) != N_HOURS:
        row = int(wrong[0]) if wrong.size else n - 1
        raise TimeGridError(
            f"{cells.path} line {int(cells.lines[row])}: {expected['month'].iloc[row]}/"
            f"{expected['day'].iloc[row]} hour {row % 24 + 1} is due; a typical year has "
            f"{N_HOURS} rows in order, this file {len(cells)}"
        )


def _table(
    file: SourceFile,
    options: ReadOptions,
    place: Place,
    cells: Cells,
    columns: dict[str, tuple[str, float, float]],
    month: Numbers,
) -> SourceTable:
    values: dict[str, Numbers] = {}
    for name, (quantity, factor, missing) in columns.items():
        raw = cells.numbers(cells.at(name), pattern=DECIMAL)
        values[quantity] = np.where(raw == missing, np.nan, raw) * factor
    starts_s = _starts_s(place.utc_offset_s)
    _check_weather(file, place, values)
    area = options.area.lower() if options.area is not None else place.station
    return make_table(
        file,
        "weather-file",
        f"weather-tmy-{place.station}",
        to_index(starts_s),
        {field(quantity, area): column for quantity, column in values.items()},
        to_index(starts_s + HOUR_S),
        period_s=HOUR_S,
    )


def _starts_s(utc_offset_s: int) -> Seconds:
    """Return the starts of the hours of the nominal year on a standard time."""
    first_s = int(pd.Timestamp(NOMINAL_YEAR, 1, 1, tz="UTC").timestamp()) - utc_offset_s
    return first_s + HOUR_S * np.arange(N_HOURS, dtype=np.int64)


@lru_cache(maxsize=4)
def _sun_elevation(latitude: float, longitude: float, utc_offset_s: int) -> Numbers:
    """Return the sun's elevation in the middle of each hour of the nominal year [degree].

    It stands there in any year, to a quarter of a degree.
    """
    import pvlib  # takes half a second, and only these files need it

    middle = to_index(_starts_s(utc_offset_s) + HOUR_S // 2)
    sun = pvlib.solarposition.get_solarposition(middle, latitude, longitude)
    return np.asarray(sun["elevation"], np.float64)


def _check_weather(file: SourceFile, place: Place, values: dict[str, Numbers]) -> None:
    temp, dew = values["outdoor_temp_c"], values["dew_point_c"]
    humidity = _humidity_frac(temp, dew)
    wind = values["wind_speed_m_per_s"]
    ghi, dni, dhi = (values[f"{name}_w_per_m2"] for name in ("ghi", "dni", "dhi"))
    expected_pa = 101_325.0 * (1.0 - 2.25577e-5 * place.altitude_m) ** 5.25588
    elevation = _sun_elevation(place.latitude, place.longitude, place.utc_offset_s)
    vertical = np.maximum(np.sin(np.radians(elevation)), 0.0)
    is_day = elevation > 20.0
    # Within the hour it moves by up to 7.5 degrees from where it stands in the middle.
    is_night = elevation < -12.0
    for wrong, problem in (
        (_share(dew > temp + 1.0) > 0.01, "dew points lie above the temperature"),
        (
            _median(np.abs(humidity - values["relative_humidity_frac"])) > 0.05,
            "humidity does not fit temperature and dew point",
        ),
        (
            abs(_median(values["pressure_pa"]) / expected_pa - 1.0) > 0.06,
            f"the pressure is not that of {place.altitude_m:g} m altitude",
        ),
        (not 0.5 <= float(np.nanmean(wind)) <= 15.0, "the wind is too weak or too strong"),
        (_share((ghi > 20.0) & is_night) > 0.0005, "the sun shines at night"),
        (not 300.0 <= float(np.nanmax(ghi)) <= 1500.0, "the brightest hour is implausible"),
        (
            _median(np.abs(dhi + dni * vertical - ghi)[is_day]) > 0.25 * _median(ghi[is_day]),
            "direct and diffuse irradiance do not add up to the global",
        ),
    ):
        if wrong:
            raise DataError(
                f"{file.path}: {problem}; columns, units or times may have been changed, get the "
                "original file"
            )


def _humidity_frac(temp_c: Numbers, dew_c: Numbers) -> Numbers:
    """Return relative humidity from temperature and dew point (Magnus, WMO 2008 constants)."""
    saturation = [np.exp(17.62 * t / (243.12 + t)) for t in (dew_c, temp_c)]
    ratio: Numbers = saturation[0] / saturation[1]
    return ratio


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return float(np.mean(flags))


def _median(values: Numbers) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


FORMATS = (
    Format("epw", "EnergyPlus weather file", "weather-file", sign_epw, read_epw),
    Format("tmy3", "TMY3 weather file", "weather-file", sign_tmy3, read_tmy3),
)
