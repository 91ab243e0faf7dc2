"""What to ask of a publisher, what came of it, and how it can fail."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from gridhash.data.fetch.secrecy import hide
from gridhash.data.publishers import Publisher
from gridhash.errors import DataError

Content = Literal["csv", "json", "zip", "xml"]
Outcome = Literal["new", "changed", "unchanged", "not published"]


class FetchError(DataError):
    """A file could not be fetched; the message names its address and what to do."""


class NotFound(FetchError):
    """The publisher has no such file, or no longer, or not yet (404 and 410)."""


class TermsNotAccepted(FetchError):
    """The user has not accepted the publisher's terms."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One file to fetch.

    Attributes
    ----------
    url
        Address without any key, so that it may be printed and stored.
    filename
        Name under which the bytes are saved; no folder.
    content
        What must come; anything else is an error and is not saved.
    publisher
        Whose terms apply.
    form, json
        Body of a POST; a request without body is a GET.
    secret_headers, secret_query
        Keys, sent and never shown.
    advice
        What the user can do when the publisher refuses; ends the error message.
    if_missing
        Requests to make in its place if there is no such file.
    optional
        Whether a missing file is an outcome and not an error.
    members
        For a ZIP archive, the pattern of the file names to unpack.
    problem
        Looks at the content and returns why it is a refusal in the right format, or None.
    follow
        Returns the requests that the answer leads to, from its content and headers.
    to_import
        Whether the file holds data, or only leads to others.
    """

    url: str
    filename: str
    content: Content
    publisher: Publisher
    form: Mapping[str, str] | None = None
    json: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, SecretStr] = field(default_factory=dict)
    secret_query: Mapping[str, SecretStr] = field(default_factory=dict)
    advice: str = ""
    if_missing: Sequence["Request"] = ()
    optional: bool = False
    members: str = ""
    problem: Callable[[bytes], str | None] | None = None
    follow: Callable[["Request", bytes, Mapping[str, str]], Sequence["Request"]] | None = None
    to_import: bool = True

    @property
    def method(self) -> str:
        """GET, or POST where there is a body."""
        return "GET" if self.form is None and self.json is None else "POST"

    @property
    def sent(self) -> Mapping[str, object] | None:
        """What the body says, if there is one."""
        return self.form if self.form is not None else self.json

    @property
    def fingerprint(self) -> str:
        """Hash of what is asked; equal requests ask for the same file."""
        asked = json.dumps([self.method, self.url, self.sent], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    @property
    def secrets(self) -> list[SecretStr]:
        """Every key of this request."""
        return [*self.secret_headers.values(), *self.secret_query.values()]

    def failure(self, text: str, kind: type[FetchError] = FetchError) -> FetchError:
        """Return an error that names the address and the advice, and shows no key."""
        advice = f" {self.advice}" if self.advice else ""
        return kind(hide(f"{self.method} {self.url}: {text}.{advice}", self.secrets))


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came of one request.

    Attributes
    ----------
    outcome
        ``new``; ``changed``, where the former version was kept; ``unchanged``; or ``not
        published``, where nothing was saved.
    path, provenance
        The file as it came, and the JSON file beside it; None if nothing was published.
    former
        Where the former version of a changed file is.
    unpacked
        Files unpacked from the archive at `path`.
    headers
        Those of the publisher's answer, in lower case.
    """

    request: Request
    outcome: Outcome
    path: Path | None = None
    provenance: Path | None = None
    former: Path | None = None
    unpacked: tuple[Path, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def to_import(self) -> tuple[Path, ...]:
        """The files to hand to the importer."""
        if self.path is None or not self.request.to_import:
            return ()
        return self.unpacked or (self.path,)
