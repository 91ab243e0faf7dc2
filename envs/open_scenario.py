"""From what a user names (a site, a price file) to a scenario."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from gridhash.config import SiteConfig, load_site, parse_site
from gridhash.data.readers.recognise import open_prices
from gridhash.data.samples import load_sample, sample_names
from gridhash.data.store.store import Store
from gridhash.data.synthetic import synthetic_japan
from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError

SAMPLE_SITE = "europe_sample"
SAMPLE = "nl_2018"
SYNTHETIC = "synthetic"
SITE_OF_CURRENCY = {"JPY": "japan_pilot", "EUR": SAMPLE_SITE}


@dataclass(frozen=True, kw_only=True)
class ScenarioRequest:
    """What a user asked for; None means the default."""

    site: str | None = None
    """Preset or site file."""
    prices: str | None = None
    """Price file, ``synthetic``, or the name of a sample or of a trace in the store."""
    area: str | None = None
    """Market area, where the file holds several."""
    start: str | None = None
    end: str | None = None
    start_cost: float | None = None
    """Instead of the site's start_cost_per_fleet_start."""
    work_levels: bool = False
    seed: int = 0
    """Of the synthetic year."""


def open_scenario(request: ScenarioRequest) -> Scenario:
    """Return the scenario that a request names.

    Without prices a site in JPY gets the synthetic Japanese year and one in EUR the embedded
    sample; without a site the prices' currency decides the preset.

    Raises
    ------
    ConfigError
        If no default fits, or the site is wrong.
    DataError
        If the prices are.
    """
    if request.site is None and request.prices is None:
        request = replace(request, site=SAMPLE_SITE)
    site = load_site(request.site) if request.site is not None else None
    trace = open_trace(request, site)
    if site is None:
        if trace.currency not in SITE_OF_CURRENCY:
            raise ConfigError(
                f"no preset reckons in {trace.currency}: name a site file with --site"
            )
        site = load_site(SITE_OF_CURRENCY[trace.currency])
    if site.market.settlement_period_s != trace.period_s and request.site is None:
        market = site.market.model_copy(update={"settlement_period_s": trace.period_s})
        site = site.model_copy(update={"market": market})
    changes: dict[str, object] = {}
    if request.start_cost is not None:
        changes["start_cost_per_fleet_start"] = request.start_cost
    if request.work_levels:
        changes["use_work_levels"] = True
    if changes:
        # Validated anew, so that a negative cost or missing levels are refused.
        site = parse_site(site.model_dump() | changes, origin=f"{site.name} with your options")
    return build_scenario(site, trace)


def open_trace(request: ScenarioRequest, site: SiteConfig | None = None) -> Trace:
    """Return the prices that a request names, or those that ship with gridhash for a site.

    Raises
    ------
    ConfigError
        If there are no such prices.
    DataError
        If they cannot be read, or hold another area or span.
    """
    prices = request.prices
    if prices is None:
        if site is None:
            raise ConfigError("name prices or a site")
        defaults = {"JPY": SYNTHETIC, "EUR": SAMPLE}
        if site.currency not in defaults:
            raise ConfigError(
                f"no prices in {site.currency} ship with gridhash: give a price file with --prices"
            )
        prices = defaults[site.currency]
    start, end = (_instant(text, site) for text in (request.start, request.end))
    if prices == SYNTHETIC:
        area = request.area or (site.area if site is not None else "kyushu")
        trace = synthetic_japan(area=area, seed=request.seed)
    elif prices in sample_names():
        trace = load_sample(prices)
        if request.area not in (None, trace.area):
            raise ConfigError(f"the sample {prices} holds {trace.area} only, not {request.area!r}")
    elif Path(prices).exists():
        return open_prices(Path(prices), area=request.area, start=start, end=end)
    else:
        store = Store()
        if prices not in store.trace_names():
            raise ConfigError(
                f"no price file {prices!r}; give a path, {SYNTHETIC!r}, one of the samples "
                f"{', '.join(sample_names())}, or a trace of the store "
                f"({', '.join(store.trace_names()) or 'none yet, see `gridhash data join`'})"
            )
        trace = store.load_trace(prices)
        if request.area not in (None, trace.area):
            raise ConfigError(f"the trace {prices} holds {trace.area} only, not {request.area!r}")
    if start is not None or end is not None:
        return trace.between(start or trace.start, end or trace.end)
    return trace


def _instant(text: str | None, site: SiteConfig | None) -> datetime | None:
    """Return a date as an aware instant: local at the site, UTC where there is none."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as err:
        raise ConfigError(f"{text!r} is no date; write it as 2018-09-01") from err
    if instant.utcoffset() is None:
        instant = instant.replace(tzinfo=ZoneInfo(site.timezone if site is not None else "UTC"))
    return instant
