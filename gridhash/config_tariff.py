"""What energy costs: the tariff blocks of a site file, each with its own ledger line.

A block that is absent changes nothing: a site without a tariff buys at the market's price plus
`market.adders_per_kwh`. Relations and worked examples: `gridhash.envs.tariff`.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from gridhash.config_blocks import Block

Days = Literal["all", "weekdays", "weekends"]


class TimeOfUseBand(Block):
    """A price that holds in some hours of some days of some months, in local time."""

    from_hour: float = Field(ge=0, lt=24, description="first local hour that is inside")
    to_hour: float = Field(gt=0, le=24, description="first hour that is outside")
    days: Days = Field(default="all", description="holidays count as weekends")
    months: tuple[int, ...] = Field(
        default=tuple(range(1, 13)), min_length=1, description="1 = January"
    )
    price_per_kwh: float = Field(description="in the hours of the band")

    def holds(self, month: int, days: str, hour: float) -> bool:
        """Return whether the band holds at an hour of weekdays or weekends of a month."""
        in_days = self.days in ("all", days)
        return in_days and month in self.months and self.from_hour <= hour < self.to_hour

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.to_hour <= self.from_hour:
            raise ValueError(
                f"to_hour {self.to_hour} must be after from_hour {self.from_hour}; write a band "
                "over midnight as two"
            )
        if any(not 1 <= month <= 12 for month in self.months):
            raise ValueError(f"months are 1 … 12; found {list(self.months)}")
        return self


class TimeOfUseConfig(Block):
    """Prices by the clock; the last band that holds counts, `otherwise_per_kwh` elsewhere."""

    replaces: Literal["price", "nothing"] = Field(
        default="price", description="price: instead of the market's; nothing: added to it"
    )
    otherwise_per_kwh: float = Field(default=0.0, description="price in hours without a band")
    bands: tuple[TimeOfUseBand, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse a band that later ones hide in all its hours: its price would never hold."""
        for k, band in enumerate(self.bands):
            later = self.bands[k + 1 :]
            edges = {band.from_hour, *(edge for b in later for edge in (b.from_hour, b.to_hour))}
            starts = [hour for hour in edges if band.from_hour <= hour < band.to_hour]
            days = ("weekdays", "weekends") if band.days == "all" else (band.days,)
            if all(
                any(other.holds(month, day, hour) for other in later)
                for month in band.months
                for day in days
                for hour in starts
            ):
                raise ValueError(
                    f"bands.{k} never holds: later bands hide it in all its hours; remove it or "
                    "put it after them"
                )
        return self


class PowerPurchaseConfig(Block):
    """A fixed-price block that is paid for whether used or not; what is left is sold at spot."""

    volume_kw: float = Field(gt=0, description="bought in every hour")
    price_per_kwh: float = Field(description="of the block, used or not")
    resale_fee_per_kwh: float = Field(default=0.0, ge=0, description="kept by the seller's agent")


class DemandChargeConfig(Block):
    """Charge on the highest mean power of a metering period, with a ratchet and power factor.

    The billed demand of a month is the higher of its own peak and `ratchet_frac` times the peak of
    the `ratchet_months` - 1 months before (Japan: this and the 11 months before, 実量制). The
    factor is 1 + (base_power_factor - power_factor), 1 % per point (Japan: base 85 %).
    """

    per_kw_month: float = Field(gt=0, description="rate before the power factor")
    metering_period_s: int = Field(
        default=1800, gt=0, description="time over which power is averaged"
    )
    ratchet_months: int = Field(
        default=12,
        ge=1,
        le=12,
        description="this month and those before it that count; 1: none before",
    )
    ratchet_frac: float = Field(default=1.0, ge=0, le=1, description="of the months before")
    power_factor: float = Field(default=1.0, gt=0, le=1, description="of the site")
    base_power_factor: float = Field(
        default=0.85, gt=0, le=1, description="at which nothing is added or taken off"
    )
    peak_before_kw: float = Field(
        default=0.0, ge=0, description="peak of the months before the data"
    )

    @property
    def charge_per_kw_month(self) -> float:
        """Rate after the power factor [currency/kW/month]."""
        return self.per_kw_month * (1.0 + self.base_power_factor - self.power_factor)


class CoincidentPeakConfig(Block):
    """Charge on the site's mean power in the intervals of highest system demand.

    `per_kw_year` is shared equally by all intervals of a year: ERCOT's 4CP is the one highest
    15-minute interval of each of June to September.
    """

    name: str = Field(min_length=1, description="as it stands in reports")
    ledger_line: Literal["transmission", "capacity"] = Field(
        default="transmission", description="where it is booked"
    )
    per_kw_year: float = Field(gt=0, description="for all peaks of a year together")
    months: tuple[int, ...] = Field(min_length=1, description="1 = January; those that have peaks")
    peaks_per_month: int = Field(
        default=1, ge=1, le=100, description="intervals of highest demand that count"
    )
    interval_s: int = Field(default=900, gt=0, description="length of a peak interval")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(not 1 <= month <= 12 for month in self.months) or len(set(self.months)) != len(
            self.months
        ):
            raise ValueError(f"months are 1 … 12, each once; found {list(self.months)}")
        return self


class BalancingConfig(Block):
    """Plan and imbalance (計画値同時同量): spot on what was nominated, imbalance price on the rest.

    Needs the trace columns imbalance_surplus_price_per_kwh and imbalance_shortage_price_per_kwh.
    A plan that is wrong on purpose is not allowed: net deviation of a month beyond
    `bias_limit_frac` of what was nominated costs `bias_penalty_per_kwh` and is reported. A plan
    shifted between the hours of a month is not caught by that (gaming there is modelled).
    """

    gate_closure_local_hour: float = Field(
        default=9.0, ge=0, lt=24, description="when the plan of the next day is fixed"
    )
    bias_limit_frac: float = Field(
        default=0.05, ge=0, description="of what was nominated in a month"
    )
    bias_penalty_per_kwh: float = Field(default=10.0, ge=0, description="on what lies beyond")


class BehindMeterPvConfig(Block):
    """Panels behind the site's meter; the trace column behind_meter_pv_frac says what they give."""

    cost_per_kwh: float = Field(default=0.0, description="of each kWh used, such as a lease")
    export_price_per_kwh: float = Field(default=0.0, description="for each kWh not used")


class CapacityContributionConfig(Block):
    """Fixed charge on contract power for the capacity market (容量拠出金)."""

    per_kw_month: float = Field(gt=0, description="per kW of contract power")


class TariffConfig(Block):
    """All that a kilowatt-hour and a kilowatt cost beyond the market's price and adders."""

    contract: Literal["indexed", "balancing"] = Field(
        default="indexed",
        description="indexed: price x actual energy; balancing: price x plan + imbalance",
    )
    settles_at: Literal["price_per_kwh", "real_time_price_per_kwh"] = Field(
        default="price_per_kwh", description="column whose price is paid"
    )
    price_known: Literal["published", "current", "lagged"] = Field(
        default="published",
        description="published: ahead; current: from the start of its period; lagged: after it",
    )
    price_delay_s: int = Field(
        default=0, ge=0, le=86400, description="lagged: from the end of the period"
    )
    time_of_use: TimeOfUseConfig | None = None
    power_purchase: PowerPurchaseConfig | None = None
    demand_charge: DemandChargeConfig | None = None
    coincident_peaks: tuple[CoincidentPeakConfig, ...] = ()
    balancing: BalancingConfig | None = None
    behind_meter_pv: BehindMeterPvConfig | None = None
    capacity_contribution: CapacityContributionConfig | None = None
    surplus_quota_kwh_per_day: float | None = Field(
        default=None, gt=0, description="most surplus energy of a local day; none if absent"
    )
    renewable_levy_per_kwh: float = Field(
        default=0.0, ge=0, description="added to each imported kWh, on a ledger line of its own"
    )
    carbon_price_per_t: float = Field(default=0.0, ge=0, description="currency per tonne of CO2")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.contract == "balancing") != (self.balancing is not None):
            raise ValueError(
                "contract balancing and the block balancing go together; found contract "
                f"{self.contract!r} {'with' if self.balancing else 'without'} the block"
            )
        if self.contract == "balancing" and self.power_purchase is not None:
            raise ValueError(
                "a balancing contract and power_purchase would pay twice for the same kWh: "
                "choose one"
            )
        fixed = self.time_of_use is not None and self.time_of_use.replaces == "price"
        if fixed and (self.settles_at != "price_per_kwh" or self.contract == "balancing"):
            raise ValueError("time_of_use replaces the price: it goes with indexed day-ahead only")
        if self.settles_at == "real_time_price_per_kwh" and self.price_known == "published":
            raise ValueError(
                "a real-time price is not published ahead: set price_known to current or lagged"
            )
        names = [peaks.name for peaks in self.coincident_peaks]
        if len(set(names)) != len(names):
            raise ValueError(f"names of coincident_peaks must differ; found {names}")
        if self.price_delay_s and self.price_known != "lagged":
            raise ValueError("price_delay_s needs price_known = lagged")
        return self

    @property
    def metering_period_s(self) -> int | None:
        """Metering period of the demand charge, None without one [s]."""
        return self.demand_charge.metering_period_s if self.demand_charge else None

    def scaled_by(self, share: float) -> Self:
        """Return the tariff of a site with this share of the power."""
        changes: dict[str, object] = {}
        if self.power_purchase is not None:
            volume_kw = self.power_purchase.volume_kw * share
            changes["power_purchase"] = self.power_purchase.model_copy(
                update={"volume_kw": volume_kw}
            )
        if self.demand_charge is not None:
            peak_kw = self.demand_charge.peak_before_kw * share
            changes["demand_charge"] = self.demand_charge.model_copy(
                update={"peak_before_kw": peak_kw}
            )
        if self.surplus_quota_kwh_per_day is not None:
            changes["surplus_quota_kwh_per_day"] = self.surplus_quota_kwh_per_day * share
        return self.model_copy(update=changes)
