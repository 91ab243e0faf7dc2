"""What has come so far of a file, and whether the rest may be added to it."""

import email.utils
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gridhash.data.fetch.provenance import write_json
from gridhash.data.fetch.request import Request

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class PartFile:
    """The ``.part`` beside a target file; it survives a kill, for the next run to resume."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")

    @property
    def size(self) -> int:
        """Bytes that have come so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def range_headers(self, request: Request) -> dict[str, str]:
        """Return the headers that ask for the rest; discard what cannot be resumed.

        Only bytes of the same request are resumed, and only where the server gave a strong
        validator, so that ``If-Range`` brings the whole file if it changed since (RFC 9110,
        section 13.1.5).
        """
        validator = self._validator(request)
        if not validator or not self.size:
            self.discard()
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": validator}

    def _validator(self, request: Request) -> str:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        if not isinstance(note, dict) or note.get("fingerprint") != request.fingerprint:
            return ""
        return str(note.get("validator", ""))

    def begin(self, request: Request, headers: Mapping[str, str], *, resumable: bool) -> None:
        """Start anew with the answer whose headers these are."""
        self.discard()
        validator = strong_validator(headers) if resumable and request.method == "GET" else ""
        write_json(self._note, {"fingerprint": request.fingerprint, "validator": validator})
        self.path.touch()

    def continues(self, request: Request, headers: Mapping[str, str]) -> bool:
        """Whether a 206 answer goes on exactly where these bytes end, in the same version."""
        match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        same = strong_validator(headers) in ("", self._validator(request))
        plain = headers.get("content-encoding", "identity") == "identity"
        return match is not None and int(match[1]) == self.size and same and plain

    def discard(self) -> None:
        """Forget the bytes."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def complete(self) -> None:
        """Make the bytes durable; the caller renames the file."""
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._note.unlink(missing_ok=True)


def strong_validator(headers: Mapping[str, str]) -> str:
    """Return the ETag or the time of change by which a version can be told exactly, or "".

    A time of change counts only if it is at least a second before the answer's own date: a file
    may change twice within the second (RFC 9110, section 8.8.2.2).
    """
    etag = headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    changed, answered = _http_date(headers, "last-modified"), _http_date(headers, "date")
    if changed and answered and answered - changed >= timedelta(seconds=1):
        return headers["last-modified"]
    return ""


def total_bytes(headers: Mapping[str, str]) -> int | None:
    """Return the size of the whole file, if a 206 answer tells it."""
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    return int(match[3]) if match is not None and match[3] != "*" else None


def _http_date(headers: Mapping[str, str], name: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(headers.get(name, ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
