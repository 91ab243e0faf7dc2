"""The first sheet of an .xlsx workbook as comma-separated text, with dates and times of day."""

import csv
import io
import zipfile
import zlib
from datetime import date, time

from python_calamine import CalamineError, CalamineWorkbook

from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.data.readers.workbook import MAX_UNPACKED_BYTES, is_workbook


def sheet_text(file: SourceFile) -> TextFile | None:
    """Return the first sheet as text, a line per row; None if this is no intact workbook.

    Dates are written ``2023/04/01``, times of day ``13:00``, numbers without exponent.
    """
    if not is_workbook(file):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > MAX_UNPACKED_BYTES or archive.testzip() is not None:
                return None
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(file.content))
        rows = workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (
        CalamineError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        IndexError,
        RuntimeError,
        NotImplementedError,
    ):
        return None
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([_cell_text(c) for c in row] for row in rows)
    return TextFile(file.path, lines.getvalue(), "workbook")


def _cell_text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.6f}".rstrip("0").rstrip(".")
    if isinstance(cell, date):  # of which a datetime is one
        return f"{cell:%Y/%m/%d}"
    if isinstance(cell, time):
        return f"{cell:%H:%M}" if not cell.second else f"{cell:%H:%M:%S}"
    return " ".join(str(cell).split())
