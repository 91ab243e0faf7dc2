"""Open an official file whatever its publisher, recognised by its content."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gridhash.data.quantities import split_field
from gridhash.data.readers import (
    aemo,
    area_forecast,
    area_legacy,
    area_supply,
    bitcoin_network,
    entsoe,
    ercot,
    gridstatus_frames,
    hashprice_feeds,
    imbalance,
    jepx,
    jepx_other,
    jma,
    open_meteo,
    smard,
    weather_files,
)
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.price_trace import price_trace
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.data.trace import Trace
from gridhash.errors import DataError, FileFormatError

FORMATS: tuple[Format, ...] = (
    *jepx.FORMATS,
    *jepx_other.FORMATS,
    *imbalance.FORMATS,
    *area_supply.FORMATS,
    *area_legacy.FORMATS,
    *area_forecast.FORMATS,
    *jma.FORMATS,
    *smard.FORMATS,
    *entsoe.FORMATS,
    *ercot.FORMATS,
    *gridstatus_frames.FORMATS,
    *aemo.FORMATS,
    *open_meteo.FORMATS,
    *weather_files.FORMATS,
    *bitcoin_network.FORMATS,
    *hashprice_feeds.FORMATS,
)
"""Every format that gridhash reads."""

PRICES = ("price_per_kwh", "real_time_price_per_kwh")
"""Quantities that a trace may take for its price; the first one that a file has is used."""


@dataclass(frozen=True)
class FileReading:
    """What a file was recognised as, why, and its tables."""

    file: SourceFile
    format: Format
    reason: str
    tables: tuple[SourceTable, ...]


def recognise(file: SourceFile) -> tuple[Format, str]:
    """Return the format of a file and what gave it away.

    Raises
    ------
    FileFormatError
        If no format fits, or more than one does; the message says what was seen.
    """
    hits = [(form, reason) for form in FORMATS if (reason := form.sign(file)) is not None]
    if len(hits) == 1:
        return hits[0]
    if hits:
        seen = "; ".join(f"{form.title}, because {reason}" for form, reason in hits)
        raise FileFormatError(f"{file.path}: the format is ambiguous: {seen}")
    if file.text is None:
        raise FileFormatError(file.text_problem)
    raise FileFormatError(
        f"{file.path}: the format is not recognised: the first line, read as {file.text.encoding}, "
        f"is {file.text.first_line[:120]!r}. Known are: "
        f"{', '.join(form.title for form in FORMATS)}"
    )


def read_file(path: str | Path, options: ReadOptions | None = None) -> FileReading:
    """Read a file of any known format.

    Raises
    ------
    FileFormatError
        If the format is unknown or ambiguous, or the file is damaged.
    DataError
        If a row or a value is wrong, or the file leaves something open that `options` must say.
    """
    file = SourceFile.load(path)
    form, reason = recognise(file)
    options = options or ReadOptions()
    tables = form.read(file, options)
    for table in tables:
        if options.currency and table.currency not in (None, options.currency):
            raise DataError(
                f"{file.path}: its prices are in {table.currency}, not {options.currency}; leave "
                "--currency out"
            )
    return FileReading(file, form, reason, tables)


def open_prices(
    path: str | Path,
    *,
    area: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Trace:
    """Read the prices of one area from a file of any known publisher.

    Parameters
    ----------
    path
        The file as downloaded; its name does not matter where its content names the area.
    area
        Market area or bidding zone, in any case; may be left out where the file has one only.
    start, end
        Keep only the intervals in [start, end); aware.

    Raises
    ------
    FileFormatError
        If the format is not recognised; the message says what was seen.
    DataError
        If the area is missing or unknown (the message lists those of the file), there are no
        prices, or a value or a slot is wrong.
    """
    reading = read_file(path, ReadOptions(area=area))
    table, column = _price_column(reading, area)
    return price_trace(table, column, start=start, end=end)


def _price_column(reading: FileReading, area: str | None) -> tuple[SourceTable, str]:
    path, title = reading.file.path, reading.format.title
    for quantity in PRICES:
        found = [
            (table, column)
            for table in reading.tables
            for column in table.columns
            if split_field(column)[0] == quantity
        ]
        if found:
            return _choose_area(found, area, f"{path}: {title}")
    held = ", ".join(column for table in reading.tables for column in table.columns)
    raise DataError(f"{path}: {title} holds no prices of energy but {held}")


def _choose_area(
    found: Sequence[tuple[SourceTable, str]], area: str | None, where: str
) -> tuple[SourceTable, str]:
    areas = {column: split_field(column)[1] for _, column in found}
    if area is not None:
        wanted = area.strip().casefold()
        found = [(t, column) for t, column in found if areas[column].casefold() == wanted]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(dict.fromkeys(areas.values()))
    if area is not None and not found:
        raise DataError(f"{where}: unknown area {area!r}; the file has {listed}")
    if len(set(areas.values())) > 1:
        raise DataError(f"{where}: choose an area with --area: {listed}")
    periods = ", ".join(f"{table.period_s} s" for table, _ in found)
    raise DataError(f"{where}: prices of several period lengths ({periods}); import the file")
