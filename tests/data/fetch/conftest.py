"""A server on loopback that behaves as badly as the publishers' own, and time that is ours."""

import contextlib
import gzip
import io
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from gridhash.data.fetch.download import Downloader
from gridhash.data.fetch.request import Content, Fetched, Request
from gridhash.data.fetch.settings import Settings, Timing
from gridhash.data.publishers import PUBLISHERS

NOW = datetime(2026, 4, 20, 3, 0, tzinfo=UTC)
CSV = "年月日,時刻コード,価格\r\n".encode("cp932") + b"".join(
    b"2026/04/01,%d,%d.05\r\n" % (slot, slot) for slot in range(1, 2001)
)

Step = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Server:
    """Plays steps per path, the last one for ever, and remembers what was asked."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._steps: dict[str, list[Step]] = {}
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def answer(self) -> None:
                self.close_connection = True
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.seen.append(Seen(self.command, self.path, headers, body))
                steps = outer._steps.get(self.path) or outer._steps.get(self.path.split("?")[0])
                step = (steps.pop(0) if len(steps) > 1 else steps[0]) if steps else text("", 404)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    step(self)

            do_GET = answer
            do_POST = answer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def on(self, path: str, *steps: Step) -> None:
        self._steps[path] = list(steps)

    def text(self, body: str | bytes, status: int = 200, **headers: str) -> Step:
        return text(body, status, **headers)

    def file(self, body: bytes, etag: str = "", **headers: str) -> Step:
        """Serve a file as RFC 9110 says, with ranges and conditions."""

        def step(handler: BaseHTTPRequestHandler) -> None:
            asked = handler.headers
            changed = headers.get("last_modified", "")
            same = [(asked["If-None-Match"], etag), (asked["If-Modified-Since"], changed)]
            if any(sent and sent == has for sent, has in same):
                return text(b"", 304, etag=etag)(handler)
            range_ = re.fullmatch(r"bytes=(\d+)-", asked["Range"] or "")
            if range_ and asked["If-Range"] in (etag, changed):
                start = int(range_[1])
                if start >= len(body):
                    return text(b"", 416, content_range=f"bytes */{len(body)}")(handler)
                span = f"bytes {start}-{len(body) - 1}/{len(body)}"
                return text(body[start:], 206, etag=etag, content_range=span)(handler)
            return text(body, 200, etag=etag, **headers)(handler)

        return step

    def truncated(self, body: bytes, at: int, **headers: str) -> Step:
        """Announce the whole body and hang up in its midst."""
        return text(body[:at], 200, content_length=str(len(body)), **headers)

    def gzipped(self, body: bytes) -> Step:
        return text(gzip.compress(body), content_encoding="gzip", content_type="text/csv")

    def reset(self) -> Step:
        def step(handler: BaseHTTPRequestHandler) -> None:
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            handler.connection.close()
            handler.wfile.close()
            handler.wfile = io.BytesIO()

        return step

    def stall(self, body: bytes = b"", at: int = 0, **headers: str) -> Step:
        """Send a part, then nothing for as long as the test lasts."""

        def step(handler: BaseHTTPRequestHandler) -> None:
            self.truncated(body, at, **headers)(handler)
            handler.wfile.flush()
            self._closing.wait(5)

        return step

    def drip(self, body: bytes, pause_s: float, size: int, **headers: str) -> Step:
        def step(handler: BaseHTTPRequestHandler) -> None:
            self.truncated(body, 0, **headers)(handler)
            for at in range(0, len(body), size):
                handler.wfile.write(body[at : at + size])
                handler.wfile.flush()
                if self._closing.wait(pause_s):
                    return

        return step


def text(body: str | bytes, status: int = 200, **headers: str) -> Step:
    content = body.encode() if isinstance(body, str) else body

    def step(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        fields = {"content_length": str(len(content)), **headers}
        if status in (204, 304):
            del fields["content_length"]
        for name, value in fields.items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return step


@dataclass
class OurTime:
    """Time that passes only by sleeping, which takes none."""

    passed_s: float = 0.0
    slept_s: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.passed_s += seconds

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.passed_s)

    def timing(self, monotonic: Callable[[], float] | None = None) -> Timing:
        return Timing(
            clock=self.clock,
            monotonic=monotonic or (lambda: self.passed_s),
            sleep=self.sleep,
            chance=random.Random(7),
        )


class Loopback(httpx.HTTPTransport):
    """The network as far as 127.0.0.1, where nothing is encrypted."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "127.0.0.1", f"a test asks {request.url}"
        return super().handle_request(request)


@dataclass
class Lab:
    """A server, a folder and our time, and a short way to download between them."""

    server: Server
    folder: Path
    time: OurTime

    def downloader(self, *, real_time: bool = False, **settings: Any) -> Downloader:
        timing = self.time.timing(time.monotonic if real_time else None)
        return Downloader(
            Settings(**{"interval_s": 0.0, **settings}), timing, transport=Loopback(verify=False)
        )

    def request(self, path: str = "/file.csv", content: Content = "csv", **more: Any) -> Request:
        return Request(
            **{
                "url": self.server.url + path,
                "filename": "file." + content,
                "content": content,
                "publisher": PUBLISHERS["jepx"],
                **more,
            }
        )

    def download(self, request: Request | None = None, **settings: Any) -> Fetched:
        with self.downloader(**settings) as downloader:
            return downloader.download(request or self.request(), self.folder)

    @property
    def left(self) -> set[str]:
        """Names of all files in the folder but the lock."""
        paths = self.folder.rglob("*") if self.folder.exists() else iter(())
        return {p.relative_to(self.folder).as_posix() for p in paths if p.is_file()} - {".lock"}


@pytest.fixture(autouse=True)
def _no_other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no socket connect beyond loopback, whatever opens it."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if not str(address[0]).startswith("127."):
            self.close()
            raise AssertionError(f"a test connects to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    serving = Server()
    yield serving
    serving.close()


@pytest.fixture
def lab(server: Server, tmp_path: Path) -> Lab:
    return Lab(server, tmp_path / "raw", OurTime())


@pytest.fixture(scope="session")
def csv() -> bytes:
    """A file of some 40 kB in cp932."""
    return CSV
