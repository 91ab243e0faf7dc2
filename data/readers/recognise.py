"""Open a price file whatever its publisher, recognised by its content."""

from datetime import datetime
from pathlib import Path

from gridhash.data.readers.jepx import AREAS, is_spot_summary, parse_spot_summary
from gridhash.data.readers.smard import find_layout, parse_day_ahead
from gridhash.data.readers.text_file import read_text_file
from gridhash.data.trace import Trace
from gridhash.errors import DataError, FileFormatError


def open_prices(
    path: str | Path,
    *,
    area: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Trace:
    """Read a price file of any known publisher: JEPX spot summary or SMARD day-ahead.

    Parameters
    ----------
    path
        The file as downloaded; its name does not matter.
    area
        Market area or bidding zone; may be left out where the file has one only.
    start, end
        Keep only the intervals in [start, end); aware.

    Raises
    ------
    FileFormatError
        If the format is not recognised; the message says what was seen.
    DataError
        If the area is missing or unknown (the message lists those of the file), or a value or a
        slot is wrong.
    """
    file = read_text_file(path)
    if is_spot_summary(file):
        if area is None:
            raise DataError(f"{path}: choose an area of this JEPX file: {', '.join(AREAS)}")
        return parse_spot_summary(file, area, start=start, end=end)
    layout = find_layout(file)
    if layout is not None:
        zones = list(layout.zones)
        if area is None and len(zones) > 1:
            raise DataError(f"{path}: choose a zone of this SMARD file: {', '.join(zones)}")
        return parse_day_ahead(file, area or "".join(zones), start=start, end=end)
    raise FileFormatError(
        f"{path}: the format is not recognised. Known are JEPX spot_summary_YYYY.csv and SMARD "
        f"day-ahead prices; the first line, read as {file.encoding}, is {file.first_line[:120]!r}"
    )
