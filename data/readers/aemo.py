"""AEMO's aggregated price and demand: ``PRICE_AND_DEMAND_YYYYMM_REGION.csv``, a month and region.

``REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE``; the time names the *end* of the interval on
the market's clock, UTC+10 without daylight saving in every region. Intervals are 5 min since
1 October 2021 (five-minute settlement, AEMC rule change 2017) and were 30 min before. Prices are
AUD/MWh between the market floor of −1,000 and the cap, which rises each July; demand is MW.

A value counts as known at the end of its interval. AEMO's dispatch results are out some minutes
earlier, so this is the cautious side.
"""

import re
from dataclasses import dataclass

import numpy as np

from gridhash.data.quantities import field
from gridhash.data.readers.cells import Cells, header_cells, read_cells
from gridhash.data.readers.checks import check_tick
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.rows import (
    KWH_PER_MWH,
    Numbers,
    Seconds,
    check_consecutive,
    check_prices,
    clock_s,
    make_table,
    require_header,
    to_index,
)
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError

HEADER = ("REGION", "SETTLEMENTDATE", "TOTALDEMAND", "RRP", "PERIODTYPE")
UTC_OFFSET_S = 10 * 3600
FIVE_MINUTES_SINCE_S = 1_633_010_400
"""2021-10-01T00:00+10:00."""

PRICE_FLOOR_AUD_PER_MWH = -1000.0
PRICE_CAP_AUD_PER_MWH = 30_000.0
"""Above every cap set so far (20,300 in 2025/26), below a price in wrong units."""

TICK = 0.01
DAY_S = 86400

_NAME = re.compile(r"PRICE_AND_DEMAND_(\d{4})(\d{2})_([A-Z]+1?)", re.IGNORECASE)
_TIME = r"\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}"


@dataclass(frozen=True)
class Region:
    """Demand of a region [MW]: beyond all records, and its least and greatest median of a day.

    From AEMO's published records (New South Wales 14,744 MW in 2011, Queensland 11,144 in 2025,
    Victoria 10,490 in 2009, South Australia 3,403 in 2011 and below zero in spring 2024, Tasmania
    1,790), with a margin.
    """

    low_mw: float
    high_mw: float
    median_low_mw: float
    median_high_mw: float


REGIONS = {
    "NSW1": Region(1500, 17000, 4000, 13000),
    "QLD1": Region(1500, 13000, 3500, 10500),
    "SA1": Region(-800, 4200, 300, 3000),
    "TAS1": Region(300, 2300, 650, 1800),
    "VIC1": Region(800, 12500, 2200, 9500),
    "SNOWY1": Region(-100, 1500, -50, 1000),
}


def sign(file: SourceFile) -> str | None:
    """Return why this is an AEMO file, or None."""
    if file.text is None or not set(HEADER) <= set(header_cells(file.text, 1)):
        return None
    return f"the header has {', '.join(HEADER)}"


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the prices and the demand of the file's region.

    Raises
    ------
    FileFormatError
        If the columns are others, or the name of the file belongs to another region or month.
    TimeGridError
        If an interval is missing, doubled or out of order.
    DataError
        If a value is no number, not in steps of 0.01, or implausible in this region.
    """
    text = file.text
    assert text is not None
    require_header(header_cells(text, 1), HEADER, file.path)
    cells = read_cells(text, header_line=1)
    codes, regions = cells.codes(0)
    if regions[0] not in REGIONS or len(regions) > 1:
        row = 0 if regions[0] not in REGIONS else int(np.flatnonzero(codes)[0])
        raise FileFormatError(
            f"{cells.where(row, 0)}: one of {', '.join(REGIONS)} is expected in all rows"
        )
    kinds, names = cells.codes(4)
    if names != ["TRADE"]:
        row = int(np.flatnonzero(kinds == next(i for i, n in enumerate(names) if n != "TRADE"))[0])
        raise FileFormatError(f"{cells.where(row, 4)}: every row must be TRADE")
    ends_s = clock_s(cells, 1, pattern=_TIME, form="%Y/%m/%d %H:%M:%S", example="2024/12/01 00:05")
    ends_s = ends_s - UTC_OFFSET_S
    period_s = 1800 if ends_s[0] <= FIVE_MINUTES_SINCE_S else 300
    off = np.flatnonzero(ends_s % period_s)
    if off.size:
        raise DataError(f"{cells.where(int(off[0]), 1)}: no end of an interval of {period_s} s")
    check_consecutive(cells, 1, ends_s, period_s)
    if ends_s[0] <= FIVE_MINUTES_SINCE_S < ends_s[-1]:
        row = int(np.searchsorted(ends_s, FIVE_MINUTES_SINCE_S, side="right"))
        raise DataError(
            f"{cells.where(row, 1)}: intervals have 5 min since 2021-10-01; give the original "
            "file of one month"
        )
    region = regions[0]
    starts_s = ends_s - period_s
    _check_name(file, options, region, starts_s + UTC_OFFSET_S)
    demand_mw, rrp = cells.numbers(2), cells.numbers(3)
    _check_demand(cells, demand_mw, region, period_s)
    wrong = np.flatnonzero((rrp < PRICE_FLOOR_AUD_PER_MWH) | (rrp > PRICE_CAP_AUD_PER_MWH))
    if wrong.size:
        raise DataError(
            f"{cells.where(int(wrong[0]), 3)}: outside {PRICE_FLOOR_AUD_PER_MWH:g} … "
            f"{PRICE_CAP_AUD_PER_MWH:g} AUD/MWh; the unit may have been changed"
        )
    prices = rrp / KWH_PER_MWH
    check_prices(cells, 3, np.arange(len(cells)), prices, currency="AUD", period_s=period_s)
    for at, values in ((2, demand_mw), (3, rrp)):
        check_tick(cells, at, values, tick=TICK)
    area = region.lower()
    return (
        make_table(
            file,
            "aemo",
            f"aemo-{area}" if period_s == 300 else f"aemo-{area}-30min",
            to_index(starts_s),
            {
                field("real_time_price_per_kwh", area): prices,
                field("demand_kw", area): demand_mw * KWH_PER_MWH,
            },
            to_index(ends_s),
            period_s=period_s,
            currency="AUD",
        ),
    )


def _check_name(file: SourceFile, options: ReadOptions, region: str, local_s: Seconds) -> None:
    if options.area is not None and options.area.upper() != region:
        raise FileFormatError(f"{file.path}: holds {region}, but the area {options.area} was named")
    match = _NAME.match(file.path.name)
    if match is None:
        return
    if match[3].upper() != region:
        raise FileFormatError(f"{file.path}: named after {match[3]}, but its rows are of {region}")
    months = np.unique(local_s.astype("datetime64[s]").astype("datetime64[M]")).astype(str)
    if list(months) != [f"{match[1]}-{match[2]}"]:
        raise FileFormatError(
            f"{file.path}: named after {match[1]}-{match[2]}, but its rows are of "
            f"{', '.join(months)}"
        )


def _check_demand(cells: Cells, demand_mw: Numbers, region: str, period_s: int) -> None:
    limits = REGIONS[region]
    wrong = np.flatnonzero((demand_mw < limits.low_mw) | (demand_mw > limits.high_mw))
    if wrong.size:
        raise DataError(
            f"{cells.where(int(wrong[0]), 2)}: outside {limits.low_mw:g} … {limits.high_mw:g} MW, "
            f"the demand of {region}; the unit or the column may have been changed"
        )
    median = float(np.median(demand_mw))
    is_day = demand_mw.size * period_s >= DAY_S
    if is_day and not limits.median_low_mw <= median <= limits.median_high_mw:
        raise DataError(
            f"{cells.path}, column {cells.names[2]}: the median {median:g} MW is not the demand of "
            f"{region}; the unit or the column may have been changed"
        )


FORMATS = (Format("aemo-price-demand", "AEMO aggregated price and demand", "aemo", sign, read),)
