"""Where the prices of a scenario come from."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from gridhash.config_blocks import Block

JAPAN_PERIOD_S = 1800
SeriesName = Literal["jepx", "kyushu", "ercot", "nem_vic1", "germany"]
SERIES_PERIOD_S = {"jepx": 1800, "kyushu": 1800, "ercot": 900, "nem_vic1": 300, "germany": 3600}


class TraceConfig(Block):
    """What every source of prices shares."""

    seed: int = Field(default=0, ge=0, description="of everything that is drawn")


class SyntheticJapanTrace(TraceConfig):
    """Synthetic Japanese fiscal years of half-hours (`gridhash.data.synthetic`)."""

    source: Literal["synthetic_japan"] = Field(description="this kind of trace")
    area: str = Field(default="kyushu", description="one of nine Japanese areas")
    fiscal_year_start: int = Field(default=2025, ge=2000, le=2099, description="of the first year")
    years: int = Field(default=1, ge=1, le=20, description="how many fiscal years")
    regime: Literal["usual", "crisis"] = Field(default="usual", description="of prices")
    area_surplus: bool = Field(
        default=True, description="whether the site may use what is curtailed"
    )


class MarketTrace(TraceConfig):
    """Synthetic prices of another market, from a local day on."""

    market: Literal["ercot", "vic", "nl"] = Field(description="whose prices are imitated")
    period_s: Literal[300, 900, 3600] = Field(description="of the prices")
    start: date = Field(description="first local day")
    days: int = Field(ge=14, le=7305, description="how many")


class DayAheadTrace(MarketTrace):
    """Prices that are published the day before (`gridhash.data.synthetic_market`)."""

    source: Literal["synthetic_day_ahead"] = Field(description="this kind of trace")


class RealTimeTrace(MarketTrace):
    """Real-time prices around a day-ahead price (`gridhash.data.processes.real_time`)."""

    source: Literal["synthetic_real_time"] = Field(description="this kind of trace")


class StoredTrace(TraceConfig):
    """Prices that exist: an embedded sample, a trace of the store, or an official file."""

    source: Literal["prices"] = Field(description="this kind of trace")
    prices: str = Field(min_length=1, description="sample, trace of the store, or path")
    area: str | None = Field(default=None, description="where the file holds several")


class ReferenceTrace(TraceConfig):
    """A real series that is not part of gridhash (`gridhash.data.reference`)."""

    source: Literal["reference"] = Field(description="this kind of trace")
    series: SeriesName = Field(description="which")
    area: str | None = Field(default=None, description="of jepx; Kyushu where absent")
    start: date | None = Field(default=None, description="first local day; all where absent")
    end: date | None = Field(default=None, description="local day after the last")


TraceSource = Annotated[
    SyntheticJapanTrace | DayAheadTrace | RealTimeTrace | StoredTrace | ReferenceTrace,
    Field(discriminator="source"),
]
