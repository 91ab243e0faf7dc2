"""Supply and demand of made-up days, written in each utility's exact format."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.area_columns import AREAS, SOURCES
from gridhash.data.source_table import SourceTable

Values = dict[str, npt.NDArray[np.int64]]

SUPPLY_QUANTITIES = [
    "demand_kw",
    "nuclear_kw",
    "thermal_lng_kw",
    "thermal_coal_kw",
    "thermal_oil_kw",
    "thermal_other_kw",
    "thermal_curtailed_kw",
    "hydro_kw",
    "geothermal_kw",
    "biomass_kw",
    "biomass_curtailed_kw",
    "solar_kw",
    "solar_curtailed_kw",
    "wind_kw",
    "wind_curtailed_kw",
    "pumped_hydro_kw",
    "battery_kw",
    "interconnector_kw",
    "other_kw",
    "supply_kw",
]
SUPPLY_HEADER = (
    "DATE,TIME,エリア需要,原子力,火力(LNG),火力(石炭),火力(石油),火力(その他),火力出力制御量,水力,地熱,"
    "バイオマス,バイオマス出力制御量,太陽光発電実績,太陽光出力制御量,風力発電実績,風力出力制御量,"
    "揚水,蓄電池,連系線,その他,合計"
)
CURTAILED_22 = ("thermal_curtailed_kw", "biomass_curtailed_kw")
WITH_22_COLUMNS = {"hokkaido", "tohoku", "hokuriku", "chugoku", "okinawa"}

USUAL = [
    "demand_kw",
    "nuclear_kw",
    "thermal_kw",
    "hydro_kw",
    "geothermal_kw",
    "biomass_kw",
    "solar_kw",
    "solar_curtailed_kw",
    "wind_kw",
    "wind_curtailed_kw",
    "pumped_hydro_kw",
    "interconnector_kw",
]
TOHOKU = [
    "demand_kw",
    "hydro_kw",
    "thermal_kw",
    "nuclear_kw",
    "solar_kw",
    "solar_curtailed_kw",
    "wind_kw",
    "wind_curtailed_kw",
    "geothermal_kw",
    "biomass_kw",
    "pumped_hydro_kw",
    "interconnector_kw",
]


def made_up(
    area: str, first: date, n_slots: int, slots_per_day: int, *, step: int = 1, seed: int = 1
) -> Values:
    """Return values [MW] that balance, with the sun and within the bounds of the area."""
    rng = np.random.default_rng(seed)
    bounds = AREAS[area]
    caps = bounds.capacity_mw
    longitude = (bounds.box[2] + bounds.box[3]) / 2
    hours = (np.arange(n_slots) % slots_per_day + 0.5) * 24 / slots_per_day
    height = np.cos((hours - 12 + (longitude - 135) / 15) * np.pi / 10.5)
    sun = np.where(abs(hours - 12 + (longitude - 135) / 15) < 5.25, np.maximum(height, 0), 0)

    def steps(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        return step * np.round(values / step).astype(np.int64)

    def around(share: float, name: str) -> npt.NDArray[np.int64]:
        return steps(share * caps[name] * rng.uniform(0.8, 1.2, n_slots))

    potential = 0.3 * caps["solar_kw"] * sun * rng.uniform(0.9, 1.1, n_slots)
    limit = 0.2 * caps["solar_kw"]
    values = {
        "nuclear_kw": around(0.4, "nuclear_kw"),
        "hydro_kw": around(0.35, "hydro_kw"),
        "geothermal_kw": around(0.5, "geothermal_kw"),
        "biomass_kw": around(0.3, "biomass_kw"),
        "biomass_curtailed_kw": steps(0.01 * caps["biomass_kw"] * sun),
        "solar_kw": steps(np.minimum(potential, limit)),
        "solar_curtailed_kw": steps(np.maximum(potential - limit, 0.0)),
        "wind_kw": around(0.3, "wind_kw"),
        "wind_curtailed_kw": steps(0.05 * caps["wind_kw"] * (sun > 0.9)),
        "pumped_hydro_kw": around(0.4, "pumped_hydro_kw") * np.where(sun > 0.5, -1, 1),
        "battery_kw": around(0.1, "battery_kw") * np.where(sun > 0.5, -1, 1),
        "interconnector_kw": around(0.3, "interconnector_kw") * np.where(hours < 20, -1, 1),
        "other_kw": around(0.1, "other_kw"),
    }
    middle = np.sqrt(bounds.demand_median_mw[0] * bounds.demand_median_mw[1])
    demand = middle * (1 + 0.15 * np.sin((hours - 9) * np.pi / 12))
    given = sum(v for name, v in values.items() if name in SOURCES)
    thermal = np.maximum(demand - given, 0.08 * caps["thermal_kw"])
    kinds = ("lng", "coal", "oil", "other")
    room = [caps[f"thermal_{kind}_kw"] for kind in kinds]
    for kind, share in zip(kinds, room, strict=True):
        values[f"thermal_{kind}_kw"] = steps(thermal * share / sum(room))
    values["thermal_curtailed_kw"] = steps(0.1 * caps["thermal_kw"] * sun)
    values["thermal_kw"] = np.sum([values[f"thermal_{kind}_kw"] for kind in kinds], axis=0)
    total = np.sum([values[n] for n in SOURCES if n != "thermal_kw" and n in values], axis=0)
    values["demand_kw"] = values["supply_kw"] = total
    return values


def legacy(values: Values) -> Values:
    """Return the same for the hourly files, which know neither batteries nor other sources."""
    kept = {name: values[name].copy() for name in USUAL}
    kept["demand_kw"] -= values["battery_kw"] + values["other_kw"]
    return kept | {"supply_kw": kept["demand_kw"]}


@dataclass
class AreaFile:
    """Text cells of one file, to be damaged and written."""

    folder: Path
    name: str
    head: list[str]
    rows: list[list[str]]
    encoding: str = "cp932"
    line_end: str = "\r\n"
    quoted: bool = False
    truth: pd.DataFrame = field(default_factory=pd.DataFrame)

    def write(self) -> Path:
        """Write the file as it stands."""
        path = self.folder / self.name
        lines = [",".join(f'"{c}"' if self.quoted else c for c in row) for row in self.rows]
        head = [
            ",".join(f'"{c}"' for c in line.split(",")) if self.quoted else line
            for line in self.head
        ]
        text = "".join(line + self.line_end for line in [*head, *lines])
        path.write_bytes(text.encode(self.encoding))
        return path

    def column(self, name: str) -> int:
        """Return the position of a column of the last header line that has its name."""
        for line in reversed(self.head):
            if name in line.split(","):
                return line.split(",").index(name)
        raise KeyError(name)


def expected(area: str, values: Values, first: date, slots_per_day: int) -> pd.DataFrame:
    """Return the frame [kW] that a reader must give."""
    n_rows = len(next(iter(values.values())))
    starts = pd.date_range(
        pd.Timestamp(first, tz="Asia/Tokyo").tz_convert("UTC"),
        periods=n_rows,
        freq=pd.Timedelta(days=1) / slots_per_day,
    )
    return pd.DataFrame(
        {f"{name}@{area}": 1000.0 * value for name, value in values.items()}, index=starts
    )


def supply_file(
    folder: Path, area: str, *, first: date = date(2026, 4, 1), n_slots: int = 100, seed: int = 1
) -> AreaFile:
    """Return `eria_jukyu_YYYYMM_NN.csv` of an area as it publishes it."""
    values = made_up(area, first, n_slots, 48, seed=seed)
    kyushu = area == "kyushu"
    header = SUPPLY_HEADER.split(",")
    names = SUPPLY_QUANTITIES
    if area not in WITH_22_COLUMNS:
        header = [h for h in header if h not in ("火力出力制御量", "バイオマス出力制御量")]
        names = [n for n in names if n not in CURTAILED_22]
    if area in ("kansai", "kyushu"):
        header = [h.replace("(", "（").replace(")", "）") for h in header]
    if kyushu:
        header = [h.replace("LNG", "ＬＮＧ") for h in header]
    values = {name: values[name] for name in names}
    truth = expected(area, values, first, 48)
    rows = []
    for slot in range(n_slots):
        day = first + timedelta(days=slot // 48)
        end = 30 * (slot % 48 + kyushu)
        clock = f"{end // 60}:{end % 60:02d}"
        label = f"{day.year}/{day.month}/{day.day}"
        if area in ("chubu", "chugoku", "hokkaido"):
            clock = clock.zfill(5)
        if area in ("chubu", "hokkaido"):
            label = f"{day:%Y/%m/%d}"
        if kyushu:
            label = f"{day:%Y%m%d}"
        cells = [
            str(-v[slot] if kyushu and name == "interconnector_kw" else v[slot])
            for name, v in values.items()
        ]
        rows.append([label, clock, *cells])
    head = ["単位[MW平均],,,供給力", ",".join(header)]
    name = f"eria_jukyu_{first:%Y%m}_{AREAS[area].number:02d}.csv"
    encoding = "utf-8" if area == "tokyo" else "cp932"
    return AreaFile(folder, name, head, rows, encoding, quoted=kyushu, truth=truth)


_NOTES_CHUBU = [
    "・エリア供給力は、特定できるものは電源種別とし、特定できないものは火力に包含",
    "・実績データを基本とする",
    ",,,,,,,,,,,,,単位：MWh",
]
_UNITS = "〔MWh〕"
LEGACY_HEADS: dict[str, list[str]] = {
    "hokkaido": [
        "単位[MWh],,,,,,,,,,,,,,",
        ",,,供給力,,,,,,,,,,,",
        "月日,時刻,エリア需要,原子力,火力,水力,地熱,バイオマス,太陽光実績,太陽光抑制量,風力実績,"
        "風力抑制量,揚水,連系線,供給力合計",
        ",,,,,,,,,,,,,,",
    ],
    "tohoku": [
        "DATE_TIME,エリア需要〔MWh〕,水力〔MWh〕,火力〔MWh〕,原子力〔MWh〕,太陽光実績〔MWh〕,"
        "太陽光抑制量〔MWh〕,風力実績〔MWh〕,風力抑制量〔MWh〕,地熱〔MWh〕,バイオマス〔MWh〕,"
        "揚水〔MWh〕,連系線〔MWh〕"
    ],
    "tokyo": [
        "単位[万kWh],,,,,,,,,,,,,,",
        "DATE,TIME,東京エリア需要,供給力,,,,,,,,,,,",
        ",,,原子力,火力,水力,地熱,バイオマス,太陽光発電実績,太陽光出力制御量,風力発電実績,"
        "風力出力制御量,揚水,連系線,合計",
    ],
    "chubu": [
        *_NOTES_CHUBU,
        "DATE,TIME,エリア需要,原子力,火力,水力,地熱,バイオマス,太陽光（実績）,"
        "太陽光（出力制御量）,風力（実績）,風力（出力制御量）,揚水,連系線",
    ],
    "hokuriku": [
        "※データは速報値であり、推計値などが含まれます,,,,,,,,,,,,,",
        "※四捨五入の関係で合計が合わないことがあります,,,,,,,,,,,,,",
        ",,エリア需要,原子力,火力,水力,地熱,バイオマス,太陽光実績,太陽光抑制量,風力実績,"
        "風力抑制量,揚水,連系線",
        "DATE,TIME,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh",
    ],
    "kansai": [
        ",,,,,,,太陽光,太陽光,風力,風力,,",
        "DATE_TIME,エリア需要〔MWh〕,原子力〔MWh〕,火力〔MWh〕,水力〔MWh〕,地熱〔MWh〕,"
        "バイオマス〔MWh〕,実績〔MWh〕,抑制量〔MWh〕,実績〔MWh〕,抑制量〔MWh〕,揚水〔MWh〕,"
        "連系線〔MWh〕",
    ],
    "chugoku": [
        "供給区域の需給実績,,,,,,,,,,,,,",
        ",,需要実績(MWh),供給実績(MWh),,,,,,,,,,",
        "DATE,TIME,需要,原子力,火力,水力,地熱,バイオマス,太陽光(実績),太陽光(抑制量),"
        "風力(実績),風力(抑制量),揚水,連系線潮流",
    ],
    "shikoku": [
        '"　・年間8,784時間のエリア電力需要実績(送電端)とエリア供給力実績(送電端)",,,,,,,,,,,,,,',
        ",,,,,,,,,,,,,,（単位：万ｋW）",
        "DATE,TIME,エリア需要,供給力,,,,,,,,,,,",
        ",,,原子力,火力,水力,地熱,バイオマス,太陽光,,風力,,揚水,連系線,合計",
        ",,,,,,,,実績,制御量,実績,制御量,,,",
    ],
}
LEGACY_HEADS["kyushu"] = [line.replace("揚水", "揚水等") for line in LEGACY_HEADS["kansai"]]
LEGACY_NAMES = {
    "hokkaido": "sup_dem_results_2023_1q.csv",
    "tohoku": "juyo_2023_tohoku_1Q.txt",
    "tokyo": "area-2023.csv",
    "chubu": "2023_areabalance_current_term.csv",
    "hokuriku": "area_jisseki_rikuden202304.csv",
    "kansai": "area_jyukyu_jisseki_2023.csv",
    "kyushu": "area_jyukyu_jisseki_2023_1Q.csv",
    "chugoku": "kako-2023.csv",
    "shikoku": "jukyu2023.csv",
}
TEN_MW = {"tokyo", "shikoku"}
WITH_TOTAL = {"hokkaido", "tokyo", "shikoku"}
BLANK = {
    "chugoku": ("wind_curtailed_kw", "－"),
    "hokuriku": ("geothermal_kw", ""),
    "shikoku": ("geothermal_kw", "－"),
}


def legacy_file(
    folder: Path, area: str, *, first: date = date(2023, 4, 1), n_hours: int = 58, seed: int = 1
) -> AreaFile:
    """Return the hourly file of an area as it published it."""
    step = 10 if area in TEN_MW else 1
    values = legacy(made_up(area, first, n_hours, 24, step=step, seed=seed))
    names = [*(TOHOKU if area == "tohoku" else USUAL), *(["supply_kw"] * (area in WITH_TOTAL))]
    values = {name: values[name] for name in names}
    truth = expected(area, values, first, 24)
    rows = []
    if area in BLANK:
        without, _ = BLANK[area]
        if without in SOURCES:
            values["demand_kw"] -= values[without]
        truth = expected(area, values, first, 24)
        truth[f"{without}@{area}"] = np.nan
    for hour in range(n_hours):
        day = first + timedelta(days=hour // 24)
        label = f"{day:%Y/%m/%d}" if area == "chubu" else f"{day.year}/{day.month}/{day.day}"
        clock = f"{hour % 24}:00"
        times = [label, clock.zfill(5) if area == "chubu" else clock]
        if area in ("tohoku", "kansai", "kyushu"):
            times = [f"{label} {clock}"]
        if area == "hokkaido":
            times = ["" if hour % 24 else label, f"{hour % 24}時"]
        cells = [str(v[hour] // step) for v in values.values()]
        if area == "tokyo":
            cells = [f'"{int(c):,}"' if abs(int(c)) > 999 else c for c in cells]
        if area in BLANK:
            cells[names.index(BLANK[area][0])] = BLANK[area][1]
        rows.append([*times, *cells])
    encoding = "utf-8-sig" if area == "shikoku" else "cp932"
    head = list(LEGACY_HEADS[area])
    return AreaFile(folder, LEGACY_NAMES[area], head, rows, encoding, truth=truth)


def wrong_where(table: SourceTable, truth: pd.DataFrame) -> str:
    """Return what of a table is not true, empty if it is right wherever it has rows."""
    frame = table.frame
    if not frame.index.isin(truth.index).all():
        return "rows at times that the truth does not have"
    if list(frame.columns) != list(truth.columns):
        return f"columns {list(frame.columns)}"
    there = truth.loc[frame.index]
    for name in frame.columns:
        bad = ~np.isclose(frame[name], there[name], rtol=0, atol=1e-6, equal_nan=True)
        bad &= frame[name].notna().to_numpy()
        if bad.any():
            return f"{name} at {frame.index[int(np.argmax(bad))]}"
    return ""
