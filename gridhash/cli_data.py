"""The `gridhash data` commands: import, fetch, look at, join, export; calibrate a site."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gridhash.errors import DataError
from gridhash.terminal import console

app = typer.Typer(
    help="Official files, the store that holds them, and the traces joined from it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_ANY_OPTION = {"allow_extra_args": True, "ignore_unknown_options": True}

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of store and fetched files; else GRIDHASH_DATA, else yours."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")]
Area = Annotated[
    str | None, typer.Option("--area", help="Area of the files, where they do not say it.")
]
Revise = Annotated[
    bool, typer.Option("--revise", help="Replace stored values that a newer file gives otherwise.")
]


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _open(data_dir: Path | None) -> Any:
    from gridhash.data.store.store import Store

    return Store(None if data_dir is None else data_dir / "store")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Official files, as downloaded.")],
    area: Area = None,
    currency: Annotated[
        str | None, typer.Option("--currency", help="ISO 4217 code, where the files lack it.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Recognise, read and report; store nothing.")
    ] = False,
    revise: Revise = False,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Recognise official files by their content and add them to the store.

    Says what each file was recognised as and why. The same file twice changes nothing; a file that
    contradicts what is stored is refused, with the first rows, unless --revise. Exits 2 if any
    file was refused; the others are stored.
    """
    from gridhash.data.import_files import FileImport, import_files
    from gridhash.data.readers.formats import ReadOptions

    def tell(outcome: FileImport) -> None:
        if not json_:
            console.print("\n".join(outcome.lines()), markup=False, highlight=False, soft_wrap=True)

    outcomes = import_files(
        files,
        store=None if dry_run else _open(data_dir),
        now=datetime.now(UTC),
        options=ReadOptions(area=area, currency=currency),
        revise=revise,
        tell=tell,
    )
    if json_:
        _print_json([outcome.as_dict() for outcome in outcomes])
    n_refused = sum(bool(outcome.error) for outcome in outcomes)
    if n_refused:
        if not json_:
            console.print(f"{n_refused} of {len(outcomes)} files were not imported")
        raise typer.Exit(2)


@app.command(context_settings=_ANY_OPTION)
def fetch(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Argument(help="Source; without one, all are listed with their options.")
    ] = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="Accept the publisher's terms, once.")
    ] = False,
    no_import: Annotated[
        bool, typer.Option("--no-import", help="Only save the files as they came.")
    ] = False,
    user_agent: Annotated[
        str | None, typer.Option("--user-agent", help="Say this instead of gridhash/VERSION.")
    ] = None,
    base_url: Annotated[
        str, typer.Option("--base-url", help="Ask this host, such as a mirror.")
    ] = "",
    revise: Revise = False,
    data_dir: DataDir = None,
) -> None:
    """Fetch official files over the network, save them as they came, and import them.

    For example `gridhash data fetch jepx --fiscal-year 2024` or
    `gridhash data fetch area kyushu --month 2026-04`. Interrupted downloads go on where they
    stopped; provenance is written beside each file.
    """
    from gridhash.data.fetch.catalogue import sources
    from gridhash.data.fetch.commands import fetch_files, list_sources
    from gridhash.data.store.store import default_folder

    if source is None:
        list_sources(console)
        return
    options = _extra_options(context.args)
    if "" in options:
        first = next(iter(sources()[source].options), None) if source in sources() else None
        if first is None or first.name in options:
            raise DataError(f"{options['']!r} is one word too many; options begin with --")
        options[first.name] = options.pop("")
    paths = fetch_files(
        source,
        options,
        data_dir=data_dir or default_folder().parent,
        accept_terms=accept_terms,
        user_agent=user_agent,
        base_url=base_url,
        console=console,
    )
    if paths and not no_import:
        import_(paths, area=options.get("area"), revise=revise, data_dir=data_dir)


def _extra_options(words: list[str]) -> dict[str, str]:
    """Return ``--name value`` and ``--name=value`` by name; a word of its own under ''."""
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, given, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            name, value = "", word
        elif not given:
            if not rest or rest[0].startswith("--"):
                raise DataError(f"{word} needs a value")
            value = rest.pop(0)
        if name in options:
            raise DataError(f"--{name} is given twice" if name else f"{word!r} is a word too many")
        options[name] = value
    return options


@app.command("list")
def list_(data_dir: DataDir = None, json_: Json = False) -> None:
    """List what the store holds: datasets and traces with span, rows and publisher, and terms."""
    from gridhash.data.store.commands import list_store

    list_store(_open(data_dir), console, as_json=json_)


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="Dataset or trace; see `gridhash data list`.")],
    column: Annotated[
        str | None, typer.Option("--column", help="One column, such as price_per_kwh@kyushu.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw curve, heat map and gaps into this PNG.")
    ] = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Print statistics and gaps of a dataset or trace; draw its duration curve and heat maps."""
    from gridhash.data.store.commands import describe_stored

    describe_stored(_open(data_dir), name, console, column=column, picture=plot, as_json=json_)


@app.command()
def verify(data_dir: DataDir = None, json_: Json = False) -> None:
    """Check every file of the store against its checksum; exit 2 if something is wrong."""
    from gridhash.data.store.commands import verify_store

    if not verify_store(_open(data_dir), console, as_json=json_):
        raise typer.Exit(2)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="Dataset or trace.")],
    path: Annotated[Path, typer.Argument(help="File to write: .csv or .parquet.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write a dataset or trace to CSV or Parquet, with units and licence."""
    from gridhash.data.store.commands import export_stored

    export_stored(_open(data_dir), name, path, console, force=force)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Dataset or trace.")],
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a dataset or trace from the store; the files that it came from stay."""
    opened = _open(data_dir)
    if name not in (*opened.names(), *opened.trace_names()):
        raise DataError(f"there is no {name} in the store; see `gridhash data list`")
    if not yes:
        typer.confirm(f"Remove {name}?", abort=True)
    opened.remove(name)
    console.print(f"removed {name}", markup=False)


@app.command()
def join(
    column: Annotated[
        list[str],
        typer.Option(
            "--column",
            metavar="SPEC",
            help="COLUMN=DATASET:QUANTITY@AREA, then ,scale=X and ,fill=hold or interpolate or a "
            "value, with :SECONDS for the longest gap (else 10800). Twice for one column: a second "
            "source that completes and checks the first.",
        ),
    ],
    start: Annotated[str, typer.Option("--start", help="First instant, with its offset.")],
    end: Annotated[str, typer.Option("--end", help="Instant after the last, with its offset.")],
    area: Annotated[str, typer.Option("--area", help="Market area of the trace.")],
    currency: Annotated[str, typer.Option("--currency", help="ISO 4217 code of its prices.")],
    period_s: Annotated[int, typer.Option("--period", help="Length of an interval [s].")] = 1800,
    save: Annotated[
        str | None, typer.Option("--save", help="Store the trace under this name.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a trace of that name.")
    ] = False,
    prefer_first: Annotated[
        bool, typer.Option("--prefer-first", help="Where sources disagree take the first.")
    ] = False,
    site_kw: Annotated[
        float | None, typer.Option("--site-kw", help="Contract power of the site [kW].")
    ] = None,
    surplus_share: Annotated[
        float | None,
        typer.Option("--surplus-share", help="Share of the area's curtailed power for the site."),
    ] = None,
    surplus_below: Annotated[
        float | None,
        typer.Option(
            "--surplus-below", help="Weak proxy: surplus where the price is at most this."
        ),
    ] = None,
    orders: Annotated[
        Path | None,
        typer.Option("--orders", help="CSV of curtailment orders: start,end,announced_at."),
    ] = None,
    orders_at: Annotated[
        str | None,
        typer.Option("--orders-at", help="When a day's orders are out: 'Asia/Tokyo 17:00'."),
    ] = None,
    pv: Annotated[
        str | None,
        typer.Option("--pv", help="Panels: PEAK_KW,LATITUDE,LONGITUDE[,TILT,AZIMUTH]."),
    ] = None,
    data_dir: DataDir = None,
    json_: Json = False,
) -> None:
    """Join stored columns into one trace on one grid; report gaps, overlaps and disagreements.

    Nothing is filled unless a column asks for it, and every fill is noted in the trace. Use a saved
    trace as `--prices NAME` of `train`, `evaluate` and `serve`.
    """
    from gridhash.data.join_command import JoinRequest, join_stored

    request = JoinRequest(
        columns=column,
        start=start,
        end=end,
        area=area,
        currency=currency,
        period_s=period_s,
        save=save,
        replace=replace,
        prefer_first=prefer_first,
        site_kw=site_kw,
        surplus_share=surplus_share,
        surplus_below=surplus_below,
        orders=orders,
        orders_at=orders_at,
        pv=pv,
    )
    join_stored(_open(data_dir), request, console, as_json=json_)


@app.command()
def calibrate(
    journal: Annotated[Path, typer.Option("--journal", help="Journal that `serve` wrote.")],
    site: Annotated[str, typer.Option("--site", help="Preset or site file.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for plots and site-overrides.toml.")
    ] = None,
    json_: Json = False,
) -> None:
    """Fit rig curve, heat, start-up and standby of a site to its own journal."""
    from gridhash.config import load_site
    from gridhash.data.calibration.site_calibration import calibrate_site

    result = calibrate_site(journal, load_site(site), folder=out)
    overrides = result.site_overrides()
    if out is not None:
        (out / "site-overrides.toml").write_text(overrides, "utf-8")
    if json_:
        _print_json(result.to_json())
        return
    console.print(result.table())
    console.print(overrides, markup=False, highlight=False, soft_wrap=True)
