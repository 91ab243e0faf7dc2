"""Download one file at a time: politely, resumably, and whole or not at all."""

import email.utils
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn, Self

import httpx

from gridhash.data.fetch.archive import unpack
from gridhash.data.fetch.content import describe, wrong_content
from gridhash.data.fetch.folder_lock import locked
from gridhash.data.fetch.part_file import PartFile, total_bytes
from gridhash.data.fetch.provenance import (
    Provenance,
    note_check,
    provenance_path,
    put_in_place,
    read_provenance,
    sha256_of,
)
from gridhash.data.fetch.request import Fetched, NotFound, Outcome, Request
from gridhash.data.fetch.secrecy import hidden_in_logs, hide
from gridhash.data.fetch.settings import TOOL, Settings, Timing

_BUSY = (408, 425, 429)
_ENCODINGS = ("", "identity", "gzip", "deflate")
_REASON_BYTES = 65_536


class _TryAgain(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(frozen=True)
class _Answer:
    kind: Literal["whole", "unchanged", "not published"]
    url: str
    headers: Mapping[str, str]


class Downloader:
    """Downloads files with one set of limits; keeps the pace at each host.

    Use it as a context manager, from one thread.

    Parameters
    ----------
    settings
        Limits and the user agent.
    timing
        Clocks, waiting and chance.
    transport
        In place of the network, for tests. None follows the environment's proxy settings.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        timing: Timing | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.timing = timing or Timing()
        self._last_at_s: dict[str, float] = {}
        self._client = httpx.Client(
            transport=transport,
            follow_redirects=False,
            timeout=httpx.Timeout(
                self.settings.read_timeout_s, connect=self.settings.connect_timeout_s
            ),
            # Plain bytes, so that a download can be resumed and its length checked.
            headers={"User-Agent": self.settings.user_agent, "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        """Return the downloader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._client.close()

    def download(self, request: Request, folder: Path) -> Fetched:
        """Save one file in the folder, with its provenance beside it.

        What had come of an interrupted download is resumed where the server allows it. A file
        that is here already is fetched only if it changed; its former version is then kept in
        ``former/``.

        Raises
        ------
        NotFound
            If there is no such file.
        FetchError
            If the server refuses, fails for good or sends something else, if the file is too
            large, the time is up or the disk is full, or if another process fetches into this
            folder. What had come is left in a ``.part`` for the next run, unless it was wrong.
        """
        try:
            with locked(folder), hidden_in_logs(request.secrets):
                return self._download(request, folder / request.filename)
        except OSError as err:
            raise request.failure(f"cannot be saved in {folder}: {err.strerror}") from err

    def _download(self, request: Request, target: Path) -> Fetched:
        part = PartFile(target)
        known = read_provenance(target)
        answer = self._ask_until_answered(request, part, known)
        if answer.kind == "not published":
            part.discard()
            return Fetched(request=request, outcome="not published", headers=answer.headers)
        former: Path | None = None
        outcome: Outcome = "unchanged"
        if answer.kind == "unchanged" and known is not None:
            provenance = self._provenance(request, answer, known.sha256, known.size_bytes)
            note_check(target, provenance)
        else:
            self._check(request, part, answer)
            part.complete()
            provenance = self._provenance(request, answer, sha256_of(part.path), part.size)
            outcome, former = put_in_place(part.path, target, provenance)
        return Fetched(
            request=request,
            outcome=outcome,
            path=target,
            provenance=provenance_path(target),
            former=former,
            unpacked=unpack(request, target, provenance, self.settings.max_bytes)
            if request.members
            else (),
            headers=answer.headers,
        )

    def _ask_until_answered(
        self, request: Request, part: PartFile, known: Provenance | None
    ) -> _Answer:
        deadline_s = self.timing.monotonic() + self.settings.deadline_s
        failures = 0
        while True:
            size = part.size
            try:
                return self._ask(request, part, known, deadline_s)
            except _TryAgain as err:
                failures = 1 if part.size > size else failures + 1
                wait_s = self._backoff_s(failures) if err.wait_s is None else err.wait_s
                if failures >= self.settings.attempts:
                    raise request.failure(
                        f"{err}, {failures} times in a row; try again later"
                    ) from None
                if wait_s > self.settings.retry_after_max_s:
                    raise request.failure(
                        f"{err}; the server asks to come back in {wait_s:.0f} s"
                    ) from None
                if self.timing.monotonic() + wait_s > deadline_s:
                    self._time_is_up(request, part, str(err))
                self.timing.sleep(wait_s)

    def _backoff_s(self, failures: int) -> float:
        longest = self.settings.backoff_s * 2.0 ** (failures - 1)
        share = self.timing.chance.uniform(0.5, 1.0)
        return min(self.settings.backoff_max_s, longest) * share

    def _ask(
        self, request: Request, part: PartFile, known: Provenance | None, deadline_s: float
    ) -> _Answer:
        headers = part.range_headers(request)
        # What a request leads to may stand in the answer's headers, so it is asked in full.
        if not headers and known is not None and request.method == "GET" and not request.follow:
            headers = _if_changed(known)
        try:
            with closing(self._send(request, headers)) as response:
                return self._take(request, part, response, known, deadline_s)
        except (httpx.TransportError, httpx.DecodingError) as err:
            # Without its cause, which may hold the address with the key.
            text = hide(str(err) or type(err).__name__, request.secrets)
            if _is_permanent(err):
                raise request.failure(f"the connection failed: {text}") from None
            raise _TryAgain(f"the connection failed: {text}") from None

    def _send(self, request: Request, headers: Mapping[str, str]) -> httpx.Response:
        secret_headers = {
            name: secret.get_secret_value() for name, secret in request.secret_headers.items()
        }
        url = httpx.URL(request.url)
        for name, secret in request.secret_query.items():
            url = url.copy_add_param(name, secret.get_secret_value())
        asked = self._client.build_request(
            request.method,
            url,
            data=request.form,
            json=request.json,
            headers={**request.headers, **secret_headers, **headers},
        )
        for _ in range(self.settings.max_redirects + 1):
            self._keep_pace(asked.url.host)
            response = self._client.send(asked, stream=True)
            self._last_at_s[asked.url.host] = self.timing.monotonic()
            following = response.next_request
            if following is None:
                return response
            response.close()
            if asked.url.scheme == "https" and following.url.scheme != "https":
                raise request.failure(f"redirected without encryption to {following.url}")
            if _origin(following.url) != _origin(asked.url):
                for name in request.secret_headers:
                    following.headers.pop(name, None)
            asked = following
        raise request.failure(
            f"redirected more than {self.settings.max_redirects} times, at last to {asked.url}"
        )

    def _keep_pace(self, host: str) -> None:
        last_s = self._last_at_s.get(host)
        if last_s is not None:
            wait_s = last_s + self.settings.interval_s - self.timing.monotonic()
            if wait_s > 0:
                self.timing.sleep(wait_s)

    def _take(
        self,
        request: Request,
        part: PartFile,
        response: httpx.Response,
        known: Provenance | None,
        deadline_s: float,
    ) -> _Answer:
        status = response.status_code
        headers = {name.lower(): value for name, value in response.headers.items()}
        final_url = hide(str(response.url), request.secrets)
        conditional = {"if-none-match", "if-modified-since"} & response.request.headers.keys()
        if status == 304 and conditional:
            return _Answer("unchanged", final_url, headers)
        if status == 204:
            return _Answer("not published", final_url, headers)
        if status == 206 and part.continues(request, headers):
            self._receive(request, part, response, deadline_s)
            self._check_length(part, total_bytes(headers))
            return _Answer("whole", final_url, headers)
        if status in (206, 416):
            part.discard()
            raise _TryAgain("the server gave another part of the file than was asked")
        if status == 200:
            encoding = headers.get("content-encoding", "").lower()
            if encoding not in _ENCODINGS:
                raise request.failure(f"the server packs the file as {encoding}, unasked")
            plain = encoding in ("", "identity")
            part.begin(request, headers, resumable=plain)
            self._receive(request, part, response, deadline_s)
            length = headers.get("content-length", "")
            self._check_length(part, int(length) if plain and length.isdecimal() else None)
            return _Answer("whole", final_url, headers)
        self._refused(request, response)

    def _receive(
        self, request: Request, part: PartFile, response: httpx.Response, deadline_s: float
    ) -> None:
        largest = self.settings.max_bytes
        size = part.size
        length = response.headers.get("content-length", "")
        if length.isdecimal() and size + int(length) > largest:
            part.discard()
            raise request.failure(f"the file has {size + int(length)} bytes, more than {largest}")
        with part.path.open("ab", buffering=0) as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                size += len(chunk)
                if size > largest:
                    break
                if self.timing.monotonic() > deadline_s:
                    self._time_is_up(request, part, "the server is slow")
        if size > largest:
            part.discard()
            raise request.failure(f"the file is larger than {largest} bytes")

    def _time_is_up(self, request: Request, part: PartFile, why: str) -> NoReturn:
        raise request.failure(
            f"{why}, and the {self.settings.deadline_s:g} s for one file are over; {part.size} "
            "bytes have come: run again to go on"
        ) from None

    def _check_length(self, part: PartFile, expected: int | None) -> None:
        if expected is not None and part.size < expected:
            raise _TryAgain(f"only {part.size} of {expected} bytes came")
        if expected is not None and part.size > expected:
            part.discard()
            raise _TryAgain(f"more than the {expected} bytes of the file came")

    def _refused(self, request: Request, response: httpx.Response) -> NoReturn:
        status = response.status_code
        said = f"{status} {response.reason_phrase}".strip()
        if status in _BUSY or status >= 500:
            meaning = " (being built, or too busy)" if status == 503 else ""
            raise _TryAgain(f"the server answers {said}{meaning}", self._retry_after_s(response))
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) >= _REASON_BYTES:
                break
        reason = describe(body, response.headers.get("content-type", "")) if body else "no reason"
        if status in (404, 410):
            raise request.failure(
                f"there is no such file, or not yet, or no longer ({said})", NotFound
            )
        raise request.failure(f"the server refuses with {said}: {reason}")

    def _retry_after_s(self, response: httpx.Response) -> float | None:
        value = response.headers.get("retry-after", "").strip()
        if value.isdecimal():
            return float(value)
        try:
            moment = email.utils.parsedate_to_datetime(value)
            return max(0.0, (moment - self.timing.clock()).total_seconds())
        except (ValueError, TypeError):
            return None

    def _check(self, request: Request, part: PartFile, answer: _Answer) -> None:
        wrong = wrong_content(part.path, request.content, answer.headers.get("content-type", ""))
        if wrong is None and request.problem is not None:
            wrong = request.problem(part.path.read_bytes())
        if wrong is not None:
            part.discard()
            raise request.failure(f"{wrong}; nothing was saved")

    def _provenance(
        self, request: Request, answer: _Answer, sha256: str, size_bytes: int
    ) -> Provenance:
        now = self.timing.clock().isoformat(timespec="seconds")
        return Provenance(
            url=request.url,
            final_url=answer.url,
            method=request.method,
            sent=request.sent,
            retrieved_at=now,
            checked_at=now,
            sha256=sha256,
            size_bytes=size_bytes,
            content_type=answer.headers.get("content-type", ""),
            etag=answer.headers.get("etag", ""),
            last_modified=answer.headers.get("last-modified", ""),
            publisher=request.publisher.name,
            licence=request.publisher.licence,
            terms_url=request.publisher.terms_url,
            tool=TOOL,
        )


def _if_changed(known: Provenance) -> dict[str, str]:
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in headers.items() if value}


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _is_permanent(err: BaseException | None) -> bool:
    """Whether trying again cannot help: a bad certificate or a protocol that is none."""
    if isinstance(err, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return True
    while err is not None:
        if isinstance(err, ssl.SSLCertVerificationError):
            return True
        err = err.__cause__ or err.__context__
    return False
