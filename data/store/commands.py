"""What the command line shows of the store: list, describe, verify, export."""

from dataclasses import replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridhash.data.describe import describe
from gridhash.data.describe_text import print_description
from gridhash.data.source_table import SourceTable
from gridhash.data.store.export import export
from gridhash.data.store.store import Store
from gridhash.data.store.verify import verify
from gridhash.data.trace import Trace
from gridhash.errors import DataError


def list_store(store: Store, console: Console, *, as_json: bool = False) -> None:
    """Print the datasets and traces; raise DataError if the manifest is damaged."""
    manifest = store.manifest()
    if as_json:
        console.print_json(
            data={"store": str(store.folder.path), **manifest.model_dump(mode="json")}
        )
        return
    console.print(Text(f"Store {store.folder.path}"), soft_wrap=True)
    if not manifest.datasets and not manifest.traces:
        console.print("It is empty: `gridhash data import FILE…` fills it.", markup=False)
        return
    if manifest.datasets:
        table = _table("Datasets", "dataset", "from", "to", "rows", "step", "columns", "publisher")
        for name, dataset in sorted(manifest.datasets.items()):
            table.add_row(
                name,
                f"{dataset.first:%Y-%m-%d}",
                f"{dataset.last:%Y-%m-%d}",
                f"{dataset.rows:,}",
                _step(dataset.period_s),
                str(len(dataset.columns)),
                ", ".join(licence.publisher for licence in dataset.licences),
            )
        console.print(table)
        closed = sorted(
            {
                f"{licence.name}: {licence.licence} ({licence.terms_url})"
                for dataset in manifest.datasets.values()
                for licence in dataset.licences
                if not licence.may_redistribute
            }
        )
        for terms in closed:
            console.print(Text(f"Not to be passed on. {terms}", style="dim"), soft_wrap=True)
    if manifest.traces:
        table = _table("Traces", "trace", "from", "to", "rows", "step", "columns", "area")
        for name, trace in sorted(manifest.traces.items()):
            table.add_row(
                name,
                f"{trace.partition.first:%Y-%m-%d}",
                f"{trace.partition.last:%Y-%m-%d}",
                f"{trace.partition.rows:,}",
                _step(trace.fields["period_s"]),
                str(len(trace.partition.columns)),
                str(trace.fields["area"]),
            )
        console.print(table)


def describe_stored(
    store: Store,
    name: str,
    console: Console,
    *,
    column: str | None = None,
    picture: Path | None = None,
    as_json: bool = False,
) -> None:
    """Print what a dataset or trace holds, and draw it if `picture` says where.

    Raises
    ------
    DataError
        If there is no such dataset, trace or column, or the picture cannot be written.
    """
    series: SourceTable | Trace
    if name in store.trace_names():
        series = store.load_trace(name)
    elif name in store.names():
        series = store.read(name)
    else:
        raise DataError(store.nothing_called(name))
    # Stations of the Japanese agency bear names of their own, not of an area.
    timezone = "Asia/Tokyo" if name.startswith("jma-") else None
    description = replace(describe(series, column, timezone=timezone), title=name)
    if picture is not None:
        # matplotlib takes half a second to load, which only a picture needs.
        from gridhash.data.describe_plots import draw

        draw(description, picture)
    if as_json:
        console.print_json(data=description.as_dict())
        return
    print_description(description, console)
    for note in series.notes if isinstance(series, Trace) else ():
        console.print(Text(f"note: {note}"), soft_wrap=True)
    if picture is not None:
        console.print(Text(f"\nDrawn in {picture}"), soft_wrap=True)


def verify_store(store: Store, console: Console, *, as_json: bool = False) -> bool:
    """Print every problem of the store; return whether none is left to mend."""
    problems = verify(store)
    manifest = store.manifest()
    if as_json:
        console.print_json(data={"problems": [vars(problem) for problem in problems]})
    else:
        for problem in problems:
            style = "yellow" if problem.is_mended else "red"
            console.print(Text(str(problem), style=style), soft_wrap=True)
        n_open = sum(not problem.is_mended for problem in problems)
        counts = (
            _count(len(manifest.datasets), "dataset"),
            _count(len(manifest.traces), "trace"),
            _count(len(manifest.files()), "file"),
        )
        state = _count(n_open, "problem") if n_open else "all as written"
        console.print("Checked {}, {}, {}: {}".format(*counts, state), highlight=False)
    return all(problem.is_mended for problem in problems)


def export_stored(
    store: Store, name: str, path: Path, console: Console, *, force: bool = False
) -> None:
    """Write a dataset or trace to a file and say what its terms forbid; raises as `export`."""
    written = export(store, name, path, force=force)
    console.print(Text(f"{written.rows:,} rows in {written.path}"), soft_wrap=True)
    if written.about is not None:
        console.print(Text(f"Units and terms in {written.about}"), soft_wrap=True)
    if written.warning is not None:
        console.print(Text(written.warning, style="yellow"), soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", box=box.SIMPLE, pad_edge=False)
    for name in columns:
        is_count = name in ("rows", "columns")
        table.add_column(
            name,
            justify="right" if is_count else "left",
            overflow="fold",
            no_wrap=name != "publisher",
        )
    return table


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _step(period_s: int | None) -> str:
    return "steps" if period_s is None else f"{period_s} s"
