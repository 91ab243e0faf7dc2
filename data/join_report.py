"""What a join found: gaps, overlaps and disagreements of its sources, with their rows."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from rich.table import Table


@dataclass(frozen=True)
class Gap:
    """Rows without a value: [start, end) and how many."""

    start: pd.Timestamp
    end: pd.Timestamp
    n_rows: int


@dataclass(frozen=True)
class Disagreement:
    """One row for which two sources have different values."""

    column: str
    start: pd.Timestamp
    value: float
    source: str
    other_value: float
    other_source: str

    def __str__(self) -> str:
        """Return it in one sentence."""
        return (
            f"{self.column} at {self.start.isoformat()}: {self.source} says {self.value:g}, "
            f"{self.other_source} says {self.other_value:g}"
        )


@dataclass(frozen=True, kw_only=True)
class ColumnReport:
    """What was found for one column; `disagreements` holds the first few of each source."""

    column: str
    sources: tuple[str, ...]
    n_rows: int
    n_from_first: int
    n_overlap: int
    gaps: tuple[Gap, ...]
    fill: str
    filled: int
    disagreements: tuple[Disagreement, ...]
    n_disagreements: int
    scales: tuple[float, ...]
    n_delayed: int
    max_delay_s: int


@dataclass(frozen=True)
class JoinReport:
    """What was found for every column in [start, end)."""

    columns: tuple[ColumnReport, ...]
    start: pd.Timestamp
    end: pd.Timestamp

    @property
    def source(self) -> str:
        """Every source once, for the trace."""
        return "; ".join(dict.fromkeys(name for column in self.columns for name in column.sources))

    def notes(self) -> tuple[str, ...]:
        """Return every explicit choice, one line each, with the span that it was made for."""
        span = f"{self.start:%Y-%m-%dT%H:%MZ} … {self.end:%Y-%m-%dT%H:%MZ}"
        notes = []
        for column in self.columns:
            if column.filled:
                notes.append(
                    f"{column.column}: {column.filled} rows filled ({column.fill}) in {span}"
                )
            if column.n_disagreements:
                notes.append(
                    f"{column.column}: {column.n_disagreements} rows where sources disagree in "
                    f"{span}; taken from the one named first: {', '.join(column.sources)}"
                )
            if column.n_delayed:
                notes.append(
                    f"{column.column}: {column.n_delayed} rows in {span} count as known up to "
                    f"{column.max_delay_s / 3600:g} h later than they were, after a row above them "
                    "that came late"
                )
            notes += [
                f"{column.column}: {source} times {scale:g}"
                for source, scale in zip(column.sources, column.scales, strict=True)
                if scale != 1.0
            ]
        return tuple(notes)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; instants in ISO 8601."""
        columns = [asdict(column) for column in self.columns]
        for column in columns:
            for item in (*column["gaps"], *column["disagreements"]):
                item.update(
                    {k: v.isoformat() for k, v in item.items() if isinstance(v, pd.Timestamp)}
                )
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "columns": columns,
            "notes": list(self.notes()),
        }

    def table(self) -> Table:
        """Return it for a screen; gaps and disagreements follow in `lines`."""
        table = Table(title="Join")
        for name in ("column", "rows", "from first source", "overlap", "disagree", "filled"):
            table.add_column(name, justify="left" if name == "column" else "right")
        table.add_column("missing", justify="right")
        for column in self.columns:
            missing = sum(gap.n_rows for gap in column.gaps)
            figures = (
                column.n_rows,
                column.n_from_first,
                column.n_overlap,
                column.n_disagreements,
                column.filled,
                missing,
            )
            table.add_row(column.column, *(f"{figure:,}" for figure in figures))
        return table

    def lines(self) -> list[str]:
        """Return the gaps and the first disagreements, one line each."""
        lines = []
        for column in self.columns:
            lines += [
                f"{column.column}: {gap.n_rows} rows missing, {gap.start.isoformat()} … "
                f"{gap.end.isoformat()}"
                for gap in column.gaps
            ]
            lines += [str(disagreement) for disagreement in column.disagreements]
        return lines


def gap_problem(column: ColumnReport) -> str:
    """Return what to say about a column with gaps."""
    first = column.gaps[0]
    n_missing = sum(gap.n_rows for gap in column.gaps)
    remedy = "add a source, or a fill for this column"
    if column.fill:
        remedy = f"add a source, or allow longer gaps than its fill does ({column.fill})"
    return (
        f"{column.column}: {n_missing} rows in {len(column.gaps)} gap(s) are missing, the first "
        f"from {first.start.isoformat()} to {first.end.isoformat()} ({first.n_rows} rows), in "
        f"{' and in '.join(column.sources)}; nothing is filled in: choose a span without gaps, "
        f"{remedy}"
    )
