"""Files of the Japan Electric Power Exchange, one per fiscal year (April to March)."""

from gridhash.data.fetch.request import Request
from gridhash.data.fetch.source import Option, Source, Values
from gridhash.data.publishers import PUBLISHERS

PAGE = "https://www.jepx.jp/electricpower/market-data/spot/"
KINDS = ("spot_summary", "intraday", "virtualprice", "fit_fip")


def _requests(values: Values) -> list[Request]:
    """Ask for one file as the page's own download button does.

    The form of spot_summary was documented on 2026-09-27 in public code that uses it
    (``dir=spot_summary&file=spot_summary_YYYY.csv`` with the page as Referer); that the other
    kinds follow the same pattern is read from the page's script, which makes every name from
    ``dir`` and year. Not verified against the live server.
    """
    kind, year = values.text("kind"), values.year("fiscal-year")
    name = f"{kind}_{year}.csv"
    return [
        Request(
            url="https://www.jepx.jp/_download.php",
            filename=name,
            content="csv",
            publisher=PUBLISHERS["jepx"],
            form={"dir": kind, "file": name},
            headers={"Referer": PAGE},
            advice=(
                f"JEPX refuses some programs: open {PAGE} in a browser, save {name} with the "
                "button データダウンロード, and run gridhash data import FILE."
            ),
        )
    ]


JEPX = Source(
    "jepx",
    "JEPX day-ahead prices and their companions, Japan, 30 min",
    (
        Option("fiscal-year", "the year in which April lies", "2024"),
        Option("kind", "which file", "intraday", "spot_summary", KINDS),
    ),
    _requests,
    "Refused programs get a web page or nothing; then save the file in a browser and import it.",
)
