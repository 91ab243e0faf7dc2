"""Weather: Open-Meteo's archive, and what to do about the Japan Meteorological Agency."""

from urllib.parse import urlencode

from gridhash.data.fetch.request import FetchError, Request
from gridhash.data.fetch.source import Option, Source, Values
from gridhash.data.publishers import PUBLISHERS


def _open_meteo(values: Values) -> list[Request]:
    """Ask the archive for hourly values in UTC.

    Parameters as in Open-Meteo's documentation of the Historical Weather API. Not verified against
    the live server.
    """
    latitude = values.number("latitude", -90, 90)
    longitude = values.number("longitude", -180, 180)
    start, end = values.span()
    asked = {
        "latitude": f"{latitude:g}",
        "longitude": f"{longitude:g}",
        "start_date": start,
        "end_date": end,
        "hourly": values.text("variables"),
        "timezone": "GMT",
    }
    return [
        Request(
            url=f"https://archive-api.open-meteo.com/v1/archive?{urlencode(asked, safe=',')}",
            filename=f"open-meteo_{latitude:g}_{longitude:g}_{start}_{end}.json",
            content="json",
            publisher=PUBLISHERS["open-meteo"],
            advice="The archive ends some days before today.",
        )
    ]


OPEN_METEO = Source(
    "open-meteo",
    "Hourly weather at a place since 1940",
    (
        Option("latitude", "degrees north", "33.59"),
        Option("longitude", "degrees east", "130.4"),
        Option("start", "first day", "2025-01-01"),
        Option("end", "last day, included", "2025-12-31"),
        Option("variables", "hourly variables, with commas", "temperature_2m", "temperature_2m"),
    ),
    _open_meteo,
    "The free service is for non-commercial use; businesses need a subscription.",
)


def _jma(values: Values) -> list[Request]:
    raise FetchError(
        "The Japan Meteorological Agency has no interface for programs: choose station, element "
        "気温 and hourly values with quality information at "
        "https://www.data.jma.go.jp/risk/obsdl/ in a browser, save the CSV file and run gridhash "
        "data import FILE. Hourly temperature of any place comes from gridhash data fetch "
        "open-meteo."
    )


JMA = Source(
    "jma",
    "Observed temperature in Japan: to be saved in a browser",
    (),
    _jma,
    "No interface for programs; this says how to get the file.",
)
