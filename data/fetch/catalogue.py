"""Every source by name, and the one call that fetches from it."""

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from gridhash.data.fetch.area import AREA, IMBALANCE
from gridhash.data.fetch.bitcoin import BRAIINS, COIN_METRICS, LUXOR, MEMPOOL
from gridhash.data.fetch.download import Downloader
from gridhash.data.fetch.europe import ENTSOE, SMARD
from gridhash.data.fetch.jepx import JEPX
from gridhash.data.fetch.overseas import AEMO, ERCOT
from gridhash.data.fetch.request import Fetched, FetchError, NotFound
from gridhash.data.fetch.source import Source
from gridhash.data.fetch.terms import require_acceptance
from gridhash.data.fetch.weather import JMA, OPEN_METEO
from gridhash.data.publishers import Publisher

RAW = "raw"
_MOST_REQUESTS = 1000

_SOURCES = MappingProxyType(
    {
        source.name: source
        for source in (
            JEPX,
            AREA,
            IMBALANCE,
            JMA,
            SMARD,
            ENTSOE,
            ERCOT,
            AEMO,
            OPEN_METEO,
            MEMPOOL,
            COIN_METRICS,
            BRAIINS,
            LUXOR,
        )
    }
)


def sources() -> Mapping[str, Source]:
    """Return every source by its name."""
    return _SOURCES


def fetch(
    name: str,
    options: Mapping[str, object],
    *,
    data_dir: Path,
    accept: Callable[[Publisher], bool],
    downloader: Downloader,
    base_url: str = "",
    environment: Mapping[str, str] | None = None,
) -> list[Fetched]:
    """Fetch from a source into ``raw/NAME`` of the data folder; return what came, in order.

    Parameters
    ----------
    name, options
        The source and its options, by name; None stands for one that is not given.
    data_dir
        Folder of the user's data; files go to ``raw/``, accepted terms beside it.
    accept
        Asks the user for a publisher's terms, if they were not accepted before.
    downloader
        Its clock dates the provenance and decides which days may be published.
    base_url
        Scheme and host to ask in place of the publisher's, for mirrors and tests.
    environment
        Where keys are looked up; None is the process's.

    Raises
    ------
    TermsNotAccepted
        If the user does not accept; nothing was asked of the publisher.
    FetchError
        If the source or an option is unknown, or a file cannot be fetched; the files before it
        are saved and found unchanged by the next run.
    """
    source = _SOURCES.get(name)
    if source is None:
        raise FetchError(f"there is no source {name}; there are {', '.join(_SOURCES)}")
    clock = downloader.timing.clock
    requests = source.requests(options, now=clock(), base_url=base_url, environment=environment)
    for publisher in dict.fromkeys(request.publisher for request in requests):
        require_acceptance(publisher, data_dir, accept=accept, clock=clock)
    waiting = deque(requests)
    fetched: list[Fetched] = []
    while waiting:
        if len(fetched) == _MOST_REQUESTS:
            raise FetchError(
                f"{name}: {_MOST_REQUESTS} files came and there would be more; ask for less"
            )
        request = waiting.popleft()
        try:
            one = downloader.download(request, data_dir / RAW / name)
        except NotFound:
            if request.if_missing:
                waiting.extendleft(reversed(request.if_missing))
                continue
            if not request.optional:
                raise
            one = Fetched(request=request, outcome="not published")
        fetched.append(one)
        if request.follow is not None and one.path is not None:
            following = request.follow(request, one.path.read_bytes(), one.headers)
            waiting.extendleft(reversed(following))
    return fetched
