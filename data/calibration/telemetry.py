"""The telemetry of a site's journal, as arrays per rig beside the commands that rigs obeyed.

The journal is read as a file format, SQLite of format version 1 to 3, and only read: the tables
`runs`, `rigs`, `readings`, `intents`, `results`, `verifications` and `changes`. What cannot be used
is left out and counted.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.errors import DataError, FileFormatError

Floats = npt.NDArray[np.float64]

FORMAT_VERSION = 3
"""Newest journal format that is understood."""

STOP, RESUME, SET_LEVEL = "stop", "resume", "set_work_level"
UNPROVEN_RESUME = "unproven resume"
ACKNOWLEDGED = ("applied", "pending", "accepted")
"""Outcomes of a command that the rig acknowledged; older journals say the last."""
REACHED = (*ACKNOWLEDGED, "unknown")
"""Outcomes of commands that the rig may have acted on."""
PROVEN = ("verified", "verified late")
"""Verdicts by which watts proved a command."""

MOST_READINGS = 6_000_000
"""The newest so many are used: a day of 540 rigs read every ten seconds is 4.7 million."""
CHUNK_ROWS = 200_000

STALE_AFTER_S = 2.0
"""An uptime that stands still for so long belongs to an answer that was given before."""

MEASURED = ("power_kw", "hashrate_ths", "chip_temp_c", "inlet_temp_c")

COLUMNS = {
    "runs": "id, site_json",
    "rigs": "run_id, rig_id, group_name, model, firmware",
    "readings": "run_id, at, rig_id, power_kw, hashrate_ths, chip_temp_c, inlet_temp_c, uptime_s, "
    "not_numbers",
    "intents": "id, run_id, at, rig_id, command, level",
    "results": "intent_id, outcome, effective_at",
    "verifications": "intent_id, verdict",
    "changes": "run_id, at, rig_id, running, cause",
}
"""Columns that are read, by table."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a rig was told, or what befell it, in the order of time."""

    sent_s: float
    """Seconds since 1970; before it the rig is as it was."""
    effective_s: float
    """When the rig acts; between the two nothing is known."""
    kind: str
    """`stop`, `resume`, `set_work_level`, `run` (a new run: state from watts), `unproven resume`
    (the rig accepted it and watts did not prove it in time: it may start yet) or `unknown`."""
    level_frac: float = np.nan
    """Load fraction of a work level."""


@dataclass(frozen=True, kw_only=True)
class RigTelemetry:
    """Readings of one rig by rising time, NaN where it did not tell, and what it was told."""

    rig_id: str
    group: str
    model: str
    firmware: str
    at_s: Floats
    power_kw: Floats
    hashrate_ths: Floats
    chip_temp_c: Floats
    inlet_temp_c: Floats
    told: tuple[Told, ...]


@dataclass(frozen=True, kw_only=True)
class ReadingCounts:
    """Readings of one group by what became of them; a reading may miss several quantities."""

    total: int
    doubled: int
    """Left out: a second reading of the same rig and instant."""
    stale: int
    """Left out: the rig claimed to hash while its uptime stood still: an answer given before."""
    without: dict[str, int]
    """Readings that lack a quantity, by column."""
    not_numbers: int
    """Readings in which the rig sent something that is no number."""


@dataclass(frozen=True, kw_only=True)
class SiteTelemetry:
    """All rigs of a journal that belong to the groups of a site."""

    rigs: tuple[RigTelemetry, ...]
    counts: dict[str, ReadingCounts]
    """By group."""
    first_at: pd.Timestamp
    last_at: pd.Timestamp
    n_runs: int
    other_groups: tuple[str, ...]
    """Groups of the journal that the site does not have; they are left out."""
    n_older: int
    """Readings older than those that are used."""


def read_telemetry(
    path: Path, group_names: list[str], *, most_readings: int = MOST_READINGS
) -> SiteTelemetry:
    """Read the telemetry of the rigs of some groups from a journal, its newest readings.

    Raises
    ------
    DataError
        If there is no such file, or it holds no reading of these groups.
    FileFormatError
        If the file is no journal, or of a newer format.
    """
    tables, n_older = _read_tables(path, group_names, most_readings)
    readings = tables["readings"]
    others = tuple(sorted(set(tables["rigs"].group_name) - set(group_names)))
    if readings.empty:
        raise DataError(
            f"{path}: no reading of a rig of the groups {', '.join(group_names)}; the journal "
            f"knows the groups {', '.join(others) or 'none'}: give the site that the journal is of"
        )
    rigs = _last_known(tables["rigs"], group_names)
    kept, counts = _clean(readings, dict(zip(rigs.rig_id, rigs.group_name, strict=True)))
    told = _told_by_rig(tables, kept)
    of_rig = dict(tuple(kept.groupby("rig_id", sort=False, observed=True)))
    return SiteTelemetry(
        rigs=tuple(
            _rig_of(rig, of_rig[rig["rig_id"]], tuple(told.get(rig["rig_id"], ())))
            for rig in rigs.sort_values("rig_id").to_dict("records")
            if rig["rig_id"] in of_rig
        ),
        counts=counts,
        first_at=pd.Timestamp(kept.at_s.min(), unit="s", tz="UTC"),
        last_at=pd.Timestamp(kept.at_s.max(), unit="s", tz="UTC"),
        n_runs=int(kept.run_id.nunique()),
        other_groups=others,
        n_older=n_older,
    )


def _rig_of(rig: dict[Any, Any], frame: pd.DataFrame, told: tuple[Told, ...]) -> RigTelemetry:
    arrays = {name: frame[name].to_numpy(dtype=np.float64) for name in ("at_s", *MEASURED)}
    return RigTelemetry(
        rig_id=str(rig["rig_id"]),
        group=str(rig["group_name"]),
        model=str(rig["model"] or "unknown model"),
        firmware=str(rig["firmware"] or ""),
        told=told,
        **arrays,
    )


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise DataError(f"there is no journal at {path}: give the file that `serve` wrote")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            yield database
    except (sqlite3.Error, pd.errors.DatabaseError) as err:
        raise FileFormatError(
            f"{path} is no journal that can be read: {err}; give the file that `serve` wrote"
        ) from err


def _last_known(rigs: pd.DataFrame, group_names: list[str]) -> pd.DataFrame:
    """Return the newest row of each rig of some groups."""
    return rigs[rigs.group_name.isin(group_names)].drop_duplicates("rig_id", keep="last")


def _read_tables(
    path: Path, group_names: list[str], most_readings: int
) -> tuple[dict[str, pd.DataFrame], int]:
    with _opened(path) as database:
        version = database.execute("SELECT format_version FROM meta").fetchone()
        if version is None or not 1 <= int(version[0]) <= FORMAT_VERSION:
            raise FileFormatError(
                f"{path}: journal format {version and version[0]}; this gridhash reads up to "
                f"{FORMAT_VERSION}: update gridhash"
            )
        tables = {
            name: pd.read_sql_query(f"SELECT {columns} FROM {name} ORDER BY id", database)
            for name, columns in COLUMNS.items()
            if name != "readings"
        }
        # Readings are only ever appended, so their ids count them.
        last_id = int(database.execute("SELECT coalesce(max(id), 0) FROM readings").fetchone()[0])
        n_older = max(last_id - most_readings, 0)
        query = f"SELECT {COLUMNS['readings']} FROM readings WHERE id > ? ORDER BY id"
        chunks = pd.read_sql_query(query, database, params=(n_older,), chunksize=CHUNK_ROWS)
        rig_ids = list(_last_known(tables["rigs"], group_names).rig_id)
        readings = [_compact(path, chunk, rig_ids) for chunk in chunks]
    for table, column in (("intents", "at"), ("changes", "at"), ("results", "effective_at")):
        tables[table][f"{column}_s"] = _seconds(path, table, tables[table][column])
    nothing = pd.DataFrame(columns=COLUMNS["readings"].split(", "))
    readings = readings or [_compact(path, nothing, rig_ids)]
    tables["readings"] = pd.concat(readings, ignore_index=True)
    return tables, n_older


def _compact(path: Path, chunk: pd.DataFrame, rig_ids: list[str]) -> pd.DataFrame:
    """Return the readings of some rigs as numbers: text by the million would not fit."""
    chunk = chunk[chunk.rig_id.isin(rig_ids)]
    numbers = {name: _numbers(path, chunk, name) for name in (*MEASURED, "uptime_s")}
    return pd.DataFrame(
        {
            "run_id": chunk.run_id,
            "rig_id": pd.Categorical(chunk.rig_id, categories=rig_ids),
            "at_s": _seconds(path, "readings", chunk["at"]),
            "has_no_number": chunk.not_numbers != "",
            **numbers,
        }
    )


def _seconds(path: Path, table: str, text: pd.Series) -> pd.Series:
    try:
        instants = pd.to_datetime(text, utc=True, format="ISO8601")
    except ValueError as err:
        raise FileFormatError(f"{path}: {table}.{text.name} holds no instant: {err}") from err
    epoch = pd.Timestamp(0, unit="s", tz="UTC")
    return (instants - epoch).dt.total_seconds()


def _numbers(path: Path, readings: pd.DataFrame, name: str) -> pd.Series:
    try:
        return pd.to_numeric(readings[name]).astype("float64")
    except (ValueError, TypeError) as err:
        raise FileFormatError(f"{path}: readings.{name} holds no number: {err}") from err


def _clean(
    readings: pd.DataFrame, group_of: dict[str, str]
) -> tuple[pd.DataFrame, dict[str, ReadingCounts]]:
    """Return usable readings by rig and time, and the counts of every group.

    An uptime that stands still gives away an answer that was given before only while the rig claims
    to hash. Whether firmware counts on in standby no capture shows; and what a rig said in standby
    a moment ago is what it would say now.
    """
    frame = readings.sort_values(["rig_id", "at_s"], kind="stable", ignore_index=True)
    by_rig = frame.groupby("rig_id", sort=False, observed=True)
    since_s = by_rig["at_s"].diff()
    doubled = since_s == 0.0
    stands_still = (by_rig["uptime_s"].diff() == 0.0) & (since_s >= STALE_AFTER_S)
    stale = stands_still & (frame.hashrate_ths != 0.0)
    counts = {}
    for name, own in frame.groupby(frame.rig_id.map(group_of).astype("str"), sort=False):
        rows = own.index
        counts[str(name)] = ReadingCounts(
            total=len(own),
            doubled=int(doubled[rows].sum()),
            stale=int(stale[rows].sum()),
            without={column: int(own[column].isna().sum()) for column in MEASURED},
            not_numbers=int(own.has_no_number.sum()),
        )
    return frame[~doubled & ~stale], counts


def _told_by_rig(tables: dict[str, pd.DataFrame], readings: pd.DataFrame) -> dict[str, list[Told]]:
    told: dict[str, list[Told]] = {}
    levels = _levels_by_run(tables["runs"])
    group_of = dict(zip(tables["rigs"].rig_id, tables["rigs"].group_name, strict=True))
    outcomes = tables["results"].drop_duplicates("intent_id", keep="last").set_index("intent_id")
    verdicts = tables["verifications"].drop_duplicates("intent_id", keep="last")
    sent = tables["intents"].join(outcomes, on="id")
    sent = sent.join(verdicts.set_index("intent_id"), on="id")
    for row in sent.to_dict("records"):
        if row["outcome"] not in REACHED:
            continue  # the rig never heard of it
        timed = bool(np.isfinite(row["effective_at_s"]))
        kind = row["command"] if timed and row["verdict"] in PROVEN else "unknown"
        resumed = row["command"] == RESUME and row["outcome"] in ACKNOWLEDGED
        if timed and kind == "unknown" and resumed:
            kind = UNPROVEN_RESUME
        own = levels.get((row["run_id"], group_of.get(row["rig_id"])), ())
        index = -1 if pd.isna(row["level"]) else int(row["level"])
        told.setdefault(row["rig_id"], []).append(
            Told(
                sent_s=row["at_s"],
                effective_s=row["at_s"] if kind == "unknown" else row["effective_at_s"],
                kind=kind,
                level_frac=own[index] if 0 <= index < len(own) else np.nan,
            )
        )
    for row in tables["changes"].to_dict("records"):
        if row["cause"] == "external":
            at_s = row["at_s"]
            told.setdefault(row["rig_id"], []).append(
                Told(sent_s=at_s, effective_s=at_s, kind="unknown")
            )
    first = readings.groupby(["rig_id", "run_id"], observed=True)["at_s"].min()
    for rig_id, run_id in first.index:
        own = levels.get((run_id, group_of.get(rig_id)), ())
        at_s = float(first[(rig_id, run_id)])
        only = own[0] if len(own) == 1 else np.nan
        told.setdefault(rig_id, []).append(
            Told(sent_s=at_s, effective_s=at_s, kind="run", level_frac=only)
        )
    return {rig_id: sorted(own, key=lambda one: one.sent_s) for rig_id, own in told.items()}


def _levels_by_run(runs: pd.DataFrame) -> dict[tuple[Any, Any], tuple[float, ...]]:
    levels = {}
    for run_id, text in zip(runs["id"], runs["site_json"], strict=True):
        try:
            site = json.loads(text)
            own = "optional_work_levels" if site["use_work_levels"] else "load_levels"
            for group in site["groups"]:
                levels[(run_id, group["name"])] = tuple(float(frac) for frac in group[own])
        except (ValueError, KeyError, TypeError) as err:
            raise FileFormatError(f"run {run_id} of the journal holds no site: {err!r}") from err
    return levels
