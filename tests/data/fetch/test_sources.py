"""Every source asks what its publisher's site is known to take, of the address it is given."""

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gridhash.data.fetch.catalogue import fetch, sources
from gridhash.data.fetch.request import FetchError, NotFound, Request
from gridhash.data.fetch.source import rebased

NOW = datetime(2026, 4, 20, 3, 0, tzinfo=UTC)
KEYS = {"ENTSOE_TOKEN": "0f-token-e1", "LUXOR_API_KEY": "hi.key-7d"}


def _requests(name: str, base_url: str = "", /, **options: object) -> list[Request]:
    return sources()[name].requests(options, now=NOW, base_url=base_url, environment=KEYS)


def _fetch(lab: Any, name: str, /, **options: object) -> Any:
    with lab.downloader() as downloader:
        return fetch(
            name,
            options,
            data_dir=lab.folder,
            accept=lambda publisher: True,
            downloader=downloader,
            base_url=lab.server.url,
            environment=KEYS,
        )


def _archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _examples(name: str) -> Mapping[str, object]:
    return {
        option.name: option.example
        for option in sources()[name].options
        if option.default is None and not option.variable
    }


@pytest.mark.parametrize(
    ("name", "options", "url"),
    [
        (
            "area",
            {"area": "hokkaido", "month": "2026-04"},
            "https://www.hepco.co.jp/network/con_service/public_document/supply_demand_results/"
            "csv/eria_jukyu_202604_01.csv",
        ),
        (
            "area",
            {"area": "tohoku", "month": "2026-04"},
            "https://setsuden.nw.tohoku-epco.co.jp/common/demand/eria_jukyu_202604_02.csv",
        ),
        (
            "area",
            {"area": "tokyo", "month": "2024-04"},
            "https://www.tepco.co.jp/forecast/html/images/eria_jukyu_202404_03.csv",
        ),
        (
            "area",
            {"area": "chubu", "month": "2026-04"},
            "https://powergrid.chuden.co.jp/denki_yoho_content_data/eria_jukyu_202604_04.csv",
        ),
        (
            "area",
            {"area": "hokuriku", "month": "2026-04"},
            "https://www.rikuden.co.jp/nw/denki-yoho/csv/eria_jukyu_202604_05.csv",
        ),
        (
            "area",
            {"area": "kansai", "month": "2026-04"},
            "https://www.kansai-td.co.jp/interchange/denkiyoho/area-performance/"
            "eria_jukyu_202604_06.csv",
        ),
        (
            "area",
            {"area": "chugoku", "month": "2026-04"},
            "https://www.energia.co.jp/nw/jukyuu/sys/eria_jukyu_202604_07.csv",
        ),
        (
            "area",
            {"area": "shikoku", "month": "2026-04"},
            "https://www.yonden.co.jp/nw/supply_demand/csv/eria_jukyu_202604_08.csv",
        ),
        (
            "area",
            {"area": "kyushu", "month": "2026-04"},
            "https://www.kyuden.co.jp/td_area_jukyu/csv/eria_jukyu_202604_09.csv",
        ),
        (
            "area",
            {"area": "okinawa", "month": "2026-04"},
            "https://www.okiden.co.jp/business-support/service/supply-and-demand/csv/"
            "eria_jukyu_202604_10.csv",
        ),
        (
            "area",
            {"area": "hokkaido", "month": "2024-03"},
            "https://www.hepco.co.jp/network/con_service/public_document/supply_demand_results/"
            "csv/sup_dem_results_2023_4q.csv",
        ),
        (
            "area",
            {"area": "kyushu", "month": "2022-04"},
            "https://www.kyuden.co.jp/td_area_jukyu/csv_area_jyukyu_jisseki/"
            "area_jyukyu_jisseki_2022_1Q.csv",
        ),
        (
            "area",
            {"area": "hokuriku", "month": "2018-09"},
            "https://www.rikuden.co.jp/nw_jyukyudata/attach/area_jisseki_rikuden201807_09.csv",
        ),
        (
            "area",
            {"area": "hokuriku", "month": "2019-10"},
            "https://www.rikuden.co.jp/nw_jyukyudata/attach/area_jisseki_rikuden201910_01.csv",
        ),
        (
            "area",
            {"area": "SHIKOKU", "month": "2024-03"},
            "https://www.yonden.co.jp/nw/assets/renewable_energy/data/supply_demand/jukyu2023.xlsx",
        ),
        (
            "imbalance",
            {"month": "2026-03"},
            "https://www.imbalanceprices-cs.jp/api/1.0/imb/price/202603",
        ),
        (
            "aemo",
            {"region": "SA1", "month": "2025-12"},
            "https://aemo.com.au/aemo/data/nem/priceanddemand/PRICE_AND_DEMAND_202512_SA1.csv",
        ),
        (
            "open-meteo",
            {
                "latitude": "33.590",
                "longitude": 130.4,
                "start": "2025-01-01",
                "end": "2025-01-31",
                "variables": "temperature_2m,wind_speed_10m",
            },
            "https://archive-api.open-meteo.com/v1/archive?latitude=33.59&longitude=130.4&"
            "start_date=2025-01-01&end_date=2025-01-31&hourly=temperature_2m,wind_speed_10m&"
            "timezone=GMT",
        ),
        ("mempool", {}, "https://mempool.space/api/v1/mining/hashrate/3y"),
        (
            "braiins",
            {},
            "https://insights.braiins.com/api/v1.0/hashrate-value-history?timeframe=all",
        ),
        ("braiins", {"report": "now"}, "https://insights.braiins.com/api/v1.0/hashrate-stats"),
        (
            "coin-metrics",
            {"start": "2024-01-01", "end": "2024-12-31"},
            "https://community-api.coinmetrics.io/v4/timeseries/asset-metrics?assets=btc&"
            "metrics=PriceUSD,HashRate,FeeTotNtv,IssTotNtv,BlkCnt&frequency=1d&"
            "start_time=2024-01-01&end_time=2024-12-31&paging_from=start&page_size=10000&format=csv",
        ),
        (
            "ercot",
            {"year": 2024},
            "https://www.ercot.com/misapp/servlets/IceDocListJsonWS?reportTypeId=13061",
        ),
        (
            "ercot",
            {"year": 2024, "market": "day-ahead"},
            "https://www.ercot.com/misapp/servlets/IceDocListJsonWS?reportTypeId=13060",
        ),
    ],
)
def test_the_publishers_address(name: str, options: dict[str, object], url: str) -> None:
    (request,) = _requests(name, **options)

    assert (request.method, request.url) == ("GET", url)


@pytest.mark.parametrize("name", sorted(set(sources()) - {"jma"}))
def test_another_base_address_replaces_every_host(name: str) -> None:
    def urls(requests: Any) -> list[str]:
        return [url for r in requests for url in (r.url, *urls(r.if_missing))]

    found = urls(_requests(name, "http://127.0.0.1:9", **_examples(name)))

    assert found
    assert all(url.startswith("http://127.0.0.1:9/") for url in found)


@pytest.mark.parametrize(
    "base_url",
    ["127.0.0.1:8000", "ftp://example.org", "http://", "x", "https://me:secret@example.org"],
)
def test_a_base_address_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(FetchError, match="is no plain address") as raised:
        rebased("https://example.org/a", base_url)
    assert "secret" not in str(raised.value)


def test_every_source_offers_help_for_each_option() -> None:
    for name, source in sources().items():
        assert (source.name, bool(source.title)) == (name, True)
        assert all(option.meaning and option.example for option in source.options)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("jepx", {}, "jepx needs --fiscal-year (the year in which April lies), for example"),
        ("jepx", {"fiscal_year": "24"}, "--fiscal-year 24 is not a year; for example"),
        ("jepx", {"fiscal_year": 2024, "kind": "x"}, "--kind x is not one of spot_summary, "),
        ("jepx", {"year": 2024}, "jepx does not take --year; it takes --fiscal-year, --kind"),
        ("jma", {"month": "2026-01"}, "jma does not take --month; it takes no options"),
        ("area", {"area": "kyuden", "month": "2026-04"}, "--area kyuden is not one of hokkaido"),
        ("area", {"area": "kyushu", "month": "2026-13"}, "--month 2026-13 is not a month"),
        ("area", {"area": "kyushu", "month": "202604"}, "--month 202604 is not a month YYYY-MM"),
        ("smard", {"zone": "NL", "start": "2025-02-30", "end": "2025-03-01"}, "is not a day"),
        ("smard", {"zone": "NL", "start": "2025-02-02", "end": "2025-02-01"}, "is before --start"),
        (
            "open-meteo",
            {"latitude": "91", "longitude": 0, "start": "2025-01-01", "end": "2025-01-01"},
            "--latitude 91 is not a number from -90 to 90",
        ),
        (
            "open-meteo",
            {"latitude": "nan", "longitude": 0, "start": "2025-01-01", "end": "2025-01-01"},
            "--latitude nan is not a number",
        ),
        ("jma", {}, "has no interface for programs"),
    ],
)
def test_a_wrong_option_is_named_with_an_example(
    name: str, options: dict[str, object], says: str
) -> None:
    with pytest.raises(FetchError) as raised:
        _requests(name, **options)

    assert says in str(raised.value)


def test_an_unknown_source_is_answered_with_those_there_are(lab: Any) -> None:
    with pytest.raises(FetchError, match="no source epex; there are jepx, area, imbalance"):
        _fetch(lab, "epex")


@pytest.mark.parametrize("kind", ["spot_summary", "intraday", "virtualprice", "fit_fip"])
def test_jepx_is_asked_as_its_own_page_does(lab: Any, csv: bytes, kind: str) -> None:
    lab.server.on("/_download.php", lab.server.text(csv))

    (fetched,) = _fetch(lab, "jepx", fiscal_year=2024, kind=kind)

    (seen,) = lab.server.seen
    assert seen.method == "POST"
    assert parse_qs(seen.body.decode()) == {"dir": [kind], "file": [f"{kind}_2024.csv"]}
    assert seen.headers["referer"] == "https://www.jepx.jp/electricpower/market-data/spot/"
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert fetched.path == lab.folder / "raw" / "jepx" / f"{kind}_2024.csv"
    assert fetched.path.read_bytes() == csv


@pytest.mark.parametrize(
    ("body", "status"), [("", 200), ("<!DOCTYPE html><title>JEPX</title>", 200), ("", 403)]
)
def test_a_refusal_of_jepx_says_how_to_get_the_file(lab: Any, body: str, status: int) -> None:
    lab.server.on("/_download.php", lab.server.text(body, status))

    with pytest.raises(FetchError, match=r"save spot_summary_2024\.csv .* import FILE"):
        _fetch(lab, "jepx", fiscal_year=2024)


def test_the_imbalance_price_of_a_month_to_come_is_not_published(lab: Any) -> None:
    lab.server.on("/api/1.0/imb/price/202605", lab.server.text("", 204))

    (fetched,) = _fetch(lab, "imbalance", month="2026-05")

    assert (fetched.outcome, fetched.to_import) == ("not published", ())


def test_an_imbalance_price_being_built_is_waited_for(lab: Any, csv: bytes) -> None:
    path = "/api/1.0/imb/price/202604"
    lab.server.on(path, lab.server.text("", 503), lab.server.text(csv))

    (fetched,) = _fetch(lab, "imbalance", month="2026-04")

    assert fetched.path.name == "imbalance_price_202604.csv"
    assert fetched.path.read_bytes() == csv


def test_kansais_old_files_are_asked_with_their_page(lab: Any, csv: bytes) -> None:
    path = "/denkiyoho/area-performance/csv/area_jyukyu_jisseki_2022.csv"
    lab.server.on(path, lab.server.text(csv))

    (fetched,) = _fetch(lab, "area", area="kansai", month="2023-03")

    assert lab.server.seen[0].headers["referer"].endswith("/denkiyoho/area-performance/past.html")
    assert fetched.path.name == "06_area_jyukyu_jisseki_2022.csv"


def test_tohokus_days_stand_in_for_the_month_as_far_as_they_are_there(lab: Any, csv: bytes) -> None:
    for day in (1, 2, 19):
        path = f"/common/demand/realtime_jukyu/realtime_jukyu_202604{day:02d}_02.csv"
        lab.server.on(path, lab.server.text(csv))

    fetched = _fetch(lab, "area", area="tohoku", month="2026-04")

    assert len(fetched) == 20  # to today
    assert [one.path.name[15:23] for one in fetched if one.path] == [
        "20260401",
        "20260402",
        "20260419",
    ]
    assert {one.outcome for one in fetched} == {"new", "not published"}
    assert len(lab.server.seen) == 21


def test_chubus_old_months_come_out_of_the_years_archive(lab: Any, csv: bytes) -> None:
    archive = _archive(
        **{
            "eria_jukyu_2025/eria_jukyu_202602_04.csv": b"other,1\n",
            "eria_jukyu_2025/eria_jukyu_202603_04.csv": csv,
        }
    )
    lab.server.on("/denki_yoho_content_data/eria_jukyu_2025.zip", lab.server.file(archive, '"v1"'))

    (fetched,) = _fetch(lab, "area", area="chubu", month="2026-03")
    (again,) = _fetch(lab, "area", area="chubu", month="2026-03")

    (path,) = fetched.to_import
    assert (path.name, path.read_bytes()) == ("eria_jukyu_202603_04.csv", csv)
    noted = json.loads(path.with_name(path.name + ".provenance.json").read_text())
    assert noted["archive"] == "eria_jukyu_2025.zip"
    assert noted["url"].endswith("/eria_jukyu_2025.zip")
    assert (again.outcome, again.to_import) == ("unchanged", (path,))
    assert not (path.parent / "eria_jukyu_202602_04.csv").exists()


def test_a_month_missing_in_the_archive_too_is_an_error(lab: Any) -> None:
    lab.server.on(
        "/denki_yoho_content_data/eria_jukyu_2025.zip",
        lab.server.text(_archive(**{"readme.txt": b"hello"})),
    )

    with pytest.raises(FetchError, match=r"no file that matches .*; it has readme\.txt"):
        _fetch(lab, "area", area="chubu", month="2026-03")


def test_an_archive_writes_nothing_outside_its_folder(lab: Any) -> None:
    archive = _archive(**{"../../eria_jukyu_202603_04.csv": b"a,b\n"})
    lab.server.on("/denki_yoho_content_data/eria_jukyu_2025.zip", lab.server.text(archive))

    (fetched,) = _fetch(lab, "area", area="chubu", month="2026-03")

    assert fetched.to_import == (lab.folder / "raw" / "area" / "eria_jukyu_202603_04.csv",)


def test_a_bomb_in_an_archive_is_not_unpacked(lab: Any) -> None:
    archive = _archive(**{"eria_jukyu_202603_04.csv": b"1,2,3\n" * 1_000_000})
    lab.server.on("/denki_yoho_content_data/eria_jukyu_2025.zip", lab.server.text(archive))
    request = _requests("area", lab.server.url, area="chubu", month="2026-03")[0].if_missing[0]

    with pytest.raises(FetchError, match=r"eria_jukyu_202603_04\.csv in the archive is larger"):
        lab.download(request, max_bytes=100_000)

    assert "eria_jukyu_202603_04.csv" not in lab.left


def test_a_missing_month_is_an_error_with_advice(lab: Any) -> None:
    with pytest.raises(NotFound, match=r"no such file, or not yet.*try --user-agent"):
        _fetch(lab, "area", area="kyushu", month="2027-01")


def test_ercots_archive_is_found_in_its_list(lab: Any) -> None:
    def document(number: int, name: str) -> dict[str, object]:
        return {"Document": {"DocID": str(number), "ConstructedName": name}}

    prefix = "rpt.00013061.0000000000000000.RTMLZHBSPP_"
    listing = {
        "ListDocsByRptTypeRes": {
            "DocumentList": [document(7, f"{prefix}2025.zip"), document(5, f"{prefix}2024.zip")]
        }
    }
    lab.server.on("/misapp/servlets/IceDocListJsonWS", lab.server.text(json.dumps(listing)))
    workbook = _archive(**{"xl/workbook.xml": b"<workbook/>"})
    lab.server.on(
        "/misdownload/servlets/mirDownload?doclookupId=5",
        lab.server.text(_archive(**{f"{prefix}2024.xlsx": workbook})),
    )

    listed, fetched = _fetch(lab, "ercot", year=2024)

    assert listed.to_import == ()
    (path,) = fetched.to_import
    assert (path.name, path.read_bytes()) == (f"{prefix}2024.xlsx", workbook)
    with pytest.raises(FetchError, match="has not one archive of 2019 but 0; it has rpt"):
        _fetch(lab, "ercot", year=2019)


@pytest.mark.parametrize(
    "listing",
    [
        {"ListDocsByRptTypeRes": None},
        {"ListDocsByRptTypeRes": {"DocumentList": [{"Document": {"DocID": "1"}}]}},
        [],
    ],
)
def test_a_list_of_another_form_is_an_error(lab: Any, listing: object) -> None:
    lab.server.on("/misapp/servlets/IceDocListJsonWS", lab.server.text(json.dumps(listing)))

    with pytest.raises(FetchError, match="the list of reports has another form"):
        _fetch(lab, "ercot", year=2024)


@pytest.mark.parametrize("number", ["../../etc", "5&x=1"])
def test_a_list_cannot_lead_elsewhere(lab: Any, number: str) -> None:
    document = {"Document": {"DocID": number, "ConstructedName": "rpt_2024.zip"}}
    listing = {"ListDocsByRptTypeRes": {"DocumentList": [document]}}
    lab.server.on("/misapp/servlets/IceDocListJsonWS", lab.server.text(json.dumps(listing)))

    with pytest.raises(FetchError, match="has not one archive of 2024"):
        _fetch(lab, "ercot", year=2024)


def test_smard_is_asked_a_calendar_year_at_a_time_in_berlin_time(lab: Any, csv: bytes) -> None:
    path = "/nip-download-manager/nip/download/market-data"
    lab.server.on(path, lab.server.text(csv))

    fetched = _fetch(lab, "smard", zone="NL", start="2024-12-31", end="2025-03-30")

    assert [one.path.name for one in fetched] == [
        "smard_NL_hour_2024-12-31_2024-12-31.csv",
        "smard_NL_hour_2025-01-01_2025-03-30.csv",
    ]
    first, second = (json.loads(seen.body)["request_form"] for seen in lab.server.seen)
    assert first == [
        {
            "format": "CSV",
            "moduleIds": [8000256],
            "region": "DE",
            "timestamp_from": 1735599600000,  # 2024-12-30T23:00Z
            "timestamp_to": 1735686000000 - 1,
            "type": "discrete",
            "language": "en",
            "resolution": "hour",
        }
    ]
    # The last day of the second span has 23 hours.
    assert second[0]["timestamp_to"] + 1 - 1743289200000 == 23 * 3_600_000


def test_entsoe_is_asked_in_utc_and_a_year_at_a_time() -> None:
    first, second = _requests("entsoe", area="NL", start="2024-06-01", end="2025-03-30")

    assert parse_qs(urlsplit(first.url).query) == {
        "documentType": ["A44"],
        "in_Domain": ["10YNL----------L"],
        "out_Domain": ["10YNL----------L"],
        "periodStart": ["202405312200"],
        "periodEnd": ["202412312300"],
    }
    assert parse_qs(urlsplit(second.url).query)["periodEnd"] == ["202503302200"]
    assert urlsplit(first.url)[:3] == ("https", "web-api.tp.entsoe.eu", "/api")


@pytest.mark.parametrize(
    ("area", "code"),
    [
        ("DE_LU", "10Y1001A1001A82H"),
        ("de_lu", "10Y1001A1001A82H"),
        ("DK_1", "10YDK-1--------W"),
        ("IT_NORD", "10Y1001A1001A73I"),
    ],
)
def test_zones_of_entsoe_are_named_as_usual(area: str, code: str) -> None:
    (request,) = _requests("entsoe", area=area, start="2025-01-01", end="2025-01-02")

    assert parse_qs(urlsplit(request.url).query)["in_Domain"] == [code]


def test_entsoes_acknowledgement_is_no_data(lab: Any) -> None:
    lab.server.on(
        "/api",
        lab.server.text(
            '<?xml version="1.0"?><Acknowledgement_MarketDocument xmlns="urn:x"><mRID>1</mRID>'
            "<Reason><code>999</code><text>No matching data found</text></Reason>"
            "</Acknowledgement_MarketDocument>"
        ),
    )

    with pytest.raises(FetchError, match="no data for this: No matching data found"):
        _fetch(lab, "entsoe", area="NL", start="2025-01-01", end="2025-01-02")

    assert not list((lab.folder / "raw" / "entsoe").glob("*.xml"))


def test_coin_metrics_pages_are_followed_to_the_last(lab: Any, csv: bytes) -> None:
    path = "/v4/timeseries/asset-metrics"
    pages = {
        f"{path}?assets=btc&page={page}": lab.server.text(
            csv + bytes([48 + page]),
            x_next_page_url=f"{lab.server.url}{path}?assets=btc&page={page + 1}" * (page < 3),
        )
        for page in (2, 3)
    }
    for url, step in pages.items():
        lab.server.on(url, step)
    lab.server.on(
        path, lab.server.text(csv, x_next_page_url=f"{lab.server.url}{path}?assets=btc&page=2")
    )

    fetched = _fetch(lab, "coin-metrics", start="1990-01-01", end="2026-04-01")

    stem = "coin-metrics_btc_1990-01-01_2026-04-01"
    names = [one.path.name for one in fetched]
    assert names == [f"{stem}.csv", f"{stem}_page2.csv", f"{stem}_page3.csv"]
    assert [one.path.read_bytes()[len(csv) :] for one in fetched] == [b"", b"2", b"3"]


def test_pages_are_followed_even_where_the_first_is_unchanged(lab: Any, csv: bytes) -> None:
    path = "/v4/timeseries/asset-metrics"
    more = f"{lab.server.url}{path}?page=2"
    lab.server.on(path, lab.server.file(csv, '"v1"', x_next_page_url=more))
    lab.server.on(f"{path}?page=2", lab.server.text(csv), lab.server.text(csv + b"new,1"))

    _fetch(lab, "coin-metrics", start="2024-01-01", end="2024-12-31")
    again = _fetch(lab, "coin-metrics", start="2024-01-01", end="2024-12-31")

    assert [one.outcome for one in again] == ["unchanged", "changed"]


def test_a_next_page_at_another_host_is_refused(lab: Any, csv: bytes) -> None:
    lab.server.on(
        "/v4/timeseries/asset-metrics",
        lab.server.text(csv, x_next_page_url="https://example.org/page2"),
    )

    with pytest.raises(FetchError, match=r"the next page is at another host: https://example\.org"):
        _fetch(lab, "coin-metrics", start="2024-01-01", end="2024-12-31")


def test_pages_without_end_are_given_up(
    lab: Any, csv: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v4/timeseries/asset-metrics"
    lab.server.on(path, lab.server.text(csv, x_next_page_url=f"{lab.server.url}{path}"))
    monkeypatch.setattr("gridhash.data.fetch.catalogue._MOST_REQUESTS", 4)

    with pytest.raises(FetchError, match="4 files came and there would be more"):
        _fetch(lab, "coin-metrics", start="2024-01-01", end="2024-12-31")


def test_open_meteos_reason_is_shown(lab: Any) -> None:
    lab.server.on(
        "/v1/archive",
        lab.server.text('{"error": true, "reason": "end_date is out of range"}', 400),
    )

    with pytest.raises(FetchError, match="400 Bad Request: “end_date is out of range”"):
        _fetch(
            lab, "open-meteo", latitude=33.6, longitude=130.4, start="2026-04-01", end="2026-04-30"
        )


def test_what_was_fetched_before_a_failure_is_kept(lab: Any, csv: bytes) -> None:
    path = "/nip-download-manager/nip/download/market-data"
    lab.server.on(path, lab.server.text(csv), lab.server.text("", 403))

    with pytest.raises(FetchError, match="403"):
        _fetch(lab, "smard", zone="NL", start="2024-01-01", end="2025-12-31")

    kept = Path(lab.folder, "raw", "smard", "smard_NL_hour_2024-01-01_2024-12-31.csv")
    assert kept.read_bytes() == csv
