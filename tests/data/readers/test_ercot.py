"""ERCOT prices: hours by their end, days of 23 and 25 hours, workbooks and CSV, all points."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.ercot import FORMATS
from gridhash.errors import DataError, FileFormatError, TimeGridError

DAY_AHEAD = "Delivery Date,Hour Ending,Repeated Hour Flag,Settlement Point,Settlement Point Price"
REAL_TIME = (
    "Delivery Date,Delivery Hour,Delivery Interval,Repeated Hour Flag,Settlement Point Name,"
    "Settlement Point Type,Settlement Point Price"
)
POINTS = ("HB_HOUSTON", "LZ_WEST")


def hours(days: Iterable[str]) -> Iterable[tuple[str, int, str]]:
    """Yield date, hour ending and flag of local days, with the clock changes of 2024."""
    for day in days:
        for hour in range(1, 25):
            if (day, hour) == ("03/10/2024", 3):
                continue
            yield day, hour, "N"
            if (day, hour) == ("11/03/2024", 2):
                yield day, hour, "Y"


def day_ahead(*days: str) -> str:
    """Return a CSV whose price counts up from 10.01 by 1.03 per row."""
    rows = [
        f"{day},{hour:02d}:00,{flag},{point}" for day, hour, flag in hours(days) for point in POINTS
    ]
    lines = [f"{row},{10.01 + 1.03 * i:.2f}" for i, row in enumerate(rows)]
    return "\n".join([DAY_AHEAD, *lines]) + "\n"


def real_time(*days: str) -> str:
    """Return a CSV whose price counts up from −30.01 by 0.07 per row; a zone with both kinds."""
    rows = [
        f"{day},{hour},{interval},{flag},{point}"
        for day, hour, flag in hours(days)
        for interval in (1, 2, 3, 4)
        for point in ("HB_HUBAVG,AH", "LZ_AEN,LZ", "LZ_AEN,LZEW")
    ]
    lines = [f"{row},{-30.01 + 0.07 * i:.2f}" for i, row in enumerate(rows)]
    return "\n".join([REAL_TIME, *lines]) + "\n"


def workbook(sheets: dict[str, str]) -> bytes:
    """Return an .xlsx workbook of CSV texts: numbers as numbers, the rest as text."""

    def cell(value: str) -> str:
        try:
            return f"<c><v>{float(value)!r}</v></c>"
        except ValueError:
            return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'

    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        'relationships"><Relationship Id="r" Type="http://schemas.openxmlformats.org/officeDocument'
        '/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    }
    names, relations = "", ""
    for i, (name, text) in enumerate(sheets.items(), 1):
        names += f'<sheet name="{name}" sheetId="{i}" r:id="s{i}"/>'
        relations += (
            f'<Relationship Id="s{i}" Target="worksheets/sheet{i}.xml" Type="http://schemas.'
            'openxmlformats.org/officeDocument/2006/relationships/worksheet"/>'
        )
        rows = "".join(
            f"<row>{''.join(cell(value) for value in line.split(','))}</row>"
            for line in text.splitlines()
        )
        parts[f"xl/worksheets/sheet{i}.xml"] = (
            '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
            f"<sheetData>{rows}</sheetData></worksheet>"
        )
    parts["xl/workbook.xml"] = (
        '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http:'
        '//schemas.openxmlformats.org/officeDocument/2006/relationships">'
        f"<sheets>{names}</sheets></workbook>"
    )
    parts["xl/_rels/workbook.xml.rels"] = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f"{relations}</Relationships>"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def test_hour_names_its_end_in_texas(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", day_ahead("06/01/2024"))

    assert (table.dataset, table.period_s, table.currency) == ("ercot-day-ahead", 3600, "USD")
    assert table.columns == ["price_per_kwh@hb_houston", "price_per_kwh@lz_west"]
    assert table.starts[0] == pd.Timestamp("2024-06-01T00:00-05:00")
    assert table.column("price_per_kwh@lz_west")[:2] == pytest.approx([0.01104, 0.0131])


def test_day_of_23_hours(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", day_ahead("03/10/2024"))

    assert len(table) == 23
    assert table.starts[2] == pd.Timestamp("2024-03-10T03:00-05:00")


def test_repeated_hour_flag_makes_a_day_of_25_hours(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", day_ahead("11/02/2024", "11/03/2024"))

    assert len(table) == 24 + 25
    assert table.starts[24 + 1] == pd.Timestamp("2024-11-03T01:00-05:00")
    assert table.starts[24 + 2] == pd.Timestamp("2024-11-03T01:00-06:00")
    assert table.end == pd.Timestamp("2024-11-04T00:00-06:00")


def test_real_time_quarter_hours_of_a_repeated_hour(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", real_time("11/03/2024"))

    assert (table.dataset, table.period_s, len(table)) == ("ercot-real-time", 900, 100)
    known = table.available_at["real_time_price_per_kwh@hb_hubavg"]
    assert (known == table.starts + pd.Timedelta(minutes=15)).all()


def test_energy_weighted_price_of_a_zone_is_its_own_area(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", real_time("06/01/2024"))

    assert table.areas == ["hb_hubavg", "lz_aen", "lz_aen_ew"]
    assert table.frame.iloc[0].tolist() == pytest.approx([-0.03001, -0.02994, -0.02987])


def test_day_ahead_is_known_from_half_past_one_the_day_before(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", day_ahead("11/03/2024"))

    known = set(table.available_at["price_per_kwh@lz_west"])
    assert known == {pd.Timestamp("2024-11-02T13:30-05:00")}


def test_report_of_one_day_has_other_names_and_a_blank_before_prices(read_market: Any) -> None:
    lines = ["DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag"]
    lines += [f"08/05/2025,{h:02d}:00,7RNCHSLR_ALL, {20 + h / 3:.2f},N" for h in range(1, 25)]

    (table,) = read_market(FORMATS, "cdr.csv", "\n".join(lines) + "\n")

    assert table.columns == ["price_per_kwh@7rnchslr_all"]
    assert table.frame.iloc[0, 0] == pytest.approx(0.02033)


def test_report_of_one_interval(read_market: Any) -> None:
    text = (
        "DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,"
        "SettlementPointPrice,DSTFlag\n"
        "11/03/2024,2,4,HB_NORTH,HU,22.13,Y\n11/03/2024,2,4,LZ_NORTH,LZ,-3.5,Y\n"
    )

    (table,) = read_market(FORMATS, "cdr.csv", text)

    assert table.starts[0] == pd.Timestamp("2024-11-03T01:45-06:00")
    assert table.frame.iloc[0].tolist() == pytest.approx([0.02213, -0.0035])


def test_workbook_with_a_sheet_per_month(read_market: Any) -> None:
    november, december = day_ahead("11/30/2024"), day_ahead("12/01/2024")

    (table,) = read_market(FORMATS, "x.xlsx", workbook({"Nov": november, "Dec": december}))

    (expected,) = read_market(FORMATS, "x.csv", november + december.split("\n", 1)[1])
    pd.testing.assert_frame_equal(table.frame, expected.frame)


def test_real_time_workbook_has_hours_as_numbers(read_market: Any) -> None:
    text = real_time("11/03/2024")

    (table,) = read_market(FORMATS, "x.xlsx", workbook({"Nov": text}))

    (expected,) = read_market(FORMATS, "x.csv", text)
    pd.testing.assert_frame_equal(table.frame, expected.frame)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (workbook({"Oct": day_ahead("11/01/2024")}), FileFormatError, "not a day of this month"),
        (workbook({"Nov": DAY_AHEAD}), FileFormatError, "there are no rows"),
        (workbook({"Nov": day_ahead("11/01/2024")})[:-200], DataError, "0 formats"),
        (day_ahead("11/03/2024").replace(",Y,", ",N,"), TimeGridError, "1 period.s. are missing"),
        (day_ahead("11/02/2024").replace(",N,", ",Y,"), TimeGridError, "do not repeat it"),
        (
            day_ahead("03/11/2024").replace("03/11", "03/10"),
            TimeGridError,
            "line 6.*America/Chicago skip this hour",
        ),
        (day_ahead("06/01/2024", "06/03/2024"), TimeGridError, "24 period.s. are missing"),
        (day_ahead("06/01/2024").rsplit("\n", 2)[0] + "\n", TimeGridError, "lz_west ends at"),
        (day_ahead("06/01/2024").replace("24:00", "00:00"), DataError, "01:00 to 24:00 are exp"),
        (real_time("06/01/2024").replace(",AH,", ",LZEX,"), DataError, "one of AH"),
        (
            day_ahead("06/01/2024").replace("06/01/2024,05:00,N,LZ_WEST", "06/01/2024,05:00,N,X_Y"),
            TimeGridError,
            "lz_west has no row at 2024-06-01 09:00",
        ),
        (DAY_AHEAD.replace("Hour Ending", "Date") + "\n", DataError, "0 formats"),
    ],
)
def test_damage_is_named(
    read_market: Any, content: str | bytes, error: type[DataError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_market(FORMATS, "x", content)


@pytest.mark.parametrize("text", [day_ahead("11/02/2024", "11/03/2024"), real_time("03/10/2024")])
def test_no_damaged_file_gives_a_wrong_table(fuzz: Any, text: str) -> None:
    outcomes = fuzz(FORMATS, "x.csv", text, n=160)

    assert outcomes["refused"] > 120


def test_no_damaged_workbook_gives_a_wrong_table(read_market: Any) -> None:
    content = workbook({"Jun": day_ahead("06/01/2024")})
    (truth,) = read_market(FORMATS, "x.xlsx", content)
    rng = np.random.default_rng(1)
    n_refused = 0
    for _ in range(200):
        at, stop = sorted(rng.integers(0, len(content), 2))
        damaged = content[:at] + bytes(rng.integers(0, 256, stop - at, np.uint8)) + content[stop:]
        try:
            (table,) = read_market(FORMATS, "x.xlsx", damaged)
        except DataError:
            n_refused += 1
        else:
            pd.testing.assert_frame_equal(table.frame, truth.frame)
    assert n_refused > 190


def test_hub_average_of_a_real_series_round_trips(read_market: Any, reference_data: Path) -> None:
    frame = pd.read_parquet(reference_data / "data" / "ercot_hubavg_rt15_da_temp_2024.parquet")
    starts = pd.date_range("2024-11-03T05:00Z", "2024-11-04T05:45Z", freq="15min")
    series = frame["rt_usd_per_mwh"].loc[starts]
    local = starts.tz_convert("America/Chicago")
    repeats = local.tz_localize(None).duplicated()
    lines = [REAL_TIME]
    for start, price, repeat in zip(local, series, repeats, strict=True):
        lines.append(
            f"{start:%m/%d/%Y},{start.hour + 1},{start.minute // 15 + 1},{'Y' if repeat else 'N'},"
            f"HB_HUBAVG,AH,{price:.2f}"
        )

    (table,) = read_market(FORMATS, "x.csv", "\n".join(lines) + "\n")

    assert (table.starts == starts).all()
    np.testing.assert_allclose(table.frame.iloc[:, 0], series / 1000, atol=1e-7)
