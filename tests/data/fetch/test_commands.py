"""The command prints what came and hands on the data, not what only led to it."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gridhash.data.fetch.commands import fetch_files, list_sources
from gridhash.data.fetch.request import TermsNotAccepted


def _run(server: Any, folder: Path, *, accept_terms: bool) -> tuple[list[Path], str]:
    console = Console(file=io.StringIO(), width=200)
    paths = fetch_files(
        "ercot",
        {"year": "2024"},
        data_dir=folder,
        accept_terms=accept_terms,
        user_agent=None,
        base_url=server.url,
        console=console,
    )
    assert isinstance(console.file, io.StringIO)
    return paths, console.file.getvalue()


def test_a_list_of_reports_is_not_imported(server: Any, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("prices_2024.csv", "a,b\n")
    document = {"Document": {"DocID": "5", "ConstructedName": "prices_2024.zip"}}
    listing = {"ListDocsByRptTypeRes": {"DocumentList": [document]}}
    server.on("/misapp/servlets/IceDocListJsonWS", server.text(json.dumps(listing)))
    server.on("/misdownload/servlets/mirDownload", server.text(archive.getvalue()))

    paths, printed = _run(server, tmp_path, accept_terms=True)

    folder = tmp_path / "raw" / "ercot"
    assert paths == [folder / "prices_2024.csv"]
    assert printed.splitlines() == [
        f"new: {folder / 'ercot_13061_list.json'}",
        f"new: {folder / 'prices_2024.zip'}",
    ]


def test_without_a_terminal_terms_must_be_accepted_by_option(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    with pytest.raises(TermsNotAccepted, match="--accept-terms"):
        _run(server, tmp_path, accept_terms=False)

    assert server.seen == []


def test_every_source_is_listed_with_its_options() -> None:
    console = Console(file=io.StringIO(), width=200)
    list_sources(console)

    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "jepx  JEPX day-ahead prices" in printed
    assert "--fiscal-year  the year in which April lies, such as 2024" in printed
    assert "better in the environment as ENTSOE_TOKEN" in printed
