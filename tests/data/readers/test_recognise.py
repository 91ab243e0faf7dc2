"""A price file is recognised by what it holds; what is not recognised is described."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gridhash.data.readers.recognise import open_prices
from gridhash.errors import DataError, FileFormatError


@pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig"])
def test_jepx_is_recognised_by_content_not_by_name(jepx: Any, encoding: str) -> None:
    trace = open_prices(jepx.write(encoding=encoding, name="download.txt"), area="Tokyo")

    assert (trace.currency, trace.area) == ("JPY", "tokyo")


def test_jepx_without_area_lists_the_areas(jepx: Any) -> None:
    with pytest.raises(
        DataError,
        match=r"choose an area with --area: hokkaido, .*, system|--area: system, .*kyushu",
    ):
        open_prices(jepx.write())


def test_the_only_zone_of_a_smard_file_is_the_default(write_smard: Any) -> None:
    assert open_prices(write_smard(date(2018, 1, 1), 2)).area == "Netherlands"


def test_several_zones_without_a_choice_are_listed(write_smard: Any) -> None:
    path = write_smard(date(2018, 1, 1), 2, zones=("Netherlands", "France"))

    with pytest.raises(DataError, match="choose an area with --area: Netherlands, France"):
        open_prices(path)
    assert open_prices(path, area="France").area == "France"


def test_utf8_bytes_out_of_place_are_named_by_offset(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes("受渡日".encode() + b",\xff\xff")

    with pytest.raises(FileFormatError, match=r"UTF-8 \(byte 10 is 0xff.*cp932 \(byte \d+ is 0x"):
        open_prices(path, area="tokyo")


def test_damaged_byte_after_a_utf8_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"\xef\xbb\xbfDate;\x82\xa0")

    with pytest.raises(FileFormatError, match="byte 8 is 0x82"):
        open_prices(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\r\n \r\n", "the file is empty"),
        (b"PK\x03\x04rest", "ZIP archive or an .xlsx"),
        (b"\x1f\x8b\x08rest", "gzip"),
        (b"\xd0\xcf\x11\xe0rest", "xls workbook"),
        (b"%PDF-1.7", "PDF"),
        ("Date;Time".encode("utf-16"), "UTF-16"),
        (b"abc\x00def", "byte 3 is zero"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"  <html><body>403</body></html>", "a web page"),
        (b"time,price\n1,2\n", "not recognised.*'time,price'"),
        ("Datum von;Preis [€/MWh]\n".encode("cp1252"), "neither UTF-8 .byte 17 is 0x80.*cp932"),
        (b"Datum von;Preis [EUR]\n", "not recognised.*'Datum von;Preis"),
    ],
)
def test_what_is_no_price_file_is_described(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)

    with pytest.raises(FileFormatError, match=r"prices\.csv.*" + expected):
        open_prices(path, area="tokyo")


def test_path_that_cannot_be_read_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read: No such file"):
        open_prices(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="Is a directory"):
        open_prices(tmp_path)


def test_quote_left_open_is_named_by_line(jepx: Any) -> None:
    jepx.rows[3][6] = '"10.00'

    with pytest.raises(FileFormatError, match=r"line \d+: "):
        open_prices(jepx.write(), area="tokyo")
