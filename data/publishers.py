"""Who publishes what, under which terms; readers, store and fetch name a publisher by its key."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Publisher:
    """One publisher and what its terms allow; a practical reading, no legal advice."""

    key: str
    name: str
    licence: str
    terms_url: str
    may_redistribute: bool


PUBLISHERS = {
    publisher.key: publisher
    for publisher in (
        Publisher(
            "jepx",
            "Japan Electric Power Exchange (JEPX)",
            "Copyright of the exchange (trading rules, article 111): own use only, name the source",
            "https://www.jepx.jp/electricpower/market-data/spot/",
            False,
        ),
        Publisher(
            "imbalance-prices-cs",
            "Imbalance price publication site (ICS)",
            "No open licence seen: own use only, name the source",
            "https://www.imbalanceprices-cs.jp/",
            False,
        ),
        Publisher(
            "japanese-utility",
            "Japanese transmission system operator of the area",
            "No open licence seen: own use only, name the source",
            "https://www.occto.or.jp/",
            False,
        ),
        Publisher(
            "jma",
            "Japan Meteorological Agency",
            "Terms of the agency's site: reuse with the source named",
            "https://www.jma.go.jp/jma/kishou/info/coment.html",
            True,
        ),
        Publisher(
            "smard",
            "Bundesnetzagentur | SMARD.de",
            "CC BY 4.0",
            "https://www.smard.de/en/datennutzung",
            True,
        ),
        Publisher(
            "entsoe",
            "ENTSO-E Transparency Platform",
            "Terms of the platform: free reuse of most items with the source named",
            "https://transparency.entsoe.eu/",
            False,
        ),
        Publisher(
            "ercot",
            "Electric Reliability Council of Texas (ERCOT)",
            "Public information under ERCOT's terms of use",
            "https://www.ercot.com/help/terms",
            False,
        ),
        Publisher(
            "caiso",
            "California ISO",
            "Public information under CAISO's terms of use",
            "https://www.caiso.com/legal-privacy",
            False,
        ),
        Publisher(
            "us-iso",
            "System operator named in the file, through gridstatus",
            "Terms of that operator",
            "https://github.com/gridstatus/gridstatus",
            False,
        ),
        Publisher(
            "aemo",
            "Australian Energy Market Operator (AEMO)",
            "AEMO copyright permissions: reuse with the source named",
            "https://aemo.com.au/privacy-and-legal-notices/copyright-permissions",
            True,
        ),
        Publisher(
            "open-meteo",
            "Open-Meteo",
            "CC BY 4.0 with a link; the free service is for non-commercial use",
            "https://open-meteo.com/en/terms",
            True,
        ),
        Publisher(
            "mempool",
            "mempool.space",
            "Facts of the Bitcoin chain; terms of the service",
            "https://mempool.space/terms-of-service",
            False,
        ),
        Publisher(
            "coin-metrics",
            "Coin Metrics community data",
            "CC BY-NC 4.0: not for commercial redistribution",
            "https://coinmetrics.io/terms-of-use/",
            False,
        ),
        Publisher(
            "braiins",
            "Braiins Insights",
            "Terms of the service: own use only",
            "https://braiins.com/legal",
            False,
        ),
        Publisher(
            "luxor",
            "Luxor Hashrate Index",
            "Terms of the service: own use only, needs a key",
            "https://hashrateindex.com/terms",
            False,
        ),
        Publisher(
            "weather-file",
            "Author of the weather file, named in its header",
            "Terms of that author; IWEC files may not be passed on",
            "https://climate.onebuilding.org/",
            False,
        ),
        Publisher("own", "Your own data", "Yours", "", True),
    )
}
"""Every publisher, by key."""
