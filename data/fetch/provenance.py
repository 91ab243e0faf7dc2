"""Put a file in its place with a note of where it came from, and keep the version before it."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gridhash.data.fetch.request import Outcome

FORMER = "former"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where one saved file comes from; stored as JSON beside it.

    Attributes
    ----------
    url, final_url, method, sent
        What was asked, without keys; `final_url` is where redirects led.
    retrieved_at, checked_at
        When these bytes came, and when they were last found unchanged; ISO 8601, UTC.
    sha256, size_bytes
        Of the file as saved.
    content_type, etag, last_modified
        As the server said; empty if it did not.
    publisher, licence, terms_url
        Whose file it is and what may be done with it.
    tool
        Name and version of the program.
    archive
        The archive that the file was unpacked from; empty if none.
    """

    url: str
    final_url: str
    method: str
    sent: Mapping[str, object] | None
    retrieved_at: str
    checked_at: str
    sha256: str
    size_bytes: int
    content_type: str
    etag: str
    last_modified: str
    publisher: str
    licence: str
    terms_url: str
    tool: str
    archive: str = ""


def provenance_path(path: Path) -> Path:
    """Return where the provenance of a saved file is."""
    return path.with_name(path.name + ".provenance.json")


def read_provenance(path: Path) -> Provenance | None:
    """Return the provenance of a saved file; None if there is none that fits its bytes."""
    try:
        provenance = Provenance(**json.loads(provenance_path(path).read_text(encoding="utf-8")))
        return provenance if provenance.sha256 == sha256_of(path) else None
    except (OSError, ValueError, TypeError):
        return None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_in_place(
    arrived: Path, target: Path, provenance: Provenance
) -> tuple[Outcome, Path | None]:
    """Rename an arrived file to its target; return the outcome and the former version.

    A target of the same bytes stays and only its check is noted. Each step is atomic; killed
    between two, the next run finds a file without fitting provenance and fetches it again.
    """
    outcome: Outcome = "new"
    former = None
    if target.exists():
        if sha256_of(target) == provenance.sha256:
            arrived.unlink()
            note_check(target, provenance)
            return "unchanged", None
        outcome, former = "changed", _keep(target)
    os.replace(arrived, target)
    write_json(provenance_path(target), asdict(provenance))
    return outcome, former


def note_check(path: Path, found: Provenance) -> None:
    """Note that a file was found unchanged, and how the server now names this version."""
    known = read_provenance(path)
    if known is not None:
        found = replace(found, retrieved_at=known.retrieved_at)
    write_json(provenance_path(path), asdict(found))


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON file so that it is never there by half."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _keep(path: Path) -> Path:
    """Copy a file that is about to be replaced to the folder of former versions."""
    known = read_provenance(path)
    if known is not None:
        since = datetime.fromisoformat(known.retrieved_at)
    else:
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    folder = path.parent / FORMER
    folder.mkdir(exist_ok=True)
    name = f"{path.stem}.{since:%Y%m%dT%H%M%SZ}.{sha256_of(path)[:8]}{path.suffix}"
    copy = folder / name
    temporary = folder / (name + ".tmp")
    shutil.copy2(path, temporary)
    os.replace(temporary, copy)
    if known is not None:
        write_json(provenance_path(copy), asdict(known))
    return copy
