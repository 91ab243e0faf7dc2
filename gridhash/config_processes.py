"""Blocks of a scenario's exogenous processes: what is drawn where no real series exists.

Each block is optional and adds columns to a trace; the processes themselves lie in
`gridhash.data.processes`. Figures marked assumed have no published source.
"""

from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from gridhash.config_blocks import Block

ClimateName = Literal["fukuoka", "tokyo", "dallas", "melbourne", "frankfurt", "amsterdam"]
DemandName = Literal["kyushu", "ercot"]
Hour = Annotated[float, Field(ge=0.0, le=24.0)]
Month = Annotated[int, Field(ge=1, le=12)]


class WeatherProcess(Block):
    """Outdoor temperature, relative humidity, or both, of one of the stated climates."""

    climate: ClimateName = Field(description="whose monthly means and daily course")
    temperature: bool = Field(default=True, description="whether it is drawn")
    humidity: bool = Field(default=True, description="whether it is drawn")


class DemandProcess(Block):
    """Demand of the area, known at the end of each period plus a delay."""

    area: DemandName = Field(description="whose profile by month, hour and weekend")
    mean_kw: float | None = Field(
        default=None, gt=0.0, description="the area's published mean if absent"
    )
    delay_s: int = Field(default=300, ge=0, description="after the end of the period")


class PauseOrderProcess(Block):
    """Orders to pause in the evening hours of days whose expected demand (else price) is high."""

    per_year: float = Field(default=20.0, gt=0.0, le=300.0, description="expected; assumed")
    notice_h: float = Field(default=3.0, ge=0.0, le=48.0, description="before a window begins")
    first_hour: Hour = Field(
        default=16.0, description="local; a window lies in first_hour … last_hour"
    )
    last_hour: Hour = Field(default=22.0, description="local")
    shortest_h: float = Field(default=2.0, gt=0.0, le=24.0, description="of a window")
    longest_h: float = Field(default=4.0, gt=0.0, le=24.0, description="of a window")
    months: tuple[Month, ...] = Field(
        default=(7, 8, 9, 12, 1, 2), min_length=1, description="1 = January"
    )
    demand_link: float = Field(
        default=0.9, ge=0.0, le=1.0, description="1: only demand decides; 0: chance"
    )

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        if self.shortest_h > self.longest_h or self.longest_h > self.last_hour - self.first_hour:
            raise ValueError(
                f"windows of {self.shortest_h:g} to {self.longest_h:g} h do not fit between "
                f"{self.first_hour:g} and {self.last_hour:g} o'clock"
            )
        return self


class DrDownProcess(Block):
    """Calls to reduce (発動指令): 3 h on business days from 9 to 20, at most 12 a year."""

    per_year: float = Field(default=8.0, gt=0.0, le=100.0, description="expected; assumed")
    most_per_year: int = Field(default=12, ge=1, description="per fiscal year")
    fiscal_year_month: Month = Field(default=4, description="a fiscal year's first month")
    notice_h: float = Field(default=3.0, ge=0.0, le=48.0, description="before a call begins")
    block_h: float = Field(default=3.0, gt=0.0, le=24.0, description="length of a call")
    first_hour: Hour = Field(
        default=9.0, description="local; a call lies in first_hour … last_hour"
    )
    last_hour: Hour = Field(default=20.0, description="local")
    months: tuple[Month, ...] = Field(
        default=(6, 7, 8, 9, 12, 1, 2), min_length=1, description="1 = January"
    )
    demand_link: float = Field(
        default=0.8, ge=0.0, le=1.0, description="1: only demand decides; 0: chance"
    )

    @model_validator(mode="after")
    def _block_fits(self) -> Self:
        if self.block_h > self.last_hour - self.first_hour:
            raise ValueError(
                f"a block of {self.block_h:g} h does not fit between {self.first_hour:g} and "
                f"{self.last_hour:g} o'clock"
            )
        return self


class DrUpProcess(Block):
    """Calls to consume (上げDR) in expected surplus hours, announced on the day before."""

    call_probability: float = Field(
        default=0.5, gt=0.0, le=1.0, description="of a surplus day; assumed"
    )
    most_per_year: int = Field(default=60, ge=1, description="per fiscal year; assumed")
    fiscal_year_month: Month = Field(default=4, description="a fiscal year's first month")
    announced_hour: float = Field(
        default=16.0, ge=12.0, lt=24.0, description="local, the day before"
    )
    first_hour: Hour = Field(
        default=9.0, description="local; a call lies in first_hour … last_hour"
    )
    last_hour: Hour = Field(default=16.0, description="local")
    shortest_h: float = Field(default=2.0, gt=0.0, le=24.0, description="of a call")
    price_at_most_per_kwh: float = Field(
        default=0.01, description="expected price that tells surplus"
    )
    months: tuple[Month, ...] = Field(
        default=(3, 4, 5, 10, 11), min_length=1, description="1 = January"
    )

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if self.shortest_h > self.last_hour - self.first_hour:
            raise ValueError(
                f"a call of {self.shortest_h:g} h does not fit between {self.first_hour:g} and "
                f"{self.last_hour:g} o'clock"
            )
        return self


class ImbalanceProcess(Block):
    """Japan's imbalance prices: spot price, imbalance of the area, scarcity, and zero at surplus.

    The scarcity price rises from zero at 10 % reserve over `knee_price_per_kwh` at 8 % to
    `highest_price_per_kwh` at 3 %; 300 JPY/kWh from October 2026, 200 before.
    """

    highest_price_per_kwh: float = Field(
        default=300.0, gt=0.0, description="scarcity price at 3 % reserve"
    )
    knee_price_per_kwh: float = Field(
        default=50.0, gt=0.0, description="scarcity price at 8 % reserve"
    )
    deviation_frac: float = Field(
        default=0.25, ge=0.0, le=2.0, description="of the spot price; assumed"
    )
    deviation_per_kwh: float = Field(default=1.0, ge=0.0, description="beside that; assumed")
    memory_h: float = Field(default=3.0, gt=0.0, description="of the area's imbalance; assumed")
    spread_frac: float = Field(
        default=0.0, ge=0.0, le=0.9, description="of the shortage price, that surplus earns less"
    )
    mean_reserve_frac: float = Field(default=0.16, ge=0.1, le=1.0, description="assumed")
    reserve_sd_frac: float = Field(default=0.025, ge=0.0, le=0.5, description="assumed")
    surplus_price_at_most_per_kwh: float = Field(
        default=0.01, description="spot price that tells surplus"
    )
    delay_s: int = Field(default=1800, ge=0, description="after the end of the period")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.knee_price_per_kwh > self.highest_price_per_kwh:
            raise ValueError(
                f"knee_price_per_kwh {self.knee_price_per_kwh:g} lies above "
                f"highest_price_per_kwh {self.highest_price_per_kwh:g}"
            )
        return self


class IrradianceProcess(Block):
    """Light of the sun: clear sky by pvlib times clouds that come and go within the hour."""

    latitude: float = Field(ge=-66.0, le=66.0, description="degrees north")
    longitude: float = Field(ge=-180.0, le=180.0, description="degrees east")
    clear_share: float = Field(default=0.45, gt=0.0, lt=1.0, description="of time; assumed")
    broken_share: float = Field(default=0.35, gt=0.0, lt=1.0, description="of time; assumed")
    clear_dwell_h: float = Field(default=4.0, gt=0.0, description="mean; assumed")
    pv_peak_kw: float | None = Field(default=None, gt=0.0, description="panels behind the meter")
    pv_tilt: float = Field(default=20.0, ge=0.0, le=90.0, description="degrees from level")
    pv_azimuth: float = Field(default=180.0, ge=0.0, le=360.0, description="180 looks south")
    contract_power_kw: float | None = Field(default=None, gt=0.0, description="of the site")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.clear_share + self.broken_share >= 1.0:
            raise ValueError("clear_share + broken_share must be below 1")
        if (self.pv_peak_kw is None) != (self.contract_power_kw is None):
            raise ValueError("give both pv_peak_kw and contract_power_kw, or neither")
        return self


class BasePointProcess(Block):
    """Base points: holds, ramps and jumps, each feasible at the ramp limit.

    `within_reach` moves them, where needed, to the nearest that the site can promise to follow
    from the one before: minimum times, boot, lowest work level and ramps count.
    """

    within_reach: bool = Field(
        default=False, description="ask for no more than the site can promise to reach next"
    )
    highest_kw: float | None = Field(
        default=None, gt=0.0, description="full power of whoever asks; contract power if absent"
    )
    ramp_frac_per_min: float = Field(
        default=0.2, gt=0.0, le=10.0, description="of full power; assumed"
    )
    zero_share: float = Field(default=0.15, ge=0.0, le=1.0, description="of the targets; assumed")
    full_share: float = Field(default=0.35, ge=0.0, le=1.0, description="of the targets; assumed")
    mean_hold_min: float = Field(default=30.0, gt=0.0, description="assumed")
    slowest_ramp_min: float = Field(
        default=45.0, gt=0.0, description="for the whole range; assumed"
    )
    notice_s: int | None = Field(default=None, ge=0, description="one period if absent")

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.zero_share + self.full_share > 1.0:
            raise ValueError("zero_share + full_share must be at most 1")
        return self


class AncillaryProcess(Block):
    """Price of held capacity, known the day before, and rare deployments, known as they start."""

    mean_price_per_kw_h: float = Field(
        default=0.00962, gt=0.0, description="ECRS 2024: 9.62 USD/MW/h"
    )
    log_sd: float = Field(default=0.9, ge=0.0, le=2.0, description="of the hourly price; assumed")
    deployments_per_year: float = Field(default=20.0, ge=0.0, le=1000.0, description="assumed")
    longest_h: float = Field(
        default=2.0, gt=0.0, le=24.0, description="80 % of ECRS calls are at most 2 h"
    )
    announced_hour: float = Field(
        default=13.5, ge=0.0, lt=24.0, description="local, the day before"
    )


class RealTimeProcess(Block):
    """Real-time prices whose expectation is the day-ahead price of the trace."""

    market: Literal["ercot", "vic", "nl"] = Field(description="whose deviations are drawn")
    delay_s: int = Field(default=0, ge=0, description="after the end of the interval")


class ProcessSettings(Block):
    """The processes of a scenario, added in this order; an absent one is not added."""

    timezone: str = Field(description="IANA name; local hours and days are meant in it")
    period_s: int | None = Field(
        default=None, gt=0, description="finer grid to bring the trace onto first"
    )
    real_time: RealTimeProcess | None = None
    weather: WeatherProcess | None = None
    demand: DemandProcess | None = None
    irradiance: IrradianceProcess | None = None
    pause_orders: PauseOrderProcess | None = None
    dr_down: DrDownProcess | None = None
    dr_up: DrUpProcess | None = None
    imbalance: ImbalanceProcess | None = None
    base_points: BasePointProcess | None = None
    ancillary: AncillaryProcess | None = None

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as err:
            raise ValueError(f"no time zone {name!r}; write it like Asia/Tokyo") from err
        return name
