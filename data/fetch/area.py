"""Supply and demand of the ten Japanese areas, and the imbalance prices of all of them.

Where the files are was found in the source of Electricity Maps' parser for Japan (August 2026),
which is public and in use; none of it was verified against the live servers. Since April 2024 every
utility publishes one file per month in one format; before, each had its own, most of them by fiscal
year or quarter. (Shikoku's workbooks are in another public program.)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from gridhash.data.fetch.request import Request
from gridhash.data.fetch.source import Option, Source, Values, days
from gridhash.data.publishers import PUBLISHERS

_COMMON_FORMAT_SINCE = date(2024, 4, 1)
_JAPAN_IS_AHEAD_OF_UTC = timedelta(hours=9)


def _fiscal_year(month: date) -> int:
    return month.year if month.month >= 4 else month.year - 1


def _quarter(month: date) -> int:
    return (month.month - 4) % 12 // 3 + 1


@dataclass(frozen=True)
class _Area:
    """One area: its number in file names, its utility, and the folders of its files."""

    number: str
    utility: str
    page: str
    folder: str
    legacy: Callable[[date], str]
    legacy_referer: str = ""


def _hokuriku_legacy(month: date) -> str:
    root = "https://www.rikuden.co.jp/nw_jyukyudata/attach/area_jisseki_rikuden"
    if month == date(2019, 10, 1):
        return f"{root}201910_01.csv"
    if month >= date(2018, 10, 1):
        return f"{root}{month:%Y%m}.csv"
    first = (month.month - 1) // 3 * 3 + 1
    return f"{root}{month.year}{first:02d}_{first + 2:02d}.csv"


_HEPCO = "https://www.hepco.co.jp/network/con_service/public_document/supply_demand_results/"
_TOHOKU = "https://setsuden.nw.tohoku-epco.co.jp/common/demand/"
_CHUDEN = "https://powergrid.chuden.co.jp/denki_yoho_content_data/"
_KANSAI = "https://www.kansai-td.co.jp/denkiyoho/area-performance/"
_KYUDEN = "https://www.kyuden.co.jp/td_area_jukyu/"
_OKIDEN = "https://www.okiden.co.jp/business-support/service/supply-and-demand/"

_AREAS = {
    "hokkaido": _Area(
        "01",
        "Hokkaido Electric Power Network",
        _HEPCO + "index.html",
        _HEPCO + "csv/",
        lambda m: f"{_HEPCO}csv/sup_dem_results_{_fiscal_year(m)}_{_quarter(m)}q.csv",
    ),
    "tohoku": _Area(
        "02",
        "Tohoku Electric Power Network",
        "https://setsuden.nw.tohoku-epco.co.jp/download.html",
        _TOHOKU,
        lambda m: f"{_TOHOKU}juyo_{_fiscal_year(m)}_tohoku_{_quarter(m)}Q.csv",
    ),
    "tokyo": _Area(
        "03",
        "TEPCO Power Grid",
        "https://www.tepco.co.jp/forecast/html/area_jukyu-j.html",
        "https://www.tepco.co.jp/forecast/html/images/",
        lambda m: f"https://www.tepco.co.jp/forecast/html/images/area-{_fiscal_year(m)}.csv",
    ),
    "chubu": _Area(
        "04",
        "Chubu Electric Power Grid",
        "https://powergrid.chuden.co.jp/denkiyoho/",
        _CHUDEN,
        lambda m: f"{_CHUDEN}{_fiscal_year(m)}_areabalance_current_term.csv",
    ),
    "hokuriku": _Area(
        "05",
        "Hokuriku Electric Power Transmission & Distribution",
        "https://www.rikuden.co.jp/nw/denki-yoho/results_jyukyu.html",
        "https://www.rikuden.co.jp/nw/denki-yoho/csv/",
        _hokuriku_legacy,
    ),
    "kansai": _Area(
        "06",
        "Kansai Transmission and Distribution",
        _KANSAI + "index.html",
        "https://www.kansai-td.co.jp/interchange/denkiyoho/area-performance/",
        lambda m: f"{_KANSAI}csv/area_jyukyu_jisseki_{_fiscal_year(m)}.csv",
        _KANSAI + "past.html",
    ),
    "chugoku": _Area(
        "07",
        "Chugoku Electric Power Transmission & Distribution",
        "https://www.energia.co.jp/nw/jukyuu/eria_jukyu.html",
        "https://www.energia.co.jp/nw/jukyuu/sys/",
        lambda m: (
            "https://www.energia.co.jp/nw/service/retailer/data/area/csv/"
            f"kako-{_fiscal_year(m)}.csv"
        ),
    ),
    "shikoku": _Area(
        "08",
        "Shikoku Electric Power Transmission & Distribution",
        "https://www.yonden.co.jp/nw/supply_demand/data_download.html",
        "https://www.yonden.co.jp/nw/supply_demand/csv/",
        lambda m: (
            "https://www.yonden.co.jp/nw/assets/renewable_energy/data/supply_demand/"
            f"jukyu{_fiscal_year(m)}.xlsx"
        ),
    ),
    "kyushu": _Area(
        "09",
        "Kyushu Electric Power Transmission and Distribution",
        _KYUDEN + "jukyu.html",
        _KYUDEN + "csv/",
        lambda m: (
            f"{_KYUDEN}csv_area_jyukyu_jisseki/"
            f"area_jyukyu_jisseki_{_fiscal_year(m)}_{_quarter(m)}Q.csv"
        ),
    ),
    "okinawa": _Area(
        "10",
        "Okinawa Electric Power",
        _OKIDEN,
        _OKIDEN + "csv/",
        lambda m: f"{_OKIDEN}jukyu/csv/{_fiscal_year(m)}.csv",
    ),
}


def _requests(values: Values) -> list[Request]:
    area = _AREAS[values.text("area")]
    month = values.month("month")
    if month < _COMMON_FORMAT_SINCE:
        return [_legacy(area, month)]
    request = _request(area, f"{area.folder}eria_jukyu_{month:%Y%m}_{area.number}.csv")
    if area.number == "02":
        # The month comes weeks after its end; until then there is a file per day.
        return [replace(request, if_missing=_tohoku_days(area, values, month))]
    if area.number == "04":
        # Only the last months stand alone; the fiscal year's archive has the others.
        return [replace(request, if_missing=[_chubu_archive(area, month)])]
    return [request]


def _legacy(area: _Area, month: date) -> Request:
    request = _request(area, area.legacy(month))
    if request.url.endswith(".xlsx"):
        request = replace(request, content="zip")  # a workbook is a ZIP archive
    if area.legacy_referer:
        request = replace(request, headers={"Referer": area.legacy_referer})
    return request


def _tohoku_days(area: _Area, values: Values, month: date) -> list[Request]:
    today = (values.now + _JAPAN_IS_AHEAD_OF_UTC).date()
    next_month = (month + timedelta(days=31)).replace(day=1)
    last = min(next_month - timedelta(days=1), today)
    folder = f"{_TOHOKU}realtime_jukyu/"
    return [
        replace(_request(area, f"{folder}realtime_jukyu_{day:%Y%m%d}_02.csv"), optional=True)
        for day in days(month, last)
    ]


def _chubu_archive(area: _Area, month: date) -> Request:
    archive = _request(area, f"{_CHUDEN}eria_jukyu_{_fiscal_year(month)}.zip")
    return replace(archive, content="zip", members=f"eria_jukyu_{month:%Y%m}_04\\.csv")


def _request(area: _Area, url: str) -> Request:
    filename = url.rsplit("/", 1)[1]
    if "eria_jukyu" not in filename and "realtime_jukyu" not in filename:
        filename = f"{area.number}_{filename}"  # several utilities use the same names
    publisher = replace(PUBLISHERS["japanese-utility"], name=area.utility, terms_url=area.page)
    return Request(
        url=url,
        filename=filename,
        content="csv",
        publisher=publisher,
        advice=(
            "Some utilities answer only browsers: try --user-agent, or save the file from "
            f"{area.page} and run gridhash data import FILE."
        ),
    )


AREA = Source(
    "area",
    "Supply, demand and curtailment of one Japanese area, 30 min (hourly before April 2024)",
    (
        Option("area", "the utility's area", "kyushu", None, tuple(_AREAS)),
        Option("month", "month; before April 2024 the file of its quarter or year", "2026-04"),
    ),
    _requests,
    "The current month grows daily. Tohoku's recent months come as one file per day.",
)


def _imbalance(values: Values) -> list[Request]:
    """Ask the API of the imbalance price site.

    The address is in several public programs; 204 means that the month is not published, 503 that
    its file is being built. Not verified against the live server.
    """
    month = f"{values.month('month'):%Y%m}"
    return [
        Request(
            url=f"https://www.imbalanceprices-cs.jp/api/1.0/imb/price/{month}",
            filename=f"imbalance_price_{month}.csv",
            content="csv",
            publisher=PUBLISHERS["imbalance-prices-cs"],
            advice=(
                "Or save the month from https://www.imbalanceprices-cs.jp/ in a browser and run "
                "gridhash data import FILE."
            ),
        )
    ]


IMBALANCE = Source(
    "imbalance",
    "Imbalance prices of all Japanese areas, 30 min",
    (Option("month", "month", "2026-04"),),
    _imbalance,
    "Terms of the API: https://www.imbalanceprices-cs.jp/show/footer/terms_of_use.pdf",
)
