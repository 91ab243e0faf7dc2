"""Real series small enough to ship, with their licence in ATTRIBUTION.md."""

from dataclasses import replace
from functools import cache
from importlib import resources

from gridhash.data.readers.smard import read_day_ahead
from gridhash.data.trace import Trace
from gridhash.errors import DataError

_SAMPLES = {"nl_2018": ("nl_2018.csv", "Netherlands")}


def sample_names() -> list[str]:
    """Return the names that `load_sample` takes."""
    return list(_SAMPLES)


def sample_files() -> list[bytes]:
    """Return the contents of all files here, parameters of synthetic series among them."""
    files = [f for f in resources.files(__name__).iterdir() if not f.name.endswith(".py")]
    return [f.read_bytes() for f in sorted(files, key=lambda f: f.name) if f.is_file()]


def load_sample(name: str) -> Trace:
    """Return an embedded real series.

    ``nl_2018`` is the hourly day-ahead price of the Netherlands in 2018 [EUR/kWh], local calendar
    year, from Bundesnetzagentur | SMARD.de (CC BY 4.0).

    >>> load_sample("nl_2018").n_rows
    8760
    """
    if name not in _SAMPLES:
        raise DataError(f"unknown sample {name!r}; there are {', '.join(_SAMPLES)}")
    # Validated anew, so that no caller shares a frame with another.
    return replace(_read(name))


@cache
def _read(name: str) -> Trace:
    file_name, zone = _SAMPLES[name]
    with resources.as_file(resources.files(__name__) / file_name) as path:
        return read_day_ahead(path, zone)
