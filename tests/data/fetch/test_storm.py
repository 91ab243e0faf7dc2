"""Whatever sequence of faults a server plays, a saved file is one it published, whole.

`GRIDHASH_FETCH_STORMS` sets how many random sequences are played; 30 if it is not set.
"""

import contextlib
import json
import os
import random
from typing import Any

import pytest

from gridhash.data.fetch.provenance import read_provenance
from gridhash.data.fetch.request import FetchError

STORMS = int(os.environ.get("GRIDHASH_FETCH_STORMS", "30"))


def _fault(server: Any, chance: random.Random, versions: list[bytes]) -> Any:
    """Return one thing that may happen; the published version may have changed by then."""
    number = chance.randrange(len(versions))
    body, etag = versions[number], f'"v{number}"'
    other = versions[1 - number]
    at = chance.randrange(len(body))
    span = f"bytes {at}-{len(body) - 1}/{len(body)}"
    faults = [
        server.file(body, etag),
        server.text(body, etag=etag),
        server.text(body),
        server.gzipped(body),
        server.truncated(body, at, etag=etag),
        server.truncated(body, at, etag=etag),
        server.truncated(body, at),
        server.truncated(body, at, etag="W/" + etag),
        server.text(other[at:], 206, etag=etag.replace("v", "w"), content_range=span),
        server.text(body[at:], 206, etag=etag, content_range=span),
        server.text("", 416),
        server.text("", 304),
        server.text("", 204),
        server.text("", 404),
        server.text("", 429, retry_after="3"),
        server.text("", 503),
        server.text("", 302, location="/file.csv"),
        server.text("<html><title>Sorry</title>"),
        server.text("", 200),
        server.reset(),
    ]
    return chance.choice(faults)


@pytest.mark.parametrize("seed", range(STORMS))
def test_no_storm_leaves_a_false_file(lab: Any, csv: bytes, seed: int) -> None:
    chance = random.Random(seed)
    versions = [csv, csv.replace(b".05", b".50") + b"2026/04/02,1,9.99\r\n"]
    faults = [_fault(lab.server, chance, versions) for _ in range(chance.randint(1, 12))]
    lab.server.on("/file.csv", *faults, lab.server.file(versions[1], '"v1"'))
    path = lab.folder / "file.csv"

    for _ in range(6):
        with contextlib.suppress(FetchError):
            lab.download(attempts=3)
        if path.exists():
            assert path.read_bytes() in versions
            assert read_provenance(path) is not None
    lab.server.on("/file.csv", lab.server.file(versions[1], '"v1"'))
    fetched = lab.download()

    assert fetched.path.read_bytes() == versions[1]
    assert json.loads(fetched.provenance.read_text())["size_bytes"] == len(versions[1])
    for former in (lab.folder / "former").glob("*.csv"):
        assert former.read_bytes() in versions
    assert not any(name.endswith((".part", ".part.json", ".tmp")) for name in lab.left)
