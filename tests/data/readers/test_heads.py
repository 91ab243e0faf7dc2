"""`import` reads the head of every official file that was seen, and no example as anything else."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data.import_files import import_files
from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.recognise import FORMATS, read_file
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.store.store import Store

ROOT = Path(__file__).parents[3]
EXAMPLES = Path(__file__).parent / "examples"
AREA = {"AREA_ONCE_YOSOKU.csv": "tokyo", "AREA_YOSOKU.csv": "tokyo"}

# A head on two lines: file, dataset, rows, columns, first start; first column, its first value,
# last column, its last value.
HEADS = """
21110_TSO9_0_20250407.csv area-forecast-kyushu 48 3 2025-04-06T15:00Z
  demand_forecast_kw@kyushu 7316000.0 wind_solar_forecast_kw@kyushu 40068.0
AREA_ONCE_YOSOKU.csv area-forecast-day-ahead-tokyo 48 3 2025-04-16T15:00Z
  demand_forecast_kw@tokyo 23827000.0 wind_solar_forecast_kw@tokyo 148326.0
AREA_YOSOKU.csv area-forecast-tokyo 48 3 2025-04-15T15:00Z
  demand_forecast_kw@tokyo 24076000.0 wind_solar_forecast_kw@tokyo 266332.0
aemo_PRICE_AND_DEMAND_head.csv aemo-vic1 19 2 2024-11-30T14:00Z
  real_time_price_per_kwh@vic1 0.09184 demand_kw@vic1 3715880.0
area_jyukyu_jisseki_2016.csv area-supply-hourly-kansai 48 12 2016-03-31T15:00Z
  demand_kw@kansai 12918000.0 interconnector_kw@kansai 1794000.0
eria_jukyu_202603_04.csv area-supply-chubu 100 18 2026-02-28T15:00Z
  demand_kw@chubu 10846000.0 supply_kw@chubu 12378000.0
eria_jukyu_202604_01.csv area-supply-hokkaido 100 20 2026-03-31T15:00Z
  demand_kw@hokkaido 2930000.0 supply_kw@hokkaido 3030000.0
eria_jukyu_202604_03.csv area-supply-tokyo 100 18 2026-03-31T15:00Z
  demand_kw@tokyo 23907000.0 supply_kw@tokyo 24469000.0
eria_jukyu_202604_05.csv area-supply-hokuriku 100 20 2026-03-31T15:00Z
  demand_kw@hokuriku 2533000.0 supply_kw@hokuriku 2728000.0
eria_jukyu_202604_06.csv area-supply-kansai 100 18 2026-03-31T15:00Z
  demand_kw@kansai 11575000.0 supply_kw@kansai 12193000.0
eria_jukyu_202604_07.csv area-supply-chugoku 100 20 2026-03-31T15:00Z
  demand_kw@chugoku 5201000.0 supply_kw@chugoku 5520000.0
eria_jukyu_202604_08.csv area-supply-shikoku 100 18 2026-03-31T15:00Z
  demand_kw@shikoku 2102000.0 supply_kw@shikoku 2266000.0
eria_jukyu_202604_09.csv area-supply-kyushu 100 18 2026-03-31T15:00Z
  demand_kw@kyushu 7838000.0 supply_kw@kyushu 7700000.0
eria_jukyu_202604_10.csv area-supply-okinawa 100 20 2026-03-31T15:00Z
  demand_kw@okinawa 714000.0 supply_kw@okinawa 632000.0
jepx_fit_fip_2024_head_utf8.csv jepx-fit-fip 9 20 2024-03-31T15:00Z
  avoidable_cost_per_kwh@japan 8.59 fip_reference_price_per_kwh@kyushu 8.89
jepx_intraday_2024_head_utf8.csv jepx-intraday 48 7 2024-03-31T15:00Z
  price_open_per_kwh@japan 10.1 n_trades@japan 258.0
jepx_spot_summary_2023_head_cp932.csv jepx-spot 48 17 2023-03-31T15:00Z
  sell_bid_kwh@japan 17694200.0 buy_block_contract_kwh@japan 1058800.0
jepx_virtualprice_2024_head_utf8.csv jepx-virtual-price 9 7 2024-03-31T15:00Z
  price_per_kwh@system 8.57 price_if_bought_5000mw_per_kwh@system 11.95
juyo_2016_tohoku_1Q.csv area-supply-hourly-tohoku 48 12 2016-03-31T15:00Z
  demand_kw@tohoku 7887000.0 interconnector_kw@tohoku -2046000.0
legacy_chubu_2023_areabalance_current_term.csv area-supply-hourly-chubu 55 12 2023-03-31T15:00Z
  demand_kw@chubu 11570000.0 interconnector_kw@chubu 1944000.0
legacy_chugoku_eria_jyukyu.csv area-supply-hourly-chugoku 57 12 2021-03-31T15:00Z
  demand_kw@chugoku 5202000.0 interconnector_kw@chugoku 81000.0
legacy_chugoku_kako-2020.csv area-supply-hourly-chugoku 57 12 2020-03-31T15:00Z
  demand_kw@chugoku 5282000.0 interconnector_kw@chugoku 123000.0
legacy_hokkaido_sup_dem_results_2023_3q.csv area-supply-hourly-hokkaido 56 13 2023-09-30T15:00Z
  demand_kw@hokkaido 2362000.0 supply_kw@hokkaido 2890000.0
legacy_hokuriku_area_jisseki_rikuden202312.csv area-supply-hourly-hokuriku 54 12 2023-11-30T15:00Z
  demand_kw@hokuriku 3105000.0 interconnector_kw@hokuriku -588000.0
legacy_kansai_area_jyukyu_jisseki_2023.csv area-supply-hourly-kansai 58 12 2023-03-31T15:00Z
  demand_kw@kansai 11734000.0 interconnector_kw@kansai 980000.0
legacy_kyushu_area_jyukyu_jisseki_2023_3Q.csv area-supply-hourly-kyushu 58 12 2023-09-30T15:00Z
  demand_kw@kyushu 7625000.0 interconnector_kw@kyushu -2316000.0
legacy_shikoku_jukyu2023.csv area-supply-hourly-shikoku 51 13 2023-03-31T15:00Z
  demand_kw@shikoku 2250000.0 supply_kw@shikoku 2250000.0
legacy_tohoku_juyo_2023_tohoku_3Q.txt area-supply-hourly-tohoku 59 12 2023-09-30T15:00Z
  demand_kw@tohoku 6289000.0 interconnector_kw@tohoku -4725000.0
realtime_jukyu_20260415_02.csv area-supply-tohoku 43 20 2026-04-14T15:00Z
  demand_kw@tohoku 7224000.0 supply_kw@tohoku 7985000.0
sup_dem_results_2016_1q.csv area-supply-hourly-hokkaido 48 13 2016-03-31T15:00Z
  demand_kw@hokkaido 3166000.0 supply_kw@hokkaido 3338000.0
"""


def heads() -> list[list[str]]:
    """Return the words of each head."""
    lines = HEADS.strip().splitlines()
    return [f"{one} {two}".split() for one, two in zip(lines[::2], lines[1::2], strict=True)]


@pytest.mark.parametrize("words", heads(), ids=lambda words: words[0])
def test_head_is_imported_as_what_it_is(
    reference_data: Path, tmp_path: Path, words: list[str]
) -> None:
    name, dataset, rows, columns, start, first, first_value, last, last_value = words
    store = Store(tmp_path / "store")

    (outcome,) = import_files(
        [reference_data / "formats" / name],
        store=store,
        now=datetime(2026, 1, 1, tzinfo=UTC),
        options=ReadOptions(area=AREA.get(name)),
    )

    assert outcome.error == ""
    table = store.read(dataset)
    assert (len(table), len(table.columns)) == (int(rows), int(columns))
    assert table.starts[0] == pd.Timestamp(start)
    assert table.column(first)[0] == float(first_value)
    assert table.column(last)[-1] == float(last_value)


def test_every_head_is_in_the_table(reference_data: Path) -> None:
    listed = {words[0] for words in heads()}
    assert {path.name for path in (reference_data / "formats").iterdir()} == listed


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_example_bears_the_sign_of_one_format(path: Path) -> None:
    file = SourceFile.load(path)
    signs = [form.key for form in FORMATS if form.sign(file) is not None]
    assert len(signs) == 1
    for table in read_file(path).tables:
        assert np.isfinite(table.frame.to_numpy()).any()


def test_damaged_examples_are_refused_or_read_rightly() -> None:
    """A small part of the campaign of docs/results/data.md, on the examples alone."""
    run = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts" / "fuzz_readers.py",
            *("--corpus", EXAMPLES, "--mutations", "1500", "--jobs", "1"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "| truncated |" in run.stdout
