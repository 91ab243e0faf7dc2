"""No damaged, truncated, exchanged, unsigned or otherwise signed bundle is accepted.

``GRIDHASH_BUNDLE_FUZZ=10000 pytest tests/agents/test_bundle_fuzz.py`` makes ten thousand of them;
1,500 without it. They are made in memory and judged by the code that reads a folder's files.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import gridhash.agents.bundle_files as bundle_files
from gridhash.agents.bundle import open_contents, write_bundle
from gridhash.agents.bundle_files import MANIFEST, SIGNATURE, WEIGHTS, read_folder
from gridhash.agents.bundle_manifest import Provenance
from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.signing import SigningKey, generate_key
from gridhash.config import load_site
from gridhash.data.forecasts.baselines import Climatology, fit_climatology
from gridhash.data.forecasts.series import Series
from gridhash.data.splits import Span
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import observation_table
from gridhash.errors import BundleError

N_MUTATIONS = int(os.environ.get("GRIDHASH_BUNDLE_FUZZ", "1500"))
SITE = load_site("japan_pilot")
Files = dict[str, bytes]


def draw_policy(seed: int) -> MlpPolicy:
    rng = np.random.default_rng(seed)
    shapes = mlp_shapes(len(observation_table(SITE)), (4,), len(SITE.groups))
    weights = {name: rng.random(shape, dtype=np.float32) + 0.1 for name, shape in shapes.items()}
    return MlpPolicy(weights, name="drawn", action_kind=ActionKind.SHADOW_PRICE)


def climatology() -> Climatology:
    import pandas as pd

    starts = pd.date_range("2024-01-01T00:00Z", periods=24 * 60, freq="h", unit="s")
    values = np.sin(np.arange(len(starts)))
    price = Series(name="price", starts=starts, values=values, available_at=starts, period_s=3600)
    span = Span(starts[0], starts[-1])
    found = fit_climatology({"price": price}, [span], target="price", timezone="Asia/Tokyo")
    assert isinstance(found, Climatology)
    return found


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[SigningKey, SigningKey]:
    """Return the trusted key and a stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    return generate_key(folder / "trainer.pem"), generate_key(folder / "stranger.pem")


@pytest.fixture(scope="module")
def bundles(
    keys: tuple[SigningKey, SigningKey], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Files, Files]:
    """Return the files of two bundles of the trusted key."""
    folder = tmp_path_factory.mktemp("bundles")
    found = []
    for seed, name in enumerate(("first", "second")):
        path = write_bundle(
            folder, draw_policy(seed), name=name, site=SITE, key=keys[0],
            created_at=datetime(2026, 9, 1, tzinfo=UTC), provenance=Provenance(seed=seed),
            forecasters={"price": climatology()},
        )  # fmt: skip
        found.append(read_folder(path))
    return found[0], found[1]


def flip(files: Files, rng: random.Random) -> None:
    name = rng.choice(sorted(files))
    content = bytearray(files[name])
    for _ in range(rng.choice((1, 1, 1, 2, 20))):
        content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
    files[name] = bytes(content)


def truncate(files: Files, rng: random.Random) -> None:
    name = rng.choice(sorted(files))
    files[name] = files[name][: rng.randrange(len(files[name]))]


def extend(files: Files, rng: random.Random) -> None:
    name = rng.choice(sorted(files))
    at = rng.randrange(len(files[name]) + 1)
    more = rng.choice((b"\n", b" ", b"\0", rng.randbytes(rng.randrange(1, 40))))
    files[name] = files[name][:at] + more + files[name][at:]


def cut_out(files: Files, rng: random.Random) -> None:
    name = rng.choice(sorted(files))
    at = rng.randrange(len(files[name]))
    files[name] = files[name][:at] + files[name][at + rng.randrange(1, 40) :]


def swap(files: Files, rng: random.Random) -> None:
    first, second = rng.sample(sorted(files), 2)
    files[first], files[second] = files[second], files[first]


def remove(files: Files, rng: random.Random) -> None:
    del files[rng.choice(sorted(files))]


def add(files: Files, rng: random.Random) -> None:
    name = rng.choice(("forecasts/price/model_00.txt", "forecasts/extra/forecaster.json"))
    files[name] = rng.choice((b"", b"{}", files[WEIGHTS]))


KINDS: tuple[Callable[[Files, random.Random], None], ...] = (
    flip, truncate, extend, cut_out, swap, remove, add,
)  # fmt: skip


def test_no_mutation_is_accepted(
    bundles: tuple[Files, Files], keys: tuple[SigningKey, SigningKey]
) -> None:
    trusted, stranger = keys
    whole, other = bundles
    rng = random.Random(20260901)
    refused: Counter[str] = Counter()
    accepted = []

    def splice(files: Files, rng: random.Random) -> None:
        """Take some files of another bundle, but not all."""
        differ = [name for name in sorted(files) if files[name] != other[name]]
        for name in rng.sample(differ, rng.randrange(1, len(differ))):
            files[name] = other[name]

    def sign_as_stranger(files: Files, rng: random.Random) -> None:
        if rng.random() < 0.5:
            files[MANIFEST] = files[MANIFEST].replace(b"first", rng.randbytes(2).hex().encode(), 1)
        files[SIGNATURE] = bundle_files.sign(files[MANIFEST], stranger)
        if rng.random() < 0.5:  # and claims to be who is trusted
            files[SIGNATURE] = files[SIGNATURE].replace(
                stranger.public.hex.encode(), trusted.public.hex.encode()
            )

    kinds = (*KINDS, splice, sign_as_stranger)
    for k in range(N_MUTATIONS):
        files = dict(whole)
        kind = kinds[k % len(kinds)]
        kind(files, rng)
        if files == whole:
            continue
        try:
            open_contents(Path("b.bundle"), files, site=SITE, trusted_keys=[trusted.public])
            accepted.append((k, kind.__name__))
        except BundleError:  # the only error that may come
            refused[kind.__name__] += 1

    assert accepted == []
    assert refused.total() > 0.98 * N_MUTATIONS
    assert min(refused.values()) > 0.09 * N_MUTATIONS
    for files in bundles:  # as they were written they are accepted
        open_contents(Path("b.bundle"), files, site=SITE, trusted_keys=[trusted.public])


def test_what_a_trusted_signer_signs_is_still_checked(
    bundles: tuple[Files, Files], keys: tuple[SigningKey, SigningKey]
) -> None:
    """Damage signed by the rightful key: refused with one error, or read as another manifest."""
    rng = random.Random(7)
    n_refused = 0
    for _ in range(N_MUTATIONS // 10):
        files = dict(bundles[0])
        damage = dict.fromkeys([MANIFEST], files[MANIFEST])
        rng.choice((flip, truncate, extend, cut_out))(damage, rng)
        files[MANIFEST] = damage[MANIFEST]
        files[SIGNATURE] = bundle_files.sign(files[MANIFEST], keys[0])
        try:
            open_contents(Path("b.bundle"), files, site=SITE, trusted_keys=[keys[0].public])
        except BundleError:
            n_refused += 1

    assert n_refused > 0.5 * (N_MUTATIONS // 10)
