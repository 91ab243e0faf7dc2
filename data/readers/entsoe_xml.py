"""ENTSO-E's price document A44 (REST API) as the rows of the file library.

``Publication_MarketDocument`` of IEC 62325-451-3, any 7.x. Each ``Period`` counts positions from 1
in steps of its resolution. In curve type A01 every position is there; in A03 a position that is
left out repeats the value before it (ENTSO-E, "Introduction of different Timeseries possibilities
(curvetypes)", version 1.4), and the first is always there.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa

from gridhash.data.readers.cells import Cells
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.errors import DataError, FileFormatError, TimeGridError

ROOT = "Publication_MarketDocument"
RESOLUTIONS = {"PT15M": 15, "PT30M": 30, "PT60M": 60, "PT1H": 60}
COLUMNS = (
    "DateTime(UTC)",
    "ResolutionCode",
    "AreaCode",
    "MapCode",
    "ContractType",
    "Sequence",
    "Price[Currency/MWh]",
    "Currency",
)

_NAMESPACE = re.compile(r"\{urn:iec62325\.351:tc57wg16:451-3:publicationdocument:7:\d+\}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", re.ASCII)


def is_price_document(file: SourceFile) -> bool:
    """Return whether the content begins like such a document."""
    start = file.content[:600].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<") and f"<{ROOT}".encode() in start


def document_cells(file: SourceFile) -> Cells:
    """Return one row per period of every time series, prices as text; lines count the rows.

    Raises
    ------
    FileFormatError
        If it is no intact document A44 of day-ahead prices per MWh, or declares a document type.
    TimeGridError
        If a period is not a whole number of steps, or positions are missing, doubled or too many.
    """
    root = _root(file)
    if _text(file, root, "type") != "A44":
        raise FileFormatError(f"{file.path}: not a document of day-ahead prices (type A44)")
    rows = [row for series in root.iterfind("{*}TimeSeries") for row in _series(file, series)]
    if not rows:
        raise FileFormatError(f"{file.path}: there are no prices in the document")
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    lines = np.arange(1, len(rows) + 1, dtype=np.int64)
    return Cells(TextFile(file.path, "", "xml"), list(COLUMNS), columns, lines)


def _root(file: SourceFile) -> ElementTree.Element:
    try:
        text = file.content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise FileFormatError(f"{file.path}: not UTF-8 (byte {err.start}); download again") from err
    # Entities can blow up a small file; a market document has none.
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise FileFormatError(f"{file.path}: declares a document type, which no price document has")
    try:
        root = ElementTree.fromstring(text.encode())
    except (ElementTree.ParseError, LookupError, ValueError) as err:
        raise FileFormatError(
            f"{file.path}: broken XML ({err}): the file may be cut off; download it again"
        ) from err
    if not _NAMESPACE.match(root.tag) or not root.tag.endswith("}" + ROOT):
        raise FileFormatError(f"{file.path}: {root.tag} is no {ROOT} of version 7")
    return root


def _text(
    file: SourceFile, node: ElementTree.Element, name: str, default: str | None = None
) -> str:
    found = node.findall("{*}" + name)
    if not found and default is not None:
        return default
    if len(found) != 1 or not (found[0].text or "").strip():
        raise FileFormatError(f"{file.path}: one {name} in each {_plain(node)} is expected")
    return (found[0].text or "").strip()


def _plain(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _series(file: SourceFile, series: ElementTree.Element) -> Iterator[tuple[str, ...]]:
    area = _text(file, series, "in_Domain.mRID")
    wanted = {
        "out_Domain.mRID": area,
        "contract_MarketAgreement.type": "A01",
        "price_Measure_Unit.name": "MWH",
    }
    for name, value in wanted.items():
        if _text(file, series, name) != value:
            raise FileFormatError(
                f"{file.path}: {name} {_text(file, series, name)!r} where {value!r} is expected"
            )
    curve = _text(file, series, "curveType")
    if curve not in ("A01", "A03"):
        raise FileFormatError(f"{file.path}: curve type {curve}, where A01 or A03 is expected")
    currency = _text(file, series, "currency_Unit.name")
    sequence = _text(
        file, series, "classificationSequence_AttributeInstanceComponent.position", "1"
    )
    periods = series.findall("{*}Period")
    if not periods:
        raise FileFormatError(f"{file.path}: a TimeSeries has no Period")
    for period in periods:
        resolution = _text(file, period, "resolution")
        if resolution not in RESOLUTIONS:
            raise FileFormatError(f"{file.path}: resolution {resolution!r} is not read")
        minutes = RESOLUTIONS[resolution]
        start, prices = _period(file, period, minutes, repeats=curve == "A03")
        for i, price in enumerate(prices):
            moment = start + timedelta(minutes=minutes * i)
            code = f"PT{minutes}M"
            stamp = f"{moment:%Y-%m-%d %H:%M:%S}"
            yield stamp, code, area, "", "Day-ahead", sequence, price, currency


def _period(
    file: SourceFile, period: ElementTree.Element, minutes: int, *, repeats: bool
) -> tuple[datetime, list[str]]:
    """Return the start of a period and its prices as written, one per step."""
    interval = period.find("{*}timeInterval")
    if interval is None:
        raise FileFormatError(f"{file.path}: a Period has no timeInterval")
    start, end = (_instant(file, _text(file, interval, name)) for name in ("start", "end"))
    n_steps, rest = divmod(int((end - start).total_seconds()), minutes * 60)
    if rest or not 1 <= n_steps <= 366 * 96:
        raise TimeGridError(f"{file.path}: the period {start} … {end} is no whole number of steps")
    prices: list[str] = []
    for point in period.iterfind("{*}Point"):
        position = _text(file, point, "position")
        where = f"{file.path}, period from {start:%Y-%m-%dT%H:%MZ}, position {position!r}"
        if not (position.isascii() and position.isdigit()):
            raise DataError(f"{where}: not a number")
        n_ahead = int(position) - 1 - len(prices)
        if n_ahead < 0:
            raise TimeGridError(f"{where}: doubled or out of order")
        if int(position) > n_steps or (n_ahead and not (repeats and prices)):
            raise TimeGridError(f"{where}: {n_ahead} position(s) are missing before it")
        prices += prices[-1:] * n_ahead
        prices.append(_text(file, point, "price.amount"))
    if len(prices) < n_steps and not (repeats and prices):
        raise TimeGridError(
            f"{file.path}, period from {start:%Y-%m-%dT%H:%MZ}: {n_steps - len(prices)} "
            "position(s) are missing at its end"
        )
    return start, prices + prices[-1:] * (n_steps - len(prices))


def _instant(file: SourceFile, text: str) -> datetime:
    try:
        if _INSTANT.fullmatch(text):
            return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise DataError(f"{file.path}, value {text!r}: not an instant like 2024-04-01T22:00Z")
