"""The Bitcoin network: hashrate and difficulty, chain metrics, and published hashprices."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from gridhash.data.fetch.request import Request
from gridhash.data.fetch.source import Option, Source, Values
from gridhash.data.publishers import PUBLISHERS

_METRICS = "PriceUSD,HashRate,FeeTotNtv,IssTotNtv,BlkCnt"
_PERIODS = ("3d", "1w", "1m", "3m", "6m", "1y", "2y", "3y")


def _mempool(values: Values) -> list[Request]:
    """Ask for the daily hashrate and every change of difficulty.

    Documented in mempool.space's REST API. Not verified against the live server.
    """
    period = values.text("period")
    return [
        Request(
            url=f"https://mempool.space/api/v1/mining/hashrate/{period}",
            filename=f"mempool_hashrate_{period}.json",
            content="json",
            publisher=PUBLISHERS["mempool"],
        )
    ]


MEMPOOL = Source(
    "mempool",
    "Hashrate and difficulty of the Bitcoin network, daily",
    (Option("period", "how far back", "1y", "3y", _PERIODS),),
    _mempool,
)


def _coin_metrics(values: Values) -> list[Request]:
    """Ask the community interface for CSV, page after page.

    Format, page size (at most 10,000 rows) and the header ``x-next-page-url`` are those of Coin
    Metrics' reference for ``timeseries/asset-metrics``. Not verified against the live server.
    """
    start, end = values.span()
    asked = {
        "assets": "btc",
        "metrics": values.text("metrics"),
        "frequency": "1d",
        "start_time": start,
        "end_time": end,
        "paging_from": "start",
        "page_size": 10_000,
        "format": "csv",
    }
    return [
        Request(
            url=(
                "https://community-api.coinmetrics.io/v4/timeseries/asset-metrics?"
                f"{urlencode(asked, safe=',')}"
            ),
            filename=f"coin-metrics_btc_{start}_{end}.csv",
            content="csv",
            publisher=PUBLISHERS["coin-metrics"],
            follow=_next_page,
        )
    ]


def _next_page(request: Request, content: bytes, headers: Mapping[str, str]) -> Sequence[Request]:
    url = headers.get("x-next-page-url", "")
    if not url:
        return []
    if urlsplit(url)[:2] != urlsplit(request.url)[:2]:
        raise request.failure(f"the next page is at another host: {url}")
    stem, _, page = request.filename.removesuffix(".csv").partition("_page")
    return [replace(request, url=url, filename=f"{stem}_page{int(page or 1) + 1}.csv")]


COIN_METRICS = Source(
    "coin-metrics",
    "Bitcoin price, hashrate, fees, issuance and blocks, daily",
    (
        Option("start", "first day", "2020-01-01"),
        Option("end", "last day, included", "2025-12-31"),
        Option("metrics", "names with commas", "PriceUSD,HashRate", _METRICS),
    ),
    _coin_metrics,
    "Community data under CC BY-NC 4.0: not for commercial redistribution.",
)


def _braiins(values: Values) -> list[Request]:
    """Ask for the history of the hashprice, or for the network's state now.

    The addresses are in public programs; the server redirects to another host of Braiins. Not
    verified against the live server.
    """
    report = values.text("report")
    path = "hashrate-value-history?timeframe=all" if report == "history" else "hashrate-stats"
    return [
        Request(
            url=f"https://insights.braiins.com/api/v1.0/{path}",
            filename=f"braiins_{report}.json",
            content="json",
            publisher=PUBLISHERS["braiins"],
        )
    ]


BRAIINS = Source(
    "braiins",
    "Hashprice as Braiins computes it, daily",
    (Option("report", "history or the state now", "now", "history", ("history", "now")),),
    _braiins,
)


def _luxor(values: Values) -> list[Request]:
    """Ask the Hashrate Index for the hashprice [USD/PH/day].

    Path, header and parameters are in public programs; of the values only ``span=1D`` with
    ``bucket=1H`` or ``5m`` was seen in use. Not verified against the live server.
    """
    span, bucket = values.text("range"), values.text("bucket")
    asked = {"span": span, "bucket": bucket, "currency": "USD", "hashunit": "PHS"}
    return [
        Request(
            url=(f"https://api.hashrateindex.com/v1/hashrateindex/hashprice?{urlencode(asked)}"),
            filename=f"luxor_hashprice_{span}_{bucket}.json",
            content="json",
            publisher=PUBLISHERS["luxor"],
            secret_headers={"X-Hi-Api-Key": values.key("key")},
            advice="Some spans need a higher plan; try --range 1D --bucket 1H.",
        )
    ]


LUXOR = Source(
    "luxor",
    "Hashprice of Luxor's Hashrate Index (needs a key)",
    (
        Option("range", "how far back, as Luxor names it", "1D", "1Y"),
        Option("bucket", "length of a period, as Luxor names it", "1H", "1D"),
        Option("key", "key of the Hashrate Index", "…", variable="LUXOR_API_KEY"),
    ),
    _luxor,
)
