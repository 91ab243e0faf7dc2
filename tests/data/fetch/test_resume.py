"""What has come of a file is never asked for twice, and never mixed with another version.

`GRIDHASH_FETCH_KILLS` sets how many downloads are killed at a random instant; 3 if it is not set.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gridhash.data.fetch.request import FetchError

HALF = 20_000
KILLS = int(os.environ.get("GRIDHASH_FETCH_KILLS", "3"))
DATE = {"last_modified": "Wed, 01 Apr 2026 00:00:00 GMT"}

# Downloads in a process of its own, as a user's command does.
PROGRAM = """
import sys
from pathlib import Path
from gridhash.data.fetch.download import Downloader
from gridhash.data.fetch.request import Request
from gridhash.data.publishers import PUBLISHERS

url, folder = sys.argv[1:]
request = Request(url=url, filename="file.csv", content="csv", publisher=PUBLISHERS["jepx"])
with Downloader() as downloader:
    print(downloader.download(request, Path(folder)).outcome)
"""


@pytest.mark.parametrize("headers", [{"etag": '"v1"'}, DATE], ids=["etag", "last-modified"])
def test_a_cut_body_is_completed_from_where_it_ended(
    lab: Any, csv: bytes, headers: dict[str, str]
) -> None:
    lab.server.on(
        "/file.csv",
        lab.server.truncated(csv, HALF, **headers),
        lab.server.file(csv, **headers),
    )

    fetched = lab.download()

    assert fetched.path.read_bytes() == csv
    second = lab.server.seen[1].headers
    assert second["range"] == f"bytes={HALF}-"
    assert second["if-range"] == next(iter(headers.values()))
    assert lab.left == {"file.csv", "file.csv.provenance.json"}


def test_every_new_byte_counts_as_progress(lab: Any, csv: bytes) -> None:
    """A line that drops twenty times still brings the file, where five failures end a dead one."""

    def drop(handler: Any) -> None:
        start = int((handler.headers["Range"] or "bytes=0-")[6:-1])
        if start == 0:
            lab.server.truncated(csv, 2000, etag='"v1"')(handler)
            return
        end = min(start + 2000, len(csv))
        span = f"bytes {start}-{len(csv) - 1}/{len(csv)}"
        length = str(len(csv) - start)
        lab.server.text(
            csv[start:end], 206, etag='"v1"', content_range=span, content_length=length
        )(handler)

    lab.server.on("/file.csv", drop)

    assert lab.download().path.read_bytes() == csv
    assert len(lab.server.seen) == -(-len(csv) // 2000) > 5


def test_a_server_that_ignores_ranges_sends_all_of_it_again(lab: Any, csv: bytes) -> None:
    lab.server.on(
        "/file.csv", lab.server.truncated(csv, HALF, etag='"v1"'), lab.server.text(csv, etag='"v1"')
    )

    assert lab.download().path.read_bytes() == csv
    assert "range" in lab.server.seen[1].headers


def test_a_server_that_always_cuts_is_left(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.truncated(csv, HALF, etag='"v1"'))

    with pytest.raises(FetchError, match="5 times in a row"):
        lab.download()

    assert "file.csv" not in lab.left


@pytest.mark.parametrize("headers", [{}, {"etag": 'W/"v1"'}, {"last_modified": "today"}])
def test_without_an_exact_validator_nothing_is_pieced_together(
    lab: Any, csv: bytes, headers: dict[str, str]
) -> None:
    lab.server.on(
        "/file.csv", lab.server.truncated(csv, HALF, **headers), lab.server.text(csv, **headers)
    )

    assert lab.download().path.read_bytes() == csv
    assert "range" not in lab.server.seen[1].headers


def test_a_file_changed_within_the_second_is_not_pieced_together(lab: Any, csv: bytes) -> None:
    just_now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    lab.server.on(
        "/file.csv", lab.server.truncated(csv, HALF, last_modified=just_now), lab.server.text(csv)
    )

    assert lab.download().path.read_bytes() == csv
    assert "range" not in lab.server.seen[1].headers


def test_a_file_that_changed_meanwhile_comes_anew(lab: Any, csv: bytes) -> None:
    changed = csv.replace(b".05", b".06")
    lab.server.on(
        "/file.csv",
        lab.server.truncated(csv, HALF, etag='"v1"'),
        lab.server.file(changed, '"v2"'),
    )

    assert lab.download().path.read_bytes() == changed


@pytest.mark.parametrize(
    "answer",
    [
        {"etag": '"v2"', "content_range": f"bytes {HALF}-39999/40000"},
        {"etag": '"v1"', "content_range": "bytes 0-39999/40000"},
        {"etag": '"v1"', "content_range": "items 5"},
        {"etag": '"v1"'},
    ],
    ids=["other version", "other part", "nonsense", "no range"],
)
def test_a_wrong_part_is_thrown_away(lab: Any, csv: bytes, answer: dict[str, str]) -> None:
    lab.server.on(
        "/file.csv",
        lab.server.truncated(csv, HALF, etag='"v1"'),
        lab.server.text(b"x" * 100, 206, **answer),
        lab.server.file(csv, '"v1"'),
    )

    assert lab.download().path.read_bytes() == csv


def test_a_packed_part_is_not_added_to_a_plain_one(lab: Any, csv: bytes) -> None:
    def answer(handler: Any) -> None:
        if handler.headers["Range"]:
            span = f"bytes {HALF}-{len(csv) - 1}/{len(csv)}"
            lab.server.text(
                b"\x8b" * 99, 206, etag='"v1"', content_range=span, content_encoding="gzip"
            )(handler)
        else:
            lab.server.text(csv, etag='"v1"')(handler)

    lab.server.on("/file.csv", lab.server.truncated(csv, HALF, etag='"v1"'), answer)

    assert lab.download().path.read_bytes() == csv


def test_a_part_longer_than_the_file_is_thrown_away(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.truncated(csv, HALF, etag='"v1"'))
    with pytest.raises(FetchError):
        lab.download(attempts=1)
    short = csv[: HALF // 2]
    lab.server.on("/file.csv", lab.server.file(short, '"v1"'))

    assert lab.download().path.read_bytes() == short
    assert [seen.headers.get("range") for seen in lab.server.seen[1:]] == [f"bytes={HALF}-", None]


def test_a_stall_is_cut_off_and_resumed(lab: Any, csv: bytes) -> None:
    lab.server.on(
        "/file.csv", lab.server.stall(csv, HALF, etag='"v1"'), lab.server.file(csv, '"v1"')
    )

    assert lab.download(read_timeout_s=0.1).path.read_bytes() == csv
    assert lab.server.seen[1].headers["range"] == f"bytes={HALF}-"


def test_a_drip_runs_into_the_deadline_and_the_next_run_goes_on(lab: Any, csv: bytes) -> None:
    lab.server.on(
        "/file.csv", lab.server.drip(csv, 0.02, 100, etag='"v1"'), lab.server.file(csv, '"v1"')
    )

    with pytest.raises(FetchError, match=r"0\.2 s for one file are over; \d+ bytes have come"):
        lab.download(real_time=True, deadline_s=0.2, read_timeout_s=5.0)
    come = (lab.folder / "file.csv.part").stat().st_size
    fetched = lab.download()

    assert 0 < come < len(csv)
    assert lab.server.seen[1].headers["range"] == f"bytes={come}-"
    assert fetched.path.read_bytes() == csv


def test_waiting_counts_towards_the_deadline(lab: Any) -> None:
    lab.server.on("/file.csv", lab.server.text("", 503, retry_after="200"))

    with pytest.raises(FetchError, match="900 s for one file are over"):
        lab.download(attempts=100)

    assert lab.time.slept_s == [200] * 4


def test_what_came_of_another_request_is_not_taken_up(lab: Any, csv: bytes) -> None:
    lab.server.on("/file.csv", lab.server.truncated(csv, HALF, etag='"v1"'))
    with pytest.raises(FetchError):
        lab.download(attempts=1)
    other = csv.replace(b".05", b".99")
    lab.server.on("/other.csv", lab.server.file(other, '"v1"'))

    assert lab.download(lab.request("/other.csv")).path.read_bytes() == other
    assert "range" not in lab.server.seen[-1].headers


def test_a_broken_note_of_a_part_is_no_trouble(lab: Any, csv: bytes) -> None:
    lab.folder.mkdir()
    (lab.folder / "file.csv.part").write_bytes(b"rubbish")
    (lab.folder / "file.csv.part.json").write_text("[")
    lab.server.on("/file.csv", lab.server.file(csv, '"v1"'))

    assert lab.download().path.read_bytes() == csv


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_an_interrupted_download_is_resumed_by_the_next_run(
    lab: Any, csv: bytes, number: signal.Signals
) -> None:
    lab.server.on(
        "/file.csv", lab.server.stall(csv, HALF, etag='"v1"'), lab.server.file(csv, '"v1"')
    )
    part = lab.folder / "file.csv.part"
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, f"{lab.server.url}/file.csv", str(lab.folder)],
        stderr=subprocess.PIPE,
    )
    for _ in range(1000):
        if part.exists() and part.stat().st_size == HALF:
            break
        time.sleep(0.01)
    program.send_signal(number)
    program.communicate(timeout=10)

    assert program.returncode != 0
    assert lab.left == {"file.csv.part", "file.csv.part.json"}

    assert lab.download().path.read_bytes() == csv
    assert lab.server.seen[1].headers["range"] == f"bytes={HALF}-"
    assert lab.left == {"file.csv", "file.csv.provenance.json"}


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_kill_at_any_instant_loses_nothing(lab: Any, csv: bytes, seed: int) -> None:
    chance = random.Random(seed)

    def slow(handler: Any) -> None:
        start = int((handler.headers["Range"] or "bytes=0-")[6:-1])
        span = f"bytes {start}-{len(csv) - 1}/{len(csv)}" if start else ""
        length = str(len(csv) - start)
        lab.server.text(
            b"", 206 if start else 200, etag='"v1"', content_range=span, content_length=length
        )(handler)
        for at in range(start, len(csv), 2000):
            handler.wfile.write(csv[at : at + 2000])
            time.sleep(0.01)

    lab.server.on("/file.csv", slow)
    command = [sys.executable, "-c", PROGRAM, f"{lab.server.url}/file.csv", str(lab.folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as program:
        time.sleep(chance.uniform(0.0, 0.8))
        program.kill()
    if (lab.folder / "file.csv").exists():
        assert (lab.folder / "file.csv").read_bytes() == csv
    part = lab.folder / "file.csv.part"
    come = part.stat().st_size if part.exists() else 0

    assert lab.download().path.read_bytes() == csv
    assert not part.exists()
    if 0 < come < len(csv):
        assert lab.server.seen[-1].headers["range"] == f"bytes={come}-"


@pytest.mark.parametrize("where", ["before the rename", "before the provenance"])
def test_a_kill_while_putting_in_place_is_mended(
    lab: Any, csv: bytes, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = csv + b"2026/04/02,1,9.99\r\n"
    lab.server.on("/file.csv", lab.server.file(csv, '"v1"'))
    lab.download()
    lab.server.on("/file.csv", lab.server.file(longer, '"v2"'))
    real_replace = os.replace

    def killed(source: Path, target: Path) -> None:
        name = Path(target).name
        if where == "before the rename" and name == "file.csv":
            raise KeyboardInterrupt
        if where == "before the provenance" and name == "file.csv.provenance.json":
            raise KeyboardInterrupt
        real_replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            lab.download()
    fetched = lab.download()

    assert fetched.path.read_bytes() == longer
    assert json.loads(fetched.provenance.read_text())["etag"] == '"v2"'
    (former,) = (lab.folder / "former").glob("*.csv")
    assert former.read_bytes() == csv
