"""ENTSO-E: the file library's table, the document A44 with its curve types, saved series."""

import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.entsoe import FORMATS, HEADER
from gridhash.errors import DataError, FileFormatError, TimeGridError

ZONES = {
    "DE_LU": ("10Y1001A1001A82H", "DE-LU"),
    "AT": ("10YAT-APG------L", "Austria (AT)"),
    "NO2": ("10YNO-2--------T", "Norway 2 (NO2)"),
}


def library(
    zones: Sequence[str] = ("DE_LU", "AT"),
    *,
    n: int = 48,
    minutes: int = 60,
    first: str = "2023-09-01",
    sequence: str = "1",
    currency: str = "EUR",
    header: bool = True,
) -> str:
    """Return a table of the file library whose price counts up from −5.01 by 0.87 per row."""
    lines = ["\t".join(HEADER)] if header else []
    for i in range(n):
        start = datetime.fromisoformat(first) + timedelta(minutes=minutes * i)
        for j, zone in enumerate(zones):
            code, name = ZONES[zone]
            k = i * len(zones) + j
            lines.append(
                f"{k:032x}\t{start:%Y-%m-%d %H:%M:%S}\tPT{minutes}M\t{code}\t{name}\tBZN\t{zone}\t"
                f"Day-ahead\t{sequence}\t{-5.01 + 0.87 * k:.2f}\t{currency}\t2024-10-07 06:23:24"
            )
    return "\n".join(lines) + "\n"


def test_zones_of_the_file_library(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "2023_09_EnergyPrices_12.1.D_r3.csv", library())

    assert (table.dataset, table.period_s) == ("entsoe-day-ahead-60min", 3600)
    assert table.columns == ["price_per_kwh@at", "price_per_kwh@de_lu"]
    assert table.starts[0] == pd.Timestamp("2023-09-01T00:00Z")
    assert table.frame.iloc[0].tolist() == pytest.approx([-0.00414, -0.00501])


def test_price_is_known_from_one_o_clock_in_brussels(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", library())

    known = table.available_at["price_per_kwh@at"]
    assert known[21] == pd.Timestamp("2023-08-31T13:00+02:00")
    assert known[22] == pd.Timestamp("2023-09-01T13:00+02:00")


def test_resolutions_currencies_and_auctions_are_tables_of_their_own(read_market: Any) -> None:
    text = library()
    text += library(["AT"], minutes=15, n=4, header=False)
    text += library(["NO2"], currency="NOK", header=False)
    text += library(["DE_LU"], sequence="2", minutes=15, n=8, header=False)

    tables = read_market(FORMATS, "x.csv", text)

    assert [table.dataset for table in tables] == [
        "entsoe-day-ahead-60min",
        "entsoe-day-ahead-15min",
        "entsoe-day-ahead-60min-nok",
        "entsoe-day-ahead-15min-auction2",
    ]
    assert tables[2].columns == ["price_per_kwh@no_2"]
    second = tables[3]
    assert (second.available_at["price_per_kwh@de_lu"] == second.starts).all()


def test_zone_that_lacks_an_hour_has_nan_there(read_market: Any) -> None:
    lines = library().splitlines()
    text = "\n".join([*lines[:10], *lines[11:]]) + "\n"

    (table,) = read_market(FORMATS, "x.csv", text)

    assert int(np.isnan(table.frame.to_numpy()).sum()) == 1


def test_area_chooses_one_zone(read_market: Any) -> None:
    text = library() + library(["NO2"], currency="XXX", header=False)

    (table,) = read_market(FORMATS, "x.csv", text, area="AT")

    assert table.columns == ["price_per_kwh@at"]
    with pytest.raises(DataError, match="no plausible prices are known for currency 'XXX'"):
        read_market(FORMATS, "x.csv", text)
    with pytest.raises(DataError, match="no zone fr; there are at, de_lu"):
        read_market(FORMATS, "x.csv", text, area="fr")


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("00:00\tPT60M", "20:00\tPT60M", TimeGridError, "line 2.*off the grid of 3600 s"),
        ("Day-ahead", "Intraday", DataError, "line 2.*Intraday.*unexpected"),
        ("\tBZN", "\tCTA", DataError, "line 2.*CTA.*unexpected"),
        ("\tAT\t", "\tFR\t", DataError, r"line 5, column MapCode, value 'AT': FR above"),
        ("2023-09-01 00:00:00", "01.09.2023 00:00", DataError, "another month"),
        ("MapCode", "AreaMapCode", DataError, "0 formats"),
    ],
)
def test_damage_is_named(
    read_market: Any, old: str, new: str, error: type[DataError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_market(FORMATS, "x.csv", library().replace(old, new, 1))


def test_no_damaged_table_is_read_wrongly(fuzz: Any) -> None:
    outcomes = fuzz(FORMATS, "x.csv", library(), delimiter="\t", n=310)

    assert outcomes["refused"] > 200


def document(
    points: Sequence[tuple[int, str]],
    *,
    curve: str = "A03",
    resolution: str = "PT60M",
    start: str = "2025-08-21T22:00Z",
    end: str = "2025-08-22T04:00Z",
    extra: str = "",
) -> str:
    """Return a document A44 of Czechia with one period."""
    body = "\n".join(
        f"<Point><position>{position}</position><price.amount>{price}</price.amount></Point>"
        for position, price in points
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">
  <mRID>67528d12b93146ee8254870e5a2f78ab</mRID>
  <revisionNumber>1</revisionNumber>
  <type>A44</type>
  <createdDateTime>2025-08-23T16:09:32Z</createdDateTime>
  <period.timeInterval><start>{start}</start><end>{end}</end></period.timeInterval>
  <TimeSeries>
    <mRID>1</mRID>
    <auction.type>A01</auction.type>
    <businessType>A62</businessType>
    <in_Domain.mRID codingScheme="A01">10YCZ-CEPS-----N</in_Domain.mRID>
    <out_Domain.mRID codingScheme="A01">10YCZ-CEPS-----N</out_Domain.mRID>
    <contract_MarketAgreement.type>A01</contract_MarketAgreement.type>
    <currency_Unit.name>EUR</currency_Unit.name>
    <price_Measure_Unit.name>MWH</price_Measure_Unit.name>
    {extra}<curveType>{curve}</curveType>
    <Period>
      <timeInterval><start>{start}</start><end>{end}</end></timeInterval>
      <resolution>{resolution}</resolution>
      {body}
    </Period>
  </TimeSeries>
</Publication_MarketDocument>
"""


def test_positions_left_out_in_curve_a03_repeat_the_value_before(read_market: Any) -> None:
    points = [(1, "88.33"), (3, "77.23"), (4, "-3.5")]

    (table,) = read_market(FORMATS, "x.xml", document(points))

    assert (table.dataset, table.columns) == ("entsoe-day-ahead-60min", ["price_per_kwh@cz"])
    assert table.starts[0] == pd.Timestamp("2025-08-21T22:00Z")
    prices = [88.33, 88.33, 77.23, -3.5, -3.5, -3.5]
    assert table.frame.iloc[:, 0].tolist() == pytest.approx([price / 1000 for price in prices])


def test_every_position_must_be_there_in_curve_a01(read_market: Any) -> None:
    whole = [(i, f"{50 + i}.25") for i in range(1, 7)]

    (table,) = read_market(FORMATS, "x.xml", document(whole, curve="A01"))

    assert len(table) == 6
    with pytest.raises(TimeGridError, match=r"position '4': 1 position.s. are missing"):
        read_market(FORMATS, "x.xml", document(whole[:2] + whole[3:], curve="A01"))
    with pytest.raises(TimeGridError, match=r"1 position.s. are missing at its end"):
        read_market(FORMATS, "x.xml", document(whole[:-1], curve="A01"))


def test_second_auction_of_a_document(read_market: Any) -> None:
    name = "classificationSequence_AttributeInstanceComponent.position"
    text = document([(1, "5.11")], extra=f"<{name}>2</{name}>", resolution="PT15M")

    (table,) = read_market(FORMATS, "x.xml", text)

    assert (table.dataset, len(table)) == ("entsoe-day-ahead-15min-auction2", 24)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("<position>1<", "<position>2<", TimeGridError, "1 position.s. are missing before"),
        ("<position>3<", "<position>1<", TimeGridError, "doubled or out of order"),
        ("<position>3<", "<position>7<", TimeGridError, "position '7'"),
        ("<position>3<", "<position>x<", DataError, "position 'x': not a number"),
        (">77.23<", ">1e3<", DataError, "'1e3': not a number"),
        ("T04:00Z", "T04:10Z", TimeGridError, "no whole number of steps"),
        ("<type>A44", "<type>A61", FileFormatError, "type A44"),
        ("<curveType>A03", "<curveType>A02", FileFormatError, "curve type A02"),
        (">MWH<", ">KWH<", FileFormatError, "'KWH' where 'MWH'"),
        ("<currency_Unit.name>EUR</currency_Unit.name>", "", FileFormatError, "one currency_Unit"),
        (">10YCZ-CEPS-----N</out", ">10YAT-APG------L</out", FileFormatError, "out_Domain"),
        ("PT60M", "P1D", FileFormatError, "'P1D' is not read"),
        (":7:3", ":8:0", FileFormatError, "of version 7"),
        ("?>", '?><!DOCTYPE x [<!ENTITY a "b">]>', FileFormatError, "declares a document type"),
        ("</Point>", "", FileFormatError, "broken XML"),
    ],
)
def test_damaged_document_is_named(
    read_market: Any, old: str, new: str, error: type[DataError], message: str
) -> None:
    text = document([(1, "88.33"), (3, "77.23")]).replace(old, new)

    with pytest.raises(error, match=message):
        read_market(FORMATS, "x.xml", text)


def test_cut_off_document_is_refused(read_market: Any) -> None:
    text = document([(1, "88.33"), (3, "77.23")])
    for at in range(0, len(text) - 2, 11):
        with pytest.raises(DataError):
            read_market(FORMATS, "x.xml", text[:at])


def series(start: str, end: str, freq: str) -> "pd.Series[float]":
    index = pd.date_range(start, end, freq=freq, tz="Europe/Amsterdam", inclusive="left")
    return pd.Series(np.round(30.01 + 0.37 * np.arange(len(index)), 2), index=index)


def test_saved_series_over_the_change_to_quarter_hours(read_market: Any) -> None:
    saved = pd.concat(
        [series("2025-09-30", "2025-10-01", "1h"), series("2025-10-01", "2025-10-02", "15min")]
    )
    buffer = io.BytesIO()
    saved.to_frame().rename(columns=str).to_parquet(buffer)

    for content in (saved.to_csv(), buffer.getvalue()):
        hours, quarters = read_market(FORMATS, "x", content, area="NL", currency="EUR")

        assert (hours.dataset, len(hours)) == ("entsoe-day-ahead-60min", 24)
        assert (quarters.dataset, len(quarters)) == ("entsoe-day-ahead-15min", 96)
        assert quarters.starts[0] == pd.Timestamp("2025-10-01T00:00+02:00")
        assert hours.frame.iloc[0, 0] == pytest.approx(0.03001)


def test_saved_series_has_days_of_23_and_25_hours(read_market: Any) -> None:
    for day, n in (("2024-03-31", 23), ("2024-10-27", 25)):
        end = str(pd.Timestamp(day) + pd.Timedelta(days=1))

        (table,) = read_market(
            FORMATS, "x", series(day, end, "1h").to_csv(), area="nl", currency="EUR"
        )

        assert len(table) == n


def test_series_needs_zone_and_currency(read_market: Any) -> None:
    with pytest.raises(FileFormatError, match="neither its zone nor its currency"):
        read_market(FORMATS, "x", series("2024-01-01", "2024-01-02", "1h").to_csv(), area="nl")


def test_no_damaged_series_is_read_wrongly(fuzz: Any) -> None:
    text = series("2024-10-26", "2024-10-28", "1h").to_csv()

    fuzz(FORMATS, "x.csv", text, n=310, area="nl", currency="EUR")


def test_german_prices_agree_with_the_reference_series(
    read_market: Any, reference_data: Path
) -> None:
    frame = pd.read_parquet(reference_data / "data" / "de_day_ahead_hourly_2015-2020.parquet")
    prices = frame["price_eur_per_mwh"].iloc[24:72]
    index = pd.DatetimeIndex(prices.index).tz_convert("Europe/Berlin").rename(None)
    text = pd.Series(prices.to_numpy(float).round(2), index=index).to_csv()

    (table,) = read_market(FORMATS, "x.csv", text, area="de_at_lu", currency="EUR")

    assert (table.starts == index).all()
    np.testing.assert_allclose(table.frame.iloc[:, 0], prices / 1000, atol=1e-7)
