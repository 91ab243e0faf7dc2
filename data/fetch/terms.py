"""The publishers' terms, which the user accepts once."""

import getpass
import hashlib
import json
from collections.abc import Callable
from dataclasses import astuple
from datetime import datetime
from pathlib import Path

from gridhash.data.fetch.provenance import write_json
from gridhash.data.fetch.request import FetchError, TermsNotAccepted
from gridhash.data.publishers import Publisher

FILENAME = "accepted_terms.json"


def terms_text(publisher: Publisher) -> str:
    """Return what the user is asked to accept."""
    return (
        f"{publisher.name}: {publisher.licence}. The terms themselves: {publisher.terms_url}. "
        "gridhash fetches for you; what you may do with the data is between you and the publisher."
    )


def require_acceptance(
    publisher: Publisher,
    data_dir: Path,
    *,
    accept: Callable[[Publisher], bool],
    clock: Callable[[], datetime],
) -> None:
    """Ask for the publisher's terms unless they were accepted as they are now; note the yes.

    Who accepted (the user's login name), when, and the hash of what was shown go to
    ``accepted_terms.json`` in `data_dir`.

    Raises
    ------
    TermsNotAccepted
        If the answer is no.
    FetchError
        If the note of former answers cannot be read.
    """
    path = data_dir / FILENAME
    accepted = _read(path)
    shown = hashlib.sha256(repr(astuple(publisher)).encode()).hexdigest()
    former = accepted.get(publisher.name)
    if isinstance(former, dict) and former.get("sha256") == shown:
        return
    if not accept(publisher):
        raise TermsNotAccepted(
            f"{terms_text(publisher)} Nothing was fetched: accept with --accept-terms"
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    accepted[publisher.name] = {
        "accepted_by": _login_name(),
        "accepted_at": clock().isoformat(timespec="seconds"),
        "sha256": shown,
        "text": terms_text(publisher),
    }
    write_json(path, accepted)


def _read(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    try:
        accepted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise FetchError(f"{path}: cannot be read: {err}; remove it to be asked again") from err
    if not isinstance(accepted, dict):
        raise FetchError(f"{path}: holds no accepted terms; remove it to be asked again")
    return accepted


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"  # a user without a name, as in many containers
