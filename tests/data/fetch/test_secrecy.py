"""Keys go to the publisher they are for, and nowhere else."""

import logging
import ssl
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr

from gridhash.data.fetch.catalogue import fetch, sources
from gridhash.data.fetch.download import Downloader
from gridhash.data.fetch.request import FetchError
from gridhash.data.fetch.secrecy import hide
from gridhash.data.fetch.settings import Settings

KEY = "s3cr3t+key/with=signs"
SPELLINGS = (KEY, quote(KEY, safe=""), quote(KEY))


def _keyed(lab: Any, **more: Any) -> Any:
    return lab.request(
        "/api?documentType=A44",
        secret_query={"securityToken": SecretStr(KEY)},
        secret_headers={"X-Key": SecretStr(KEY)},
        **more,
    )


def _assert_hidden(text: str) -> None:
    assert not any(spelling in text for spelling in SPELLINGS), text


def test_a_key_is_sent_and_nowhere_written(
    lab: Any, csv: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    lab.server.on("/api", lab.server.text(csv, etag='"v1"'))
    with caplog.at_level(logging.DEBUG):
        fetched = lab.download(_keyed(lab))

    (seen,) = lab.server.seen
    assert seen.headers["x-key"] == KEY
    assert httpx.URL(seen.path).params["securityToken"] == KEY
    assert httpx.URL(seen.path).params["documentType"] == "A44"
    assert "HTTP Request: GET" in caplog.text
    _assert_hidden(caplog.text)
    _assert_hidden(repr(fetched))
    for path in lab.folder.iterdir():
        _assert_hidden(path.read_text(encoding="cp932", errors="replace"))


@pytest.mark.parametrize(
    "answer",
    [
        lambda s: s.text(f"<html><title>{KEY} is not valid</title>"),
        lambda s: s.text(f"<html><title>{KEY} is not valid</title>", 401),
        lambda s: s.text("", 302, location=f"ftp://127.0.0.1/?k={quote(KEY)}"),
        lambda s: s.text("", 302, location=f"/api?securityToken={quote(KEY, safe='')}"),
        lambda s: s.text("", 500),
        lambda s: s.reset(),
        lambda s: s.truncated(b"1,2\n" * 9, 4),
    ],
    ids=["page", "401", "protocol", "loop", "500", "reset", "cut"],
)
def test_no_error_shows_a_key(
    lab: Any, answer: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.server.on("/api", answer(lab.server))
    with caplog.at_level(logging.DEBUG), pytest.raises(FetchError) as raised:
        lab.download(_keyed(lab))

    _assert_hidden(str(raised.getrepr(style="value")))
    assert f"{lab.server.url}/api?documentType=A44" in str(raised.value)
    _assert_hidden(caplog.text)


def test_a_key_in_a_header_does_not_follow_to_another_host(lab: Any, csv: bytes) -> None:
    other = type(lab.server)()
    try:
        lab.server.on("/api", lab.server.text("", 302, location=f"{other.url}/b"))
        other.on("/b", other.text(csv))

        lab.download(_keyed(lab))

        assert lab.server.seen[0].headers["x-key"] == KEY
        assert "x-key" not in other.seen[0].headers
        assert KEY not in other.seen[0].path
    finally:
        other.close()


def test_a_key_follows_within_the_host(lab: Any, csv: bytes) -> None:
    lab.server.on("/api", lab.server.text("", 302, location="/b"))
    lab.server.on("/b", lab.server.text(csv))

    lab.download(_keyed(lab))

    assert lab.server.seen[1].headers["x-key"] == KEY


def test_encryption_is_never_given_up(lab: Any) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(301, headers={"Location": "http://127.0.0.1/file.csv"})

    with (
        Downloader(timing=lab.time.timing(), transport=httpx.MockTransport(answer)) as downloader,
        pytest.raises(FetchError, match="redirected without encryption"),
    ):
        downloader.download(lab.request(url="https://127.0.0.1/file.csv"), lab.folder)

    assert asked == ["https://127.0.0.1/file.csv"]


def test_a_bad_certificate_is_not_tried_again(lab: Any) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("bad") from ssl.SSLCertVerificationError("self-signed")

    with (
        Downloader(timing=lab.time.timing(), transport=httpx.MockTransport(answer)) as downloader,
        pytest.raises(FetchError, match="the connection failed: bad"),
    ):
        downloader.download(lab.request(url="https://127.0.0.1/file.csv"), lab.folder)

    assert len(asked) == 1


@pytest.mark.parametrize(
    ("name", "options", "variable", "sent"),
    [
        (
            "entsoe",
            {"area": "NL", "start": "2025-01-01", "end": "2025-01-02", "token": None},
            "ENTSOE_TOKEN",
            lambda seen: httpx.URL(seen.path).params["securityToken"],
        ),
        ("luxor", {"key": None}, "LUXOR_API_KEY", lambda seen: seen.headers["x-hi-api-key"]),
    ],
)
def test_keys_come_from_the_environment_or_an_option(
    lab: Any, name: str, options: dict[str, object], variable: str, sent: Any
) -> None:
    def run(environment: dict[str, str], **given: str) -> None:
        lab.server.on("/api", lab.server.text("<a/>"))
        lab.server.on("/v1/hashrateindex/hashprice", lab.server.text('{"data": []}'))
        with lab.downloader() as downloader:
            fetch(
                name,
                {**options, **given},
                data_dir=lab.folder,
                accept=lambda publisher: True,
                downloader=downloader,
                base_url=lab.server.url,
                environment=environment,
            )

    with pytest.raises(FetchError, match=f"needs a key: set the environment variable {variable}"):
        run({})
    run({variable: f" {KEY}\n"})
    run({variable: "not this"}, **{"token" if name == "entsoe" else "key": KEY})

    assert [sent(seen) for seen in lab.server.seen] == [KEY, KEY]
    written = [path for path in lab.folder.rglob("*") if path.is_file()]
    assert any(path.name.endswith(".provenance.json") for path in written)
    for path in written:
        _assert_hidden(path.read_text())


@pytest.mark.parametrize("key", ["two words", "鍵-0123", "line\nbreak"])
def test_what_can_be_no_key_is_refused_and_not_shown(lab: Any, key: str) -> None:
    with pytest.raises(FetchError, match="LUXOR_API_KEY or --key has a space") as raised:
        sources()["luxor"].requests({"key": key}, now=lab.time.clock(), environment={})

    assert key not in str(raised.value)


@pytest.mark.parametrize("user_agent", ["ブラウザ", "a\r\nX-Other: b"])
def test_a_user_agent_that_cannot_be_sent_is_refused(user_agent: str) -> None:
    with pytest.raises(FetchError, match="the user agent must be plain"):
        Settings(user_agent=user_agent)


def test_an_empty_key_hides_nothing() -> None:
    assert hide("a b", [SecretStr("")]) == "a b"


def test_the_log_filter_is_gone_afterwards(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.text(csv))
    before = {name: len(logging.getLogger(name).filters) for name in ("httpx", "httpcore.http11")}

    lab.download()

    assert before == {name: len(logging.getLogger(name).filters) for name in before}
