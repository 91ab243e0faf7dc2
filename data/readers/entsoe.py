"""ENTSO-E's day-ahead prices: file library, REST API, and series saved from entsoe-py.

**File library** (``YYYY_MM_EnergyPrices_12.1.D_r3.csv``): separated by tabs, all zones, UTC.
**REST API**: the document A44 (`gridhash.data.readers.entsoe_xml`). **entsoe-py**: the series of
``query_day_ahead_prices`` saved by pandas as CSV or Parquet, with the offset of each time; it holds
neither zone nor currency, so both must be told. Such a series has hours before 1 October 2025 and
usually quarter hours after: one table each.

There is a table per length of intervals, currency and auction: the coupled auction is the first
(``Sequence`` 1 or none), others are named ``-auction2`` and so on. Zones may lack hours.

Prices of the first auction are known from 13:00 Brussels time of the day before (the market
coupling publishes towards 12:57), of other auctions at the start of their interval only.
"""

import re
from datetime import time

import numpy as np

from gridhash.data.quantities import field
from gridhash.data.readers.cells import Cells, header_cells, read_cells
from gridhash.data.readers.checks import check_tick
from gridhash.data.readers.entsoe_xml import document_cells, is_price_document
from gridhash.data.readers.entsoe_zones import ZONES
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.gridstatus_columns import FLOAT, MISSING
from gridhash.data.readers.parquet import parquet_cells, parquet_names
from gridhash.data.readers.rows import (
    KWH_PER_MWH,
    Numbers,
    Seconds,
    check_consecutive,
    check_prices,
    clock_s,
    instants_s,
    make_table,
    require_header,
    to_index,
    widen,
)
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError
from gridhash.time_grid import published_the_day_before

HEADER = (
    "InstanceCode",
    "DateTime(UTC)",
    "ResolutionCode",
    "AreaCode",
    "AreaDisplayName",
    "AreaTypeCode",
    "MapCode",
    "ContractType",
    "Sequence",
    "Price[Currency/MWh]",
    "Currency",
    "UpdateTime(UTC)",
)
TIMEZONE = "Europe/Brussels"
PUBLISHED_LOCAL = time(13, 0)
TICK = 0.01
PERIODS_S = {"PT15M": 900, "PT30M": 1800, "PT60M": 3600}

QUARTERS_SINCE_S = 1_759_269_600
"""2025-10-01T00:00+02:00: the coupled auction has quarter hours from this day on."""

_TIME = r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}"
_PRICE = r"-?\d+(?:\.\d+)?"
_CODE = re.compile(r"[0-9A-Za-z]{32}")
_ZONE_TYPE = re.compile(r"(?:[A-Z]{3}/)*BZN(?:/[A-Z]{3})*")
_EIC = re.compile(r"[0-9A-Z][0-9A-Z-]{15}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_SEQUENCE = re.compile(r"[1-9]?")
_SERIES_HEADERS = (["", "0"], ["0", "__index_level_0__"])


def sign(file: SourceFile) -> str | None:
    """Return why these are ENTSO-E's prices, or None."""
    if is_price_document(file):
        return "the XML begins with Publication_MarketDocument"
    if file.text is None:
        if parquet_names(file) == _SERIES_HEADERS[1]:
            return "the Parquet file holds one unnamed series with its times"
        return None
    if {"MapCode", "Price[Currency/MWh]"} <= set(header_cells(file.text, 1, "\t")):
        return "the header has MapCode and Price[Currency/MWh]"
    if header_cells(file.text, 1) == _SERIES_HEADERS[0]:
        return "the header is that of one unnamed series saved by pandas"
    return None


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the prices of all zones, or of the one zone that the options name.

    Raises
    ------
    FileFormatError
        If the file is damaged, or a series comes without the options area and currency.
    TimeGridError
        If a time is doubled, off its grid, or missing where none may be.
    DataError
        If a price is no number, implausible or not in steps of 0.01, or a currency is unknown.
    """
    if is_price_document(file):
        return _zone_tables(file, document_cells(file), options)
    if file.text is None:
        return _series_tables(file, parquet_cells(file), 1, options)
    if header_cells(file.text, 1) == _SERIES_HEADERS[0]:
        return _series_tables(file, read_cells(file.text, header_line=1), 0, options)
    require_header(header_cells(file.text, 1, "\t"), HEADER, file.path)
    cells = read_cells(file.text, header_line=1, delimiter="\t")
    _check_month(cells)
    _check_codes(cells, "InstanceCode", _CODE)
    _check_codes(cells, "AreaTypeCode", _ZONE_TYPE)
    clock_s(
        cells,
        cells.at("UpdateTime(UTC)"),
        pattern=_TIME,
        form="%Y-%m-%d %H:%M:%S",
        example="2024-10-07 06:23:24",
    )
    return _zone_tables(file, cells, options)


def _check_month(cells: Cells) -> None:
    """Raise unless all rows are of one month, as in each file of the library."""
    at = cells.at("DateTime(UTC)")
    codes, texts = cells.codes(at)
    other = np.flatnonzero(np.array([text[:7] != texts[0][:7] for text in texts])[codes])
    if other.size:
        raise TimeGridError(f"{cells.where(int(other[0]), at)}: another month than in line 2")


def _check_codes(cells: Cells, name: str, pattern: re.Pattern[str]) -> None:
    codes, texts = cells.codes(cells.at(name))
    for i, text in enumerate(texts):
        if not pattern.fullmatch(text):
            row = int(np.argmax(codes == i))
            raise DataError(
                f"{cells.where(row, cells.at(name))}: unexpected; get the original file"
            )


def _zone_tables(file: SourceFile, cells: Cells, options: ReadOptions) -> tuple[SourceTable, ...]:
    _check_codes(cells, "AreaCode", _EIC)
    _check_codes(cells, "Currency", _CURRENCY)
    _check_codes(cells, "Sequence", _SEQUENCE)
    _check_codes(cells, "ContractType", re.compile("Day-ahead"))
    _check_codes(cells, "ResolutionCode", re.compile("|".join(PERIODS_S)))
    areas = _areas(cells)
    if options.area is not None:
        wanted = options.area.lower()
        if wanted not in areas:
            raise DataError(
                f"{file.path}: there is no zone {wanted}; there are {', '.join(sorted(set(areas)))}"
            )
        cells = cells.keep(areas == wanted)
        areas = areas[areas == wanted]
    names = ("ResolutionCode", "Currency", "Sequence")
    texts = zip(*(cells.text(cells.at(name)) for name in names), strict=True)
    keys = np.array([f"{code} {currency} {number or 1}" for code, currency, number in texts])
    tables = []
    for key in dict.fromkeys(keys.tolist()):
        code, currency, number = key.split(" ")
        if options.currency not in (None, currency):
            raise FileFormatError(f"{file.path}: prices in {currency}, not in {options.currency}")
        part, part_areas = cells.keep(keys == key), areas[keys == key]
        tables.append(
            _zone_table(file, part, part_areas.tolist(), PERIODS_S[code], currency, int(number))
        )
    return tuple(tables)


def _areas(cells: Cells) -> "np.ndarray[tuple[int], np.dtype[np.str_]]":
    """Return the zone of each row; a code and a short name must always come together."""
    pairs = list(
        zip(cells.text(cells.at("AreaCode")), cells.text(cells.at("MapCode")), strict=True)
    )
    known: dict[str, str] = {}
    for row, (code, name) in enumerate(pairs):
        if known.setdefault(code, name) != name:
            raise DataError(f"{cells.where(row, cells.at('MapCode'))}: {known[code]} above")
    zones = {code: ZONES.get(code, (name or code).lower()) for code, name in known.items()}
    return np.array([zones[code] for code, _ in pairs])


def _zone_table(
    file: SourceFile,
    cells: Cells,
    row_areas: list[str],
    period_s: int,
    currency: str,
    auction: int,
) -> SourceTable:
    at, price_at = cells.at("DateTime(UTC)"), cells.at("Price[Currency/MWh]")
    starts_s = clock_s(
        cells, at, pattern=_TIME, form="%Y-%m-%d %H:%M:%S", example="2023-09-01 00:00:00"
    )
    off = np.flatnonzero(starts_s % period_s)
    if off.size:
        raise TimeGridError(f"{cells.where(int(off[0]), at)}: off the grid of {period_s} s")
    areas = sorted(set(row_areas))
    numbers = {area: i for i, area in enumerate(areas)}
    wide = widen(
        cells,
        at,
        starts_s,
        np.array([numbers[area] for area in row_areas], np.int64),
        areas,
        period_s=period_s,
        may_lack_starts=True,
        may_lack_rows=True,
    )
    per_mwh = cells.numbers(price_at, pattern=_PRICE)
    prices = wide.spread(per_mwh / KWH_PER_MWH)
    for i in range(len(areas)):
        check_prices(
            cells, price_at, wide.row_of[:, i], prices[:, i], currency=currency, period_s=period_s
        )
    check_tick(cells, price_at, per_mwh, tick=TICK)
    columns = {field("price_per_kwh", area): prices[:, i] for i, area in enumerate(areas)}
    return _table(file, wide.starts_s, columns, period_s, currency, auction)


def _table(
    file: SourceFile,
    starts_s: Seconds,
    columns: dict[str, Numbers],
    period_s: int,
    currency: str,
    auction: int,
) -> SourceTable:
    starts = to_index(starts_s)
    first = published_the_day_before(starts, timezone=TIMEZONE, at=PUBLISHED_LOCAL)
    return make_table(
        file,
        "entsoe",
        f"entsoe-day-ahead-{period_s // 60}min"
        + ("" if currency == "EUR" else f"-{currency.lower()}")
        + ("" if auction == 1 else f"-auction{auction}"),
        starts,
        columns,
        first if auction == 1 else starts,
        period_s=period_s,
        currency=currency,
    )


def _series_tables(
    file: SourceFile, cells: Cells, time_at: int, options: ReadOptions
) -> tuple[SourceTable, ...]:
    if options.area is None or options.currency is None:
        raise FileFormatError(
            f"{file.path}: a series says neither its zone nor its currency; give area and "
            "currency, such as nl and EUR"
        )
    starts_s = instants_s(cells, time_at)
    per_mwh = cells.numbers(1 - time_at, pattern=FLOAT, missing=MISSING)
    is_late = starts_s >= QUARTERS_SINCE_S
    if is_late.any() and not is_late.all():
        row = int(np.argmax(is_late))
        if starts_s[row] != QUARTERS_SINCE_S or starts_s[row - 1] != QUARTERS_SINCE_S - 3600:
            raise TimeGridError(
                f"{cells.where(row, time_at)}: the series must change from hours to quarter hours "
                "at 2025-10-01T00:00+02:00"
            )
    tables = []
    for is_part, usual_s in (
        (~is_late, 3600),
        (is_late, 900),
    ):
        if not is_part.any():
            continue
        part, part_s, part_mwh = cells.keep(is_part), starts_s[is_part], per_mwh[is_part]
        period_s = int(np.diff(part_s[:2])[0]) if len(part_s) > 1 else usual_s
        if period_s not in PERIODS_S.values() or (part_s[0] % period_s):
            raise TimeGridError(
                f"{part.where(min(1, len(part) - 1), time_at)}: neither hours nor quarter hours "
                "lie between the rows; save the series as entsoe-py returns it"
            )
        check_consecutive(part, time_at, part_s, period_s)
        prices = part_mwh / KWH_PER_MWH
        check_prices(
            part,
            1 - time_at,
            np.arange(len(part)),
            prices,
            currency=options.currency,
            period_s=period_s,
        )
        check_tick(part, 1 - time_at, part_mwh, tick=TICK)
        columns = {field("price_per_kwh", options.area.lower()): prices}
        tables.append(_table(file, part_s, columns, period_s, options.currency, 1))
    return tuple(tables)


FORMATS = (Format("entsoe-day-ahead", "ENTSO-E day-ahead prices", "entsoe", sign, read),)
