"""What comes whole is saved byte for byte; whatever else happens, nothing false is."""

import hashlib
import io
import json
import logging
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gridhash.data.fetch.folder_lock import locked
from gridhash.data.fetch.request import FetchError, NotFound
from gridhash.data.publishers import PUBLISHERS

WEB_PAGE = "<!DOCTYPE html>\n<html><head><title>ただいま  メンテナンス中</title></head><body>…"


def _stored(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.csv", content)
    return buffer.getvalue()


STORED = _stored(b"slot,price\n1,0.01\n")


def test_a_file_is_saved_byte_for_byte_with_its_provenance(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.text(csv, content_type="text/csv", etag='"v1"'))

    fetched = lab.download()

    assert fetched.outcome == "new"
    assert fetched.path.read_bytes() == csv
    assert fetched.to_import == (fetched.path,)
    assert lab.left == {"file.csv", "file.csv.provenance.json"}
    assert json.loads(fetched.provenance.read_text()) == {
        "url": f"{lab.server.url}/file.csv",
        "final_url": f"{lab.server.url}/file.csv",
        "method": "GET",
        "sent": None,
        "retrieved_at": "2026-04-20T03:00:00+00:00",
        "checked_at": "2026-04-20T03:00:00+00:00",
        "sha256": hashlib.sha256(csv).hexdigest(),
        "size_bytes": len(csv),
        "content_type": "text/csv",
        "etag": '"v1"',
        "last_modified": "",
        "publisher": PUBLISHERS["jepx"].name,
        "licence": PUBLISHERS["jepx"].licence,
        "terms_url": PUBLISHERS["jepx"].terms_url,
        "tool": "gridhash 0.1.0",
        "archive": "",
    }


@pytest.mark.parametrize("encoding", ["cp932", "utf-8-sig", "utf-16", "euc-jp"])
def test_bytes_stay_as_they_are_whatever_encoding_is_declared(lab: Any, encoding: str) -> None:
    body = "年月日,価格\r\n2026/04/01,0.01\r\n".encode(encoding)
    lab.server.on("/file.csv", lab.server.text(body, content_type="text/html; charset=latin-1"))

    assert lab.download().path.read_bytes() == body


def test_we_say_who_we_are_and_ask_for_plain_bytes(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.text(csv))

    lab.download()
    lab.download(user_agent="Mozilla/5.0")

    assert [seen.headers["user-agent"] for seen in lab.server.seen] == [
        "gridhash/0.1.0",
        "Mozilla/5.0",
    ]
    assert lab.server.seen[0].headers["accept-encoding"] == "identity"


def test_a_form_is_posted(lab: Any, csv: bytes) -> None:
    lab.server.on("/get", lab.server.text(csv))
    form = {"dir": "spot_summary", "file": "spot_summary_2024.csv"}

    fetched = lab.download(lab.request("/get", form=form, headers={"Referer": "https://x.jp/"}))

    (seen,) = lab.server.seen
    assert (seen.method, seen.headers["referer"]) == ("POST", "https://x.jp/")
    assert seen.body == b"dir=spot_summary&file=spot_summary_2024.csv"
    assert json.loads(fetched.provenance.read_text())["sent"] == form


def test_gzip_that_nobody_asked_for_is_unpacked(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.gzipped(csv))

    assert lab.download().path.read_bytes() == csv


@pytest.mark.parametrize(
    ("steps", "waits_s"),
    [
        (lambda s: [s.text("", 503)], [(0.5, 1.0)]),
        (lambda s: [s.text("", 503, retry_after="7")], [(7, 7)]),
        (lambda s: [s.text("", 429, retry_after="11")], [(11, 11)]),
        (
            lambda s: [s.text("", 429, retry_after="Mon, 20 Apr 2026 03:00:42 GMT")],
            [(42, 42)],
        ),
        (lambda s: [s.text("", 429, retry_after="soon")], [(0.5, 1.0)]),
        (
            lambda s: [s.text("", 500), s.text("", 502), s.text("", 504), s.text("", 408)],
            [(0.5, 1), (1, 2), (2, 4), (4, 8)],
        ),
        (lambda s: [s.reset()], [(0.5, 1.0)]),
        (lambda s: [s.truncated(b"a,b\n" * 9, at=0)], [(0.5, 1.0)]),
    ],
    ids=["503", "503 in s", "429 in s", "429 at", "429 soon", "5xx and 408", "reset", "cut"],
)
def test_what_may_pass_is_tried_again_after_a_wait(
    lab: Any, csv: bytes, steps: Any, waits_s: list[tuple[float, float]]
) -> None:
    lab.server.on("/file.csv", *steps(lab.server), lab.server.text(csv))

    fetched = lab.download()

    assert fetched.path.read_bytes() == csv
    assert len(lab.time.slept_s) == len(waits_s)
    for slept_s, (least_s, most_s) in zip(lab.time.slept_s, waits_s, strict=True):
        assert least_s <= slept_s <= most_s


@pytest.mark.parametrize(
    ("status", "says"),
    [(500, "500 Internal Server Error"), (503, "being built, or too busy"), (429, "429")],
)
def test_a_server_that_never_recovers_is_left_after_five_attempts(
    lab: Any, status: int, says: str
) -> None:
    lab.server.on("/file.csv", lab.server.text("", status))

    with pytest.raises(FetchError, match=says):
        lab.download()

    assert len(lab.server.seen) == 5
    assert lab.left == set()


def test_a_wait_of_hours_is_left_to_the_user(lab: Any) -> None:
    lab.server.on("/file.csv", lab.server.text("", 503, retry_after="7200"))

    with pytest.raises(FetchError, match="come back in 7200 s"):
        lab.download()

    assert lab.time.slept_s == []


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (404, NotFound, "no such file, or not yet"),
        (410, NotFound, "no such file, or not yet"),
        (403, FetchError, "refuses with 403 Forbidden: “Zugang verweigert”. Try a browser."),
        (401, FetchError, "refuses with 401 Unauthorized: “Zugang verweigert”"),
        (400, FetchError, "refuses with 400 Bad Request"),
    ],
)
def test_a_refusal_is_final_and_gives_its_reason(
    lab: Any, status: int, kind: type[FetchError], says: str
) -> None:
    lab.server.on("/file.csv", lab.server.text('{"reason": "Zugang verweigert"}', status))

    with pytest.raises(kind) as raised:
        lab.download(lab.request(advice="Try a browser."))

    assert says in str(raised.value)
    assert f"GET {lab.server.url}/file.csv: " in str(raised.value)
    assert len(lab.server.seen) == 1
    assert lab.left == set()


def test_204_means_that_nothing_is_published_yet(lab: Any) -> None:
    lab.server.on("/file.csv", lab.server.text("", 204))

    fetched = lab.download()

    assert (fetched.outcome, fetched.path, fetched.to_import) == ("not published", None, ())
    assert lab.left == set()


def test_redirects_are_followed_and_noted(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.text("", 302, location="/a"))
    lab.server.on("/a", lab.server.text("", 307, location=f"{lab.server.url}/b"))
    lab.server.on("/b", lab.server.text(csv))

    fetched = lab.download()

    assert fetched.path.read_bytes() == csv
    assert json.loads(fetched.provenance.read_text())["final_url"] == f"{lab.server.url}/b"


def test_a_redirect_loop_ends(lab: Any) -> None:
    lab.server.on("/file.csv", lab.server.text("", 302, location="/file.csv"))

    with pytest.raises(FetchError, match="redirected more than 5 times"):
        lab.download()

    assert len(lab.server.seen) == 6


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_a_redirect_to_another_protocol_is_refused(lab: Any, location: str) -> None:
    lab.server.on("/file.csv", lab.server.text("", 302, location=location))

    with pytest.raises(FetchError):
        lab.download()

    assert lab.left == set()


@pytest.mark.parametrize(
    ("body", "content", "says"),
    [
        (WEB_PAGE, "csv", "a web page came instead of CSV: “ただいま メンテナンス中”"),
        (WEB_PAGE.encode("cp932", "ignore"), "csv", "“ただいま メンテナンス中”"),
        ("\n <html><body>Access denied</body>", "json", "instead of JSON: “Access denied”"),
        ("Warning: a, b\n" + WEB_PAGE, "csv", "a web page came instead of CSV: “ただいま"),
        (WEB_PAGE, "zip", "a web page came instead of ZIP"),
        (WEB_PAGE, "xml", "a web page came instead of XML"),
        ("", "csv", "the answer is empty"),
        ("\ufeff \r\n", "csv", "the answer is empty"),
        ("Access denied", "csv", "no CSV came but one column of text: “Access denied”"),
        ('{"error": "no such table"}', "csv", "no CSV came but “no such table”"),
        ("<Error><Code>AccessDenied</Code></Error>", "csv", "no CSV came but “AccessDenied”"),
        (b"PK\x03\x04,,,,", "csv", "a ZIP archive came instead of CSV"),
        (b"%PDF-1.7,,,", "csv", "a PDF document came instead of CSV"),
        ('{"hourly": {"time": [', "json", "no JSON came, or only a part of it"),
        ("PK\x03\x04 and no more", "zip", "no ZIP archive came, or only a part of it"),
        (STORED.replace(b"0.01", b"0.02"), "zip", "the archive came damaged at a.csv"),
        (STORED[:-30], "zip", "no ZIP archive came, or only a part of it"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "xml", "no XML came"),
        ("<a><b></a>", "xml", "no XML came, or only a part of it"),
    ],
)
def test_another_kind_of_content_is_named_and_not_saved(
    lab: Any, body: str | bytes, content: str, says: str
) -> None:
    lab.server.on("/file", lab.server.text(body, content_type="text/csv"))

    with pytest.raises(FetchError) as raised:
        lab.download(lab.request("/file", content))

    assert says in str(raised.value)
    assert "nothing was saved" in str(raised.value)
    assert lab.left == set()
    assert len(lab.server.seen) == 1


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_a_file_is_not_saved(lab: Any, csv: bytes, announced: bool) -> None:
    headers = {} if announced else {"content_length": "", "connection": "close"}
    lab.server.on("/file.csv", lab.server.text(csv, **headers))

    says = f"the file has {len(csv)} bytes" if announced else "is larger than 10000 bytes"
    with pytest.raises(FetchError, match=says):
        lab.download(max_bytes=10_000)

    assert lab.left == set()


def test_a_body_without_end_is_cut_off(lab: Any) -> None:
    sent = []

    def pour(handler: Any) -> None:
        lab.server.text(b"", content_length="", connection="close")(handler)
        for _ in range(2000):
            handler.wfile.write(b"1,2,3\n" * 10_000)
            sent.append(60_000)

    lab.server.on("/file.csv", pour)
    with pytest.raises(FetchError, match="larger than 100000 bytes"):
        lab.download(max_bytes=100_000)
    lab.server.close()

    assert sum(sent) < 60_000_000


def test_a_packed_bomb_is_not_saved(lab: Any) -> None:
    lab.server.on("/file.csv", lab.server.gzipped(b"1,2,3\n" * 1_000_000))

    with pytest.raises(FetchError, match="larger than 100000 bytes"):
        lab.download(max_bytes=100_000)

    assert lab.left == set()


def test_an_unknown_packing_is_refused(lab: Any) -> None:
    lab.server.on("/file.csv", lab.server.text(b"\x0b\x02\x80", content_encoding="br"))

    with pytest.raises(FetchError, match="packs the file as br"):
        lab.download()


def test_damaged_gzip_is_tried_again(lab: Any, csv: bytes) -> None:
    broken = lab.server.text(b"no gzip", content_encoding="gzip")
    lab.server.on("/file.csv", broken, lab.server.text(csv))

    assert lab.download().path.read_bytes() == csv


def test_nobody_listening_is_an_error_that_names_the_address(lab: Any) -> None:
    lab.server.close()

    with pytest.raises(FetchError, match=r"the connection failed: .*refused.*5 times"):
        lab.download()

    assert len(lab.time.slept_s) == 4


def test_requests_to_one_host_keep_their_distance(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.text("", 302, location="/b"))
    lab.server.on("/b", lab.server.text(csv))

    with lab.downloader(interval_s=2.0) as downloader:
        downloader.download(lab.request(), lab.folder)
        downloader.download(lab.request("/b"), lab.folder)

    assert lab.time.slept_s == [2.0, 2.0]


@pytest.mark.parametrize("how", ["etag", "last-modified", "bytes"])
def test_an_unchanged_file_stays_and_its_check_is_noted(lab: Any, csv: bytes, how: str) -> None:
    headers = {
        "etag": {"etag": '"v1"'},
        "last-modified": {"last_modified": "Wed, 01 Apr 2026 00:00:00 GMT"},
        "bytes": {},
    }[how]
    lab.server.on("/file.csv", lab.server.file(csv, **headers))
    first = lab.download()
    modified_ns = first.path.stat().st_mtime_ns
    lab.time.sleep(3600)

    second = lab.download()

    assert second.outcome == "unchanged"
    assert second.to_import == (first.path,)
    assert first.path.stat().st_mtime_ns == modified_ns
    noted = json.loads(second.provenance.read_text())
    assert noted["retrieved_at"] == "2026-04-20T03:00:00+00:00"
    assert noted["checked_at"] == "2026-04-20T04:00:00+00:00"
    assert noted["sha256"] == hashlib.sha256(csv).hexdigest()
    assert lab.left == {"file.csv", "file.csv.provenance.json"}


def test_a_changed_file_keeps_the_version_before(lab: Any, csv: bytes) -> None:
    longer = csv + b"2026/04/02,1,9.99\r\n"
    lab.server.on("/file.csv", lab.server.file(csv, '"v1"'), lab.server.file(longer, '"v2"'))
    lab.download()
    lab.time.sleep(86400)

    fetched = lab.download()

    digest = hashlib.sha256(csv).hexdigest()
    assert fetched.outcome == "changed"
    assert fetched.path.read_bytes() == longer
    assert fetched.former == lab.folder / "former" / f"file.20260420T030000Z.{digest[:8]}.csv"
    assert fetched.former.read_bytes() == csv
    assert lab.left == {
        "file.csv",
        "file.csv.provenance.json",
        f"former/{fetched.former.name}",
        f"former/{fetched.former.name}.provenance.json",
    }


def test_a_file_edited_here_is_fetched_again_and_kept_aside(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.file(csv, '"v1"'))
    path = lab.download().path
    path.write_bytes(b"mine,1\n")

    fetched = lab.download()

    assert "if-none-match" not in lab.server.seen[-1].headers
    assert (fetched.outcome, path.read_bytes()) == ("changed", csv)
    assert fetched.former.read_bytes() == b"mine,1\n"


def test_a_page_in_place_of_a_known_file_leaves_the_file(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.text(csv), lab.server.text(WEB_PAGE))
    path = lab.download().path

    with pytest.raises(FetchError, match="web page"):
        lab.download()

    assert path.read_bytes() == csv
    assert lab.left == {"file.csv", "file.csv.provenance.json"}


def test_two_fetches_into_one_folder_do_not_mix(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.text(csv))
    with locked(lab.folder), pytest.raises(FetchError, match="another fetch is writing here"):
        lab.download()

    assert lab.download().outcome == "new"


def test_a_folder_that_cannot_be_written_is_an_error(lab: Any, csv: bytes, tmp_path: Path) -> None:
    lab.server.on("/file.csv", lab.server.text(csv))
    lab.folder = tmp_path / "file" / "raw"
    lab.folder.parent.write_text("in the way")

    with pytest.raises(FetchError, match="cannot be saved in"):
        lab.download()


def test_provenance_is_dated_by_the_clock_given(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.text(csv))
    lab.time.passed_s = 90.0

    noted = json.loads(lab.download().provenance.read_text())

    assert datetime.fromisoformat(noted["retrieved_at"]) == datetime(
        2026, 4, 20, 3, 1, 30, tzinfo=UTC
    )


def test_no_test_reaches_another_machine(lab: Any) -> None:
    """The guards themselves work: the transport's, and the sockets'."""
    with pytest.raises(AssertionError, match=r"a test asks https://example\.org"):
        lab.download(lab.request(url="https://example.org/file.csv"))
    with pytest.raises(AssertionError, match="a test connects to"), httpx.Client() as client:
        client.get("http://192.0.2.1/")


def test_the_libraries_log_nothing_louder_than_a_request(
    lab: Any, csv: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    lab.server.on("/file.csv", lab.server.text(csv))
    with caplog.at_level(logging.INFO):
        lab.download()

    assert all(record.levelno <= logging.INFO for record in caplog.records)
