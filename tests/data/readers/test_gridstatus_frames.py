"""Frames of gridstatus: markets, locations, components, load, fuel mix and curtailment."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.gridstatus_frames import FORMATS
from gridhash.errors import DataError, FileFormatError, TimeGridError


def spp(
    n: int = 48, market: str = "DAY_AHEAD_HOURLY", start: str = "2024-11-02", freq: str = "1h"
) -> pd.DataFrame:
    """Return ERCOT prices that count up from 20.01 by 0.37, over the end of summer time."""
    starts = pd.date_range(start, periods=n, freq=freq, tz="US/Central")
    frame = pd.DataFrame(
        {
            "Time": np.repeat(starts, 2),
            "Interval Start": np.repeat(starts, 2),
            "Interval End": np.repeat(starts + pd.Timedelta(freq), 2),
            "Location": ["HB_NORTH", "LZ_WEST"] * n,
            "Location Type": ["Trading Hub", "Load Zone"] * n,
            "Market": market,
        }
    )
    return frame.assign(SPP=np.round(20.01 + 0.37 * np.arange(2 * n), 2))


def lmp(n: int = 30) -> pd.DataFrame:
    """Return CAISO real-time prices whose components add up, energy alike everywhere."""
    starts = pd.date_range("2024-06-01", periods=n, freq="5min", tz="US/Pacific")
    energy = np.repeat(np.round(31.23456 + 0.71113 * np.arange(n), 5), 2)
    congestion = np.round(np.tile([0.0, -2.34567], n) * (1 + np.arange(2 * n) / 70), 5)
    loss = np.round(-0.51231 * (1 + np.arange(2 * n) / 90), 5)
    frame = pd.DataFrame(
        {
            "Time": np.repeat(starts, 2),
            "Interval Start": np.repeat(starts, 2),
            "Interval End": np.repeat(starts + pd.Timedelta("5min"), 2),
            "Market": "REAL_TIME_5_MIN",
            "Location": ["TH_NP15_GEN-APND", "TH_SP15_GEN-APND"] * n,
            "Location Type": "Trading Hub",
        }
    )
    parts = {"Energy": energy, "Congestion": congestion, "Loss": loss}
    total = np.round(sum(parts.values()), 5)
    return frame.assign(LMP=total, **parts, GHG=0.0)


def csv(frame: pd.DataFrame, *, index: bool = False) -> str:
    return frame.to_csv(index=index)


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def test_prices_of_ercot(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", csv(spp()))

    assert table.dataset == "ercot-spp-day-ahead-hourly"
    assert table.columns == ["price_per_kwh@hb_north", "price_per_kwh@lz_west"]
    assert table.frame.iloc[1].tolist() == pytest.approx([0.02075, 0.02112])
    assert table.starts[24 + 2] == pd.Timestamp("2024-11-03T01:00-06:00")
    known = table.available_at["price_per_kwh@hb_north"]
    assert known[0] == pd.Timestamp("2024-11-01T13:30-05:00")


@pytest.mark.parametrize("frame", [spp(), lmp(), spp(8, "REAL_TIME_15_MIN", freq="15min")])
def test_parquet_and_saved_row_numbers_read_alike(read_market: Any, frame: pd.DataFrame) -> None:
    (expected,) = read_market(FORMATS, "x.csv", csv(frame))

    for content in (parquet(frame), csv(frame, index=True)):
        (table,) = read_market(FORMATS, "x", content)

        assert table.dataset == expected.dataset
        pd.testing.assert_frame_equal(table.frame, expected.frame)


def test_components_of_caiso(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", csv(lmp()))

    first = table.frame.iloc[0]
    assert (table.dataset, table.period_s) == ("caiso-lmp-real-time-5-min", 300)
    assert first["real_time_price_per_kwh@th_np15_gen-apnd"] == pytest.approx(0.03072225)
    assert first["price_energy_per_kwh@th_np15_gen-apnd"] == pytest.approx(0.03123456)
    assert first["price_congestion_per_kwh@th_sp15_gen-apnd"] == pytest.approx(-0.0023792, rel=1e-3)
    assert first["price_ghg_per_kwh@th_sp15_gen-apnd"] == 0.0


def test_several_markets_are_several_tables(read_market: Any) -> None:
    frame = pd.concat([spp(24), spp(8, "REAL_TIME_15_MIN", freq="15min")])

    day_ahead, real_time = read_market(FORMATS, "x.csv", csv(frame))

    assert day_ahead.dataset == "ercot-spp-day-ahead-hourly"
    assert (real_time.dataset, real_time.period_s) == ("ercot-spp-real-time-15-min", 900)
    assert real_time.columns[0] == "real_time_price_per_kwh@hb_north"


def test_other_operators_are_named_by_the_area(read_market: Any) -> None:
    frame = lmp().drop(columns="GHG").assign(Market="REAL_TIME_5_MIN")

    (unnamed,) = read_market(FORMATS, "x.csv", csv(frame))
    (named,) = read_market(FORMATS, "x.csv", csv(frame), area="NYISO")

    assert unnamed.dataset == "us-iso-lmp-real-time-5-min"
    assert named.dataset == "nyiso-lmp-real-time-5-min"


def test_day_ahead_of_an_unnamed_operator_is_known_at_its_start(read_market: Any) -> None:
    frame = spp(24).rename(columns={"SPP": "LMP"})

    (unnamed,) = read_market(FORMATS, "x.csv", csv(frame))
    (named,) = read_market(FORMATS, "x.csv", csv(frame), area="pjm")

    assert (unnamed.available_at["price_per_kwh@hb_north"] == unnamed.starts).all()
    known = named.available_at["price_per_kwh@hb_north"]
    assert known[0] == pd.Timestamp("2024-11-01T13:30-04:00")


def test_load_needs_its_operator(read_market: Any) -> None:
    starts = pd.date_range("2024-03-10", periods=23, freq="1h", tz="US/Eastern")
    frame = pd.DataFrame(
        {
            "Time": starts,
            "Interval Start": starts,
            "Interval End": starts + pd.Timedelta("1h"),
            "Load": 15000.5 + np.arange(23),
        }
    )

    (table,) = read_market(FORMATS, "x.csv", csv(frame), area="nyiso")

    assert (table.dataset, table.column("demand_kw@nyiso")[0]) == ("nyiso-load", 15000.5e3)
    with pytest.raises(FileFormatError, match="give the area: ercot, caiso"):
        read_market(FORMATS, "x.csv", csv(frame))
    with pytest.raises(DataError, match="the load of pjm"):
        read_market(FORMATS, "x.csv", csv(frame), area="pjm")


def fuel_mix(n: int = 24) -> pd.DataFrame:
    times = pd.date_range("2024-06-01 12:00", periods=n, freq="5min", tz="US/Central")
    names = ["Coal and Lignite", "Hydro", "Nuclear", "Power Storage", "Solar", "Wind"]
    names += ["Natural Gas", "Other"]
    levels = [9000.27, 80.51, 5000.13, -500.53, 18000.77, 9000.51, 25000.29, 10.57]
    columns = {
        name: np.round(level + 0.37 * np.arange(n), 2)
        for name, level in zip(names, levels, strict=True)
    }
    return pd.DataFrame({"Time": times, **columns})


def test_fuel_mix_of_ercot(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", csv(fuel_mix()))

    assert (table.dataset, table.period_s) == ("ercot-fuel-mix", 300)
    assert table.starts[0] == pd.Timestamp("2024-06-01T11:55-05:00")
    assert table.available_at["wind_kw@ercot"][0] == pd.Timestamp("2024-06-01T12:00-05:00")
    assert table.column("battery_kw@ercot")[0] == pytest.approx(-500_530.0)
    assert table.column("solar_kw@ercot")[0] == pytest.approx(18_000_770.0)


def test_sun_at_night_is_refused(read_market: Any) -> None:
    frame = fuel_mix()
    frame["Time"] = frame["Time"] + pd.Timedelta("12h")

    with pytest.raises(DataError, match=r"column Solar, value '18000\.77'"):
        read_market(FORMATS, "x.csv", csv(frame))


def curtailment() -> pd.DataFrame:
    starts = pd.date_range("2025-06-02", periods=24, freq="1h", tz="US/Pacific")
    kinds = [("Economic", "Local"), ("Economic", "System"), ("SelfSchCut", "Local")]
    rows = [
        (start, start + pd.Timedelta("1h"), kind, reason, fuel, 10.25 * (k + 1), 20.5 * (k + 1))
        for k, start in enumerate(starts)
        for kind, reason in kinds
        for fuel in ("Solar", "Wind")
    ]
    names = "Interval Start,Interval End,Curtailment Type,Curtailment Reason,Fuel Type,"
    names += "Curtailment MWH,Curtailment MW"
    return pd.DataFrame(rows, columns=names.split(","))


def test_curtailment_is_the_sum_of_types_and_reasons(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", csv(curtailment()))

    assert table.columns == ["solar_curtailed_kw@caiso", "wind_curtailed_kw@caiso"]
    assert table.column("solar_curtailed_kw@caiso")[:2].tolist() == [30_750.0, 61_500.0]


def test_curtailment_is_known_at_noon_of_the_next_day(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", csv(curtailment()))

    known = table.available_at["solar_curtailed_kw@caiso"].tz_convert("America/Los_Angeles")
    days = table.starts.tz_convert("America/Los_Angeles").normalize().tz_localize(None)
    assert (known.tz_localize(None) == days + pd.Timedelta(hours=36)).all()


@pytest.mark.parametrize(
    ("iso", "market", "days"),
    [
        ("miso", "REAL_TIME_5_MIN", 0),
        ("miso", "REAL_TIME_5_MIN_FINAL", 7),
        ("miso", "REAL_TIME_HOURLY_FINAL", 7),
        ("miso", "REAL_TIME_HOURLY_PRELIM", 7),
        ("pjm", "REAL_TIME_HOURLY", 7),
        ("pjm", "REAL_TIME_5_MIN", 7),
        (None, "REAL_TIME_5_MIN", 7),
    ],
)
def test_prices_that_are_settled_later_are_known_later(
    read_market: Any, iso: str | None, market: str, days: int
) -> None:
    frame = lmp().drop(columns="GHG").assign(Market=market)
    if "HOURLY" in market:
        starts = pd.date_range("2024-06-01", periods=30, freq="1h", tz="US/Pacific").repeat(2)
        frame["Time"] = frame["Interval Start"] = starts
        frame["Interval End"] = starts + pd.Timedelta("1h")
        for name in ("LMP", "Energy", "Congestion", "Loss"):
            frame[name] = frame[name].round(2)
        frame["LMP"] = (frame["Energy"] + frame["Congestion"] + frame["Loss"]).round(2)

    options = {} if iso is None else {"area": iso}
    (table,) = read_market(FORMATS, "x.csv", csv(frame), **options)

    ends = table.starts + pd.Timedelta(seconds=table.period_s)
    for known in table.available_at.values():
        assert (known == ends + pd.Timedelta(days=days)).all()


def test_curtailment_that_lacks_a_row_is_no_smaller_sum(read_market: Any) -> None:
    with pytest.raises(TimeGridError, match="Economic System Wind has no row"):
        read_market(FORMATS, "x.csv", csv(curtailment().drop(index=9)))


def test_sparse_reports_of_curtailment_are_refused(read_market: Any) -> None:
    frame = curtailment().rename(
        columns={"Curtailment MWH": "Curtailment (MWh)", "Curtailment MW": "Curtailment (MW)"}
    )
    with pytest.raises(FileFormatError, match=r"unexpected .*Curtailment\(MWh\)"):
        read_market(FORMATS, "x.csv", csv(frame))


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (spp().drop(columns="Market"), FileFormatError, "the column Market is missing"),
        (spp(market="REAL_TIME_SCED"), FileFormatError, "REAL_TIME_SCED.*one length"),
        (spp(market="REAL_TIME_15_MIN"), TimeGridError, "3600 s; 900 s"),
        (spp().assign(Extra=1), FileFormatError, "unexpected or doubled columns Extra"),
        (lmp().assign(Loss=0.0), DataError, "not the sum of its components"),
        (lmp().rename(columns={"Energy": "Loss", "Loss": "Energy"}), FileFormatError, "order"),
        (
            lmp().assign(Energy=lmp()["Loss"], Loss=lmp()["Energy"]),
            DataError,
            "the columns may be exchanged",
        ),
        (spp().drop(index=[7]), TimeGridError, "lz_west has no row at 2024-11-02 08:00"),
        (pd.concat([spp(), spp()]), TimeGridError, "stands here again"),
        (
            spp().assign(**{"Interval Start": spp()["Interval Start"].dt.tz_localize(None)}),
            DataError,
            "not a time like",
        ),
        (
            spp().assign(**{"Location": "Load Zone", "Location Type": "LZ_WEST"}),
            DataError,
            "'Load Zone': no name of a location",
        ),
        (spp().assign(Time=spp()["Interval End"]), TimeGridError, "not the start"),
    ],
)
def test_damage_is_named(
    read_market: Any, frame: pd.DataFrame, error: type[DataError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_market(FORMATS, "x.csv", csv(frame))


def test_area_that_is_no_operator_or_another_is_refused(read_market: Any) -> None:
    with pytest.raises(FileFormatError, match="the area is the operator: ercot"):
        read_market(FORMATS, "x.csv", csv(spp()), area="hb_north")
    with pytest.raises(FileFormatError, match="a frame of ercot, but the area caiso"):
        read_market(FORMATS, "x.csv", csv(spp()), area="caiso")


def test_no_damaged_frame_gives_a_wrong_table(fuzz: Any) -> None:
    # Parts of one price can change places and still add up, and a file that does not name its
    # columns' units cannot show that all of them were changed.
    fuzz(FORMATS, "x.csv", csv(spp()), n=190)
    fuzz(FORMATS, "x.csv", csv(lmp()), n=190, skip=["swap values"])
    fuzz(FORMATS, "x.csv", csv(curtailment()), n=190, skip=["a tenth", "a thousandth"])
    fuzz(FORMATS, "x.csv", csv(fuel_mix()), n=190, skip=["swap values"])


def test_no_damaged_parquet_gives_a_wrong_table(read_market: Any) -> None:
    content = parquet(spp())
    (truth,) = read_market(FORMATS, "x", content)
    rng = np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 3):
            damaged[at] ^= int(rng.integers(1, 256))
        try:
            (table,) = read_market(FORMATS, "x", bytes(damaged))
        except DataError:
            continue
        assert set(truth.columns) >= set(table.columns)
