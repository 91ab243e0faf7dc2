"""The sheets of an .xlsx workbook as text cells; what is no intact workbook is refused."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from datetime import date, datetime

from python_calamine import CalamineError, CalamineWorkbook

from gridhash.data.readers.source_file import SourceFile
from gridhash.errors import FileFormatError

MAX_UNPACKED_BYTES = 1 << 30
"""Far above a year of quarter hours of all hubs and zones; a larger archive is no data file."""


def is_workbook(file: SourceFile) -> bool:
    """Return whether the content is a ZIP archive that holds a workbook."""
    if not file.content.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False


def sheets(file: SourceFile, *, first_only: bool = False) -> dict[str, list[list[str]]]:
    """Return the rows of every sheet as text, without empty rows at the end.

    Dates come out as ``MM/DD/YYYY``, numbers with up to 12 digits and without exponent.

    Raises
    ------
    FileFormatError
        If the archive is damaged, too large or locked by a password, or a cell holds anything
        but text, a number or a date.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise FileFormatError(f"{file.path}: the workbook is too large to be data")
            damaged = archive.testzip()
        if damaged is not None:
            raise FileFormatError(f"{file.path}: {damaged} is damaged; download it again")
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(file.content))
        names = workbook.sheet_names[:1] if first_only else workbook.sheet_names
        raw = {name: workbook.get_sheet_by_name(name).to_python() for name in names}
    except (
        CalamineError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as err:
        raise FileFormatError(
            f"{file.path}: cannot be read as a workbook ({err}); download it again"
        ) from err
    return {name: _texts(file, name, rows) for name, rows in raw.items()}


def _texts(file: SourceFile, sheet: str, rows: Sequence[Sequence[object]]) -> list[list[str]]:
    texts = [
        [_text(file, f"sheet {sheet} row {number}", value) for value in row]
        for number, row in enumerate(rows, 1)
    ]
    while texts and not any(texts[-1]):
        texts.pop()
    return texts


def _text(file: SourceFile, where: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.6f}".rstrip("0").rstrip(".")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return f"{value:%m/%d/%Y}"
    raise FileFormatError(
        f"{file.path} {where}, value {value!r}: neither text nor number nor date; get the original "
        "file"
    )
