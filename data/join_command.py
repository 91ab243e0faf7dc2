"""What `gridhash data join` does: stored columns and signals of surplus become a saved trace."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

from rich.console import Console

from gridhash.data.join import JoinColumn, join
from gridhash.data.join_spec import parse_columns
from gridhash.data.quantities import split_field
from gridhash.data.samples import sample_names
from gridhash.data.schema import COLUMN_BY_NAME
from gridhash.data.store.store import Store
from gridhash.data.surplus import (
    PvSystem,
    read_orders,
    with_area_surplus,
    with_behind_meter_pv,
    with_curtailment_orders,
    with_pv_as_surplus,
    with_surplus_from_price,
)
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError

RESERVED_NAMES = {"synthetic", *sample_names()}
"""What `--prices` takes for something else than a stored trace."""


@dataclass(frozen=True, kw_only=True)
class JoinRequest:
    """What a user asked for; None where a signal is not wanted.

    Attributes
    ----------
    columns
        As `gridhash.data.join_spec` reads them.
    start, end
        ISO 8601 with offset.
    orders
        CSV file of curtailment orders.
    orders_at
        Local time on the day before by which orders are announced, ``Asia/Tokyo 17:00``.
    pv
        ``PEAK_KW,LATITUDE,LONGITUDE[,TILT,AZIMUTH]`` of panels behind the meter.
    """

    columns: Sequence[str]
    start: str
    end: str
    area: str
    currency: str
    period_s: int
    save: str | None = None
    replace: bool = False
    prefer_first: bool = False
    site_kw: float | None = None
    surplus_share: float | None = None
    surplus_below: float | None = None
    orders: Path | None = None
    orders_at: str | None = None
    pv: str | None = None


def join_stored(store: Store, request: JoinRequest, console: Console, *, as_json: bool) -> Trace:
    """Join, report what was found, add the signals of surplus, and save if a name is given.

    Raises
    ------
    DataError
        If the request is wrong, a gap is left or sources disagree; nothing is saved then.
    """
    if request.save in RESERVED_NAMES:
        raise DataError(f"--save {request.save}: that name is taken by what ships with gridhash")
    if request.site_kw is None and (request.surplus_share is not None or request.pv is not None):
        raise DataError("--surplus-share and --pv need --site-kw, the site's nameplate power")
    columns = parse_columns(request.columns, store)
    _check_area(columns, request.area)
    joined = join(
        columns,
        start=_instant(request.start, "--start"),
        end=_instant(request.end, "--end"),
        period_s=request.period_s,
        currency=request.currency,
        area=request.area,
    )
    if not as_json:
        console.print(joined.report.table())
        for line in joined.report.lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    else:
        print(json.dumps(joined.report.as_dict(), indent=2, ensure_ascii=False))
    trace = _with_surplus(joined.to_trace(prefer_first=request.prefer_first), request)
    if request.save is not None:
        store.save_trace(request.save, trace, replace=request.replace)
    if not as_json:
        for note in trace.notes:
            console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
        done = f"saved as {request.save}" if request.save else "not saved; --save NAME keeps it"
        console.print(f"{trace!r}\n{done}", markup=False, highlight=False, soft_wrap=True)
    return trace


def _check_area(columns: Sequence[JoinColumn], area: str) -> None:
    for column in columns:
        if COLUMN_BY_NAME[column.column].unit != "currency/kWh":
            continue
        for part in column.parts:
            found = split_field(part.field)[1]
            if found.casefold() != area.casefold():
                raise DataError(
                    f"{column.column} is that of {found}, but --area says {area}: name the area of "
                    "the price"
                )


def _with_surplus(trace: Trace, request: JoinRequest) -> Trace:
    if request.surplus_share is not None and request.site_kw is not None:
        trace = with_area_surplus(trace, site_kw=request.site_kw, area_share=request.surplus_share)
    if request.orders is not None:
        day_ahead = None if request.orders_at is None else _zone_and_time(request.orders_at)
        trace = with_curtailment_orders(trace, read_orders(request.orders), day_ahead=day_ahead)
    if request.pv is not None and request.site_kw is not None:
        trace = with_behind_meter_pv(trace, _pv_system(request.pv), site_kw=request.site_kw)
        trace = with_pv_as_surplus(trace)
    if request.surplus_below is not None:
        trace = with_surplus_from_price(trace, at_most_per_kwh=request.surplus_below)
    return trace


def _instant(text: str, name: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise TimeGridError(f"{name} {text!r}: write it as 2024-04-01T00:00+09:00") from None
    if instant.utcoffset() is None:
        raise TimeGridError(f"{name} {text!r} has no offset; write it as 2024-04-01T00:00+09:00")
    return instant


def _zone_and_time(text: str) -> tuple[str, time]:
    zone, _, clock = text.rpartition(" ")
    try:
        return zone, time.fromisoformat(clock)
    except ValueError:
        raise DataError(f"--orders-at {text!r}: write it as 'Asia/Tokyo 17:00'") from None


def _pv_system(text: str) -> PvSystem:
    try:
        figures = [float(part) for part in text.split(",")]
    except ValueError:
        figures = []
    if len(figures) not in (3, 5):
        raise DataError(
            f"--pv {text!r}: write PEAK_KW,LATITUDE,LONGITUDE[,TILT,AZIMUTH], as 1000,33.6,130.4"
        )
    names = ("peak_kw", "latitude", "longitude", "tilt", "azimuth")
    return PvSystem(**dict(zip(names, figures, strict=False)))
