"""European day-ahead prices: SMARD's download centre and the ENTSO-E transparency platform."""

from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

from gridhash.data.fetch.request import Request
from gridhash.data.fetch.source import Option, Source, Values, calendar_years
from gridhash.data.publishers import PUBLISHERS
from gridhash.data.readers.entsoe_zones import ZONES

_MARKET_TIME = ZoneInfo("Europe/Brussels")
_SPAN = (
    Option("start", "first day", "2025-01-01"),
    Option("end", "last day, included", "2025-12-31"),
)

# Module numbers of SMARD's price series, as two independent public programs list them.
_SMARD_MODULES = {
    "DE-LU": 8004169,
    "AT": 8004170,
    "BE": 8004996,
    "CH": 8000259,
    "CZ": 8000261,
    "DK1": 8000252,
    "DK2": 8000253,
    "FR": 8000254,
    "HU": 8000262,
    "IT-North": 8000255,
    "NL": 8000256,
    "NO2": 8004997,
    "PL": 8000257,
    "SI": 8000260,
}

# By names such as DE_LU and DK_1, as the reader has them.
_ZONES = {name.upper(): code for code, name in ZONES.items()}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), _MARKET_TIME)


def _smard(values: Values) -> list[Request]:
    """Ask the download centre, a calendar year at a time and one zone, so that CSV comes.

    Body and module numbers agree in several public programs, the latest of September 2026: with
    modules of one category the answer is CSV, with several a ZIP archive. The times are the first
    and the last millisecond asked for. Not verified against the live server.
    """
    zone, resolution = values.text("zone"), values.text("resolution")
    start, end = values.span()
    requests = []
    for first, last in calendar_years(start, end):
        until = _midnight(last + timedelta(days=1)).timestamp()
        form = {
            "format": "CSV",
            "moduleIds": [_SMARD_MODULES[zone]],
            "region": "DE",
            "timestamp_from": int(_midnight(first).timestamp() * 1000),
            "timestamp_to": int(until * 1000) - 1,
            "type": "discrete",
            "language": "en",
            "resolution": resolution,
        }
        requests.append(
            Request(
                url="https://www.smard.de/nip-download-manager/nip/download/market-data",
                filename=f"smard_{zone}_{resolution}_{first}_{last}.csv",
                content="csv",
                publisher=PUBLISHERS["smard"],
                json={"request_form": [form]},
                advice=(
                    "Or save the prices from https://www.smard.de/en/downloadcenter/"
                    "download-market-data in a browser and run gridhash data import FILE."
                ),
            )
        )
    return requests


SMARD = Source(
    "smard",
    "Day-ahead prices of Germany and its neighbours, hourly or 15 min",
    (
        Option("zone", "bidding zone", "NL", None, tuple(_SMARD_MODULES)),
        *_SPAN,
        Option("resolution", "length of a period", "quarterhour", "hour", ("hour", "quarterhour")),
    ),
    _smard,
)


def _acknowledgement(content: bytes) -> str | None:
    """Return the reason if the platform acknowledges the request and gives no data."""
    root = ElementTree.fromstring(content)
    if not root.tag.endswith("Acknowledgement_MarketDocument"):
        return None
    reasons = [text.strip() for text in root.itertext() if text.strip()]
    return f"the platform has no data for this: {reasons[-1] if reasons else 'no reason given'}"


def _entsoe(values: Values) -> list[Request]:
    """Ask the REST API for document A44, a calendar year at a time.

    Parameters and the limit of a year per request are those of the platform's guide (RESTful API
    user guide; the same in entsoe-py). Not verified against the live server.
    """
    area, token = values.text("area"), values.key("token")
    start, end = values.span()
    requests = []
    for first, last in calendar_years(start, end):
        asked = {
            "documentType": "A44",
            "in_Domain": _ZONES[area],
            "out_Domain": _ZONES[area],
            "periodStart": _utc_minute(first),
            "periodEnd": _utc_minute(last + timedelta(days=1)),
        }
        requests.append(
            Request(
                url=f"https://web-api.tp.entsoe.eu/api?{urlencode(asked)}",
                filename=f"entsoe_{area}_{first}_{last}.xml",
                content="xml",
                publisher=PUBLISHERS["entsoe"],
                secret_query={"securityToken": token},
                problem=_acknowledgement,
                advice=(
                    "A token comes with an account at https://transparency.entsoe.eu/ that was "
                    "given access to the RESTful API."
                ),
            )
        )
    return requests


def _utc_minute(day: date) -> str:
    return f"{_midnight(day).astimezone(UTC):%Y%m%d%H%M}"


ENTSOE = Source(
    "entsoe",
    "Day-ahead prices of a European bidding zone (needs a token)",
    (
        Option("area", "bidding zone", "NL", None, tuple(_ZONES)),
        *_SPAN,
        Option("token", "security token", "…", variable="ENTSOE_TOKEN"),
    ),
    _entsoe,
    "The token is free with an account. At most 400 requests a minute; a year needs one.",
)
