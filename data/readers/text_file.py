"""A text file whose encoding is certain, or an error that says what the file is instead."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gridhash.errors import DataError, FileFormatError

BINARY_STARTS = (
    (b"PK\x03\x04", "a ZIP archive or an .xlsx workbook: unpack it, or save the sheet as CSV"),
    (b"\x1f\x8b", "gzip data: unpack it"),
    (b"\xd0\xcf\x11\xe0", "an .xls workbook: save the sheet as CSV"),
    (b"%PDF", "a PDF document: download the CSV file instead"),
    (b"PAR1", "a Parquet file: give the publisher's CSV file"),
    (b"\xff\xfe", "UTF-16 text: save it as CSV UTF-8"),
    (b"\xfe\xff", "UTF-16 text: save it as CSV UTF-8"),
)

_NOT_CP932 = re.compile("[\x80\uf8f0-\uf8f3]")


@dataclass(frozen=True)
class TextFile:
    """The decoded text of one file."""

    path: Path
    text: str
    encoding: str

    @property
    def first_line(self) -> str:
        """The first line without its line end."""
        return self.text.split("\n", 1)[0].rstrip("\r")

    def rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yield each row with the number of its line, counted from 1.

        Empty rows at the end, which Excel likes to add, are left out.

        Raises
        ------
        FileFormatError
            If quotes do not match, or if an empty row stands among the others.
        """
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=delimiter, strict=True)
        first_empty = 0
        try:
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    first_empty = first_empty or reader.line_num
                    continue
                if first_empty:
                    raise FileFormatError(
                        f"{self.path} line {first_empty}: an empty row stands before line "
                        f"{reader.line_num}, which is not empty; get the original file"
                    )
                yield reader.line_num, cells
        except csv.Error as err:
            raise FileFormatError(f"{self.path} line {reader.line_num}: {err}") from err


def read_text_file(path: str | Path) -> TextFile:
    """Read a file that must be text in UTF-8, with or without BOM, or in cp932 (Shift JIS).

    Raises
    ------
    DataError
        If the file cannot be opened.
    FileFormatError
        If it is empty, binary, a web page, or in neither encoding; the message names the byte.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as err:
        raise DataError(f"{path}: cannot be read: {err.strerror}; check the path") from err
    return decode_text(path, content)


def decode_text(path: Path, content: bytes) -> TextFile:
    """Return the text of a file's content; raise FileFormatError as `read_text_file` does."""
    if not content.strip():
        raise FileFormatError(f"{path}: the file is empty; download it again")
    for start, meaning in BINARY_STARTS:
        if content.startswith(start):
            raise FileFormatError(f"{path}: not text but {meaning}")
    if b"\0" in content:
        raise FileFormatError(
            f"{path}: not text: byte {content.index(0)} is zero; give the publisher's CSV file"
        )
    text, encoding = _decode(path, content)
    if text[:1000].lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
        raise FileFormatError(
            f"{path}: a web page, not a CSV file: the download was refused or redirected; open the "
            "publisher's page in a browser and save the CSV file from there"
        )
    return TextFile(path, text, encoding)


def _decode(path: Path, content: bytes) -> tuple[str, str]:
    try:
        return content.decode("utf-8").removeprefix("\ufeff"), "utf-8"
    except UnicodeDecodeError as err:
        utf8_error = err
    if content.startswith(b"\xef\xbb\xbf"):
        raise FileFormatError(
            f"{path}: starts with the mark of UTF-8 but {_byte_problem(utf8_error, 'UTF-8')}; the "
            "file is damaged, download it again"
        )
    try:
        return _decode_cp932(content), "cp932"
    except UnicodeDecodeError as cp932_error:
        raise FileFormatError(
            f"{path}: neither UTF-8 ({_byte_problem(utf8_error, 'UTF-8')}) nor cp932 "
            f"({_byte_problem(cp932_error, 'cp932')}); download it again or save it as CSV UTF-8"
        ) from cp932_error


def _decode_cp932(content: bytes) -> str:
    """Decode strictly: Python maps five bytes that cp932 does not define to odd characters."""
    text = content.decode("cp932")
    match = _NOT_CP932.search(text)
    if match is not None:
        at = len(text[: match.start()].encode("cp932"))
        raise UnicodeDecodeError("cp932", content, at, at + 1, "undefined")
    return text


def _byte_problem(err: UnicodeDecodeError, encoding: str) -> str:
    return f"byte {err.start} is 0x{err.object[err.start]:02x}, which is not {encoding}"
