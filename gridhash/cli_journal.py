"""Commands on what a site has recorded: replay, export-journal, mirror-journal."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from gridhash.terminal import console, screen

JOURNAL = Path("runs/serve/journal.sqlite")
JournalFile = Annotated[Path, typer.Option("--journal", help="The site's journal.")]
Run = Annotated[
    int | None, typer.Option("--run", min=1, help="Number of the run; see the journal's runs.")
]


def replay(
    journal: JournalFile = JOURNAL,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Bundle that decided; not needed for the level rule."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Public key (.pub) that signed the bundle.")
    ] = None,
    run: Run = None,
) -> None:
    """Make every decision of a run again from what it was made of, and compare to the bit.

    The newest run if none is named. With a site meter its corrections are made again too. Exact on
    the same machine and versions. Exit code 0 all the same, 1 some differ.
    """
    from gridhash.agents.bundle import load_bundle
    from gridhash.agents.policy import Policy
    from gridhash.agents.signing import read_public_key
    from gridhash.config import SiteConfig
    from gridhash.errors import ServingError
    from gridhash.serving.journal import Journal
    from gridhash.serving.replay import replay as replay_run

    if (bundle is None) != (key is None):
        raise typer.BadParameter("give --bundle and --key together")
    with Journal(journal, read_only=True) as kept:
        run_id = run or kept.last_run_id()
        policy: Policy | None = None
        if bundle is not None and key is not None:
            found = kept.rows("SELECT site_json FROM runs WHERE id = ?", run_id)
            if not found:
                raise ServingError(f"{journal} holds no run {run_id}")
            site = SiteConfig.model_validate_json(found[0]["site_json"])
            policy = load_bundle(bundle, site=site, trusted_keys=[read_public_key(key)])[0]
        with screen.status(f"run {run_id} of {journal}"):
            result = replay_run(kept, policy, run_id=run_id)
    for line in result.differences:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(
        f"run {run_id}: {result.n_decisions:,} decisions made again, {result.equal:,} the same, "
        f"{result.different:,} different",
        highlight=False,
        soft_wrap=True,
    )
    raise typer.Exit(1 if result.different else 0)


def export_journal(
    out: Annotated[Path, typer.Option("--out", help="New folder for the Parquet files.")],
    journal: JournalFile = JOURNAL,
    run: Run = None,
) -> None:
    """Write a journal as Parquet files, one per table, whole or not at all.

    The controller may go on meanwhile. All runs if none is named; the journal itself stays.
    """
    from gridhash.serving.journal import Journal
    from gridhash.serving.journal_export import export_journal as export

    with (
        Journal(journal, read_only=True) as kept,
        Progress(
            TextColumn("{task.description}"), TimeElapsedColumn(), console=screen, transient=True
        ) as bar,
    ):
        task = bar.add_task("", total=None)
        counts = export(
            kept,
            out,
            run_id=run,
            tell=lambda table, n: bar.update(task, description=f"{table}: {n:,} rows"),
        )
    for table, n_rows in counts.items():
        console.print(f"{out / f'{table}.parquet'}  {n_rows:,} rows", highlight=False)


def mirror_journal(
    journal: JournalFile = JOURNAL,
    database: Annotated[
        str,
        typer.Option(
            "--database",
            envvar="GRIDHASH_DATABASE",
            help="host=… dbname=… or a URI of PostgreSQL; PGHOST, PGPASSWORD and so on if empty.",
        ),
    ] = "",
    name: Annotated[
        str | None, typer.Option("--name", help="Of the site in the database; else its own.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when all that is there now was copied.")
    ] = False,
) -> None:
    """Copy a journal to PostgreSQL, row by row as it grows, until Ctrl-C.

    The journal stays the record. The database may be away for days: the copy goes on where it
    ended, and no row is there twice. Tables are in the schema gridhash, one for each of the
    journal's. Give passwords by PGPASSWORD or a password file, never on the command line.
    """
    import time

    from gridhash.errors import ServingError
    from gridhash.serving.postgres_mirror import PostgresMirror, library

    mirror = PostgresMirror(journal, database, site=name)
    if once:
        try:
            sent = 0
            while True:
                progress = mirror.copy()
                sent += progress.sent
                if not progress.behind:
                    break
        except library().Error as err:
            raise ServingError(f"the database: {str(err).strip()}") from err
        console.print(f"{sent:,} rows copied", highlight=False)
        return

    def sleep(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    mirror.run(sleep, lambda text: console.print(text, soft_wrap=True, markup=False))
