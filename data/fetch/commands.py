"""What `gridhash data fetch` does: list the sources, ask for terms, fetch, say what came."""

import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.prompt import Confirm
from rich.text import Text

from gridhash.data.fetch.catalogue import fetch, sources
from gridhash.data.fetch.download import Downloader
from gridhash.data.fetch.settings import Settings
from gridhash.data.fetch.terms import terms_text
from gridhash.data.publishers import Publisher


def list_sources(console: Console) -> None:
    """Print every source with its options."""
    for source in sources().values():
        console.print(Text.assemble((source.name, "bold"), f"  {source.title}"))
        for option in source.options:
            default = f" (else {option.default})" if option.default else ""
            choices = f": {', '.join(option.choices)}" if option.choices else ""
            example = "" if option.choices or option.variable else f", such as {option.example}"
            key = f"; better in the environment as {option.variable}" if option.variable else ""
            line = Text(f"--{option.name}  {option.meaning}{choices}{example}{default}{key}")
            console.print(Padding(line, (0, 0, 0, 4), expand=False))
        if source.notes:
            console.print(Padding(Text(source.notes, style="dim"), (0, 0, 0, 4), expand=False))


def fetch_files(
    source: str,
    options: Mapping[str, str],
    *,
    data_dir: Path,
    accept_terms: bool,
    user_agent: str | None,
    base_url: str,
    console: Console,
) -> list[Path]:
    """Fetch from a source and print what came; return the files to import.

    Raises
    ------
    FetchError
        If the source or an option is unknown, the terms are not accepted, or a file cannot be
        fetched.
    """

    def accept(publisher: Publisher) -> bool:
        if accept_terms:
            return True
        if not sys.stdin.isatty():
            return False
        return Confirm.ask(f"{terms_text(publisher)} Accept?", console=console, default=False)

    settings = Settings() if user_agent is None else Settings(user_agent=user_agent)
    with Downloader(settings) as downloader:
        fetched = fetch(
            source,
            options,
            data_dir=data_dir,
            accept=accept,
            downloader=downloader,
            base_url=base_url,
        )
    paths: list[Path] = []
    for one in fetched:
        what = one.request.filename if one.path is None else str(one.path)
        console.print(f"{one.outcome}: {what}", markup=False, highlight=False, soft_wrap=True)
        paths += one.to_import
    return paths
