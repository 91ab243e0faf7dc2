"""Real-time markets: ERCOT's yearly price reports and AEMO's monthly files."""

import json
import re
from collections.abc import Mapping, Sequence

from gridhash.data.fetch.request import Request
from gridhash.data.fetch.source import Option, Source, Values, rebased
from gridhash.data.publishers import PUBLISHERS

# Report types of ERCOT's public list: NP6-785-ER and NP4-180-ER.
_REPORTS = {"real-time": 13061, "day-ahead": 13060}
_DOWNLOAD = "https://www.ercot.com/misdownload/servlets/mirDownload?doclookupId="
_ERCOT_ADVICE = (
    "Or save the year's file from https://www.ercot.com/mktinfo/prices in a browser and run "
    "gridhash data import FILE."
)


def _ercot(values: Values) -> list[Request]:
    """Ask for the list of yearly archives, then for the one of the year.

    Addresses and report types are those of gridstatus, which uses them without a key
    (``ercot.py``: reports 13061 and 13060, ``IceDocListJsonWS``, ``mirDownload``). Not verified
    against the live server.
    """
    market, year = values.text("market"), values.year("year")

    def archive(request: Request, content: bytes, headers: Mapping[str, str]) -> Sequence[Request]:
        return [_archive_of(request, content, year)]

    report = _REPORTS[market]
    return [
        Request(
            url=f"https://www.ercot.com/misapp/servlets/IceDocListJsonWS?reportTypeId={report}",
            filename=f"ercot_{report}_list.json",
            content="json",
            publisher=PUBLISHERS["ercot"],
            advice=_ERCOT_ADVICE,
            follow=archive,
            to_import=False,
        )
    ]


def _archive_of(request: Request, content: bytes, year: int) -> Request:
    try:
        listed = json.loads(content)["ListDocsByRptTypeRes"]["DocumentList"]
        documents = [entry["Document"] for entry in listed]
        names = {str(entry["ConstructedName"]): str(entry["DocID"]) for entry in documents}
    except (KeyError, TypeError) as err:
        raise request.failure(f"the list of reports has another form ({err})") from err
    of_year = [name for name in names if re.fullmatch(rf"[\w.-]*_{year}\.zip", name)]
    if len(of_year) != 1 or not names[of_year[0]].isdigit():
        raise request.failure(
            f"the list has not one archive of {year} but {len(of_year)}; it has "
            f"{', '.join(sorted(names)) or 'none'}"
        )
    return Request(
        url=rebased(_DOWNLOAD + names[of_year[0]], request.url),
        filename=of_year[0],
        content="zip",
        publisher=request.publisher,
        advice=_ERCOT_ADVICE,
        members=r".*\.(xlsx|csv)",
    )


ERCOT = Source(
    "ercot",
    "Prices of ERCOT's hubs and load zones, Texas: real time (15 min) or day ahead (1 h)",
    (
        Option("year", "calendar year", "2024"),
        Option("market", "which prices", "day-ahead", "real-time", tuple(_REPORTS)),
    ),
    _ercot,
    "Public reports, without the key that api.ercot.com needs.",
)


def _aemo(values: Values) -> list[Request]:
    """Ask for one month of one region.

    The address is in many public programs and unchanged since 2016. Not verified against the live
    server.
    """
    name = f"PRICE_AND_DEMAND_{values.month('month'):%Y%m}_{values.text('region')}.csv"
    return [
        Request(
            url=f"https://aemo.com.au/aemo/data/nem/priceanddemand/{name}",
            filename=name,
            content="csv",
            publisher=PUBLISHERS["aemo"],
            advice="AEMO answers only browsers at times: try --user-agent.",
        )
    ]


AEMO = Source(
    "aemo",
    "Price and demand of a region of Australia's national market, 5 min",
    (
        Option("region", "region", "VIC1", None, ("NSW1", "QLD1", "SA1", "TAS1", "VIC1")),
        Option("month", "month", "2025-01"),
    ),
    _aemo,
)
