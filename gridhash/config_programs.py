"""What a site promises to grid and utility: the program blocks of a site file.

Each block has its ledger lines and its features in the observation; a block that is absent changes
nothing. When calls and orders come is data: columns of the trace, real or by a stated process.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gridhash.config_blocks import Block


class DemandReductionConfig(Block):
    """Demand response down (発動指令-type): a call, a notice, a baseline, pay and penalty.

    Calls are the trace column dr_down_call. Delivered power is the baseline less the mean power of
    each settlement period. The baseline is "high 4 of 5": of the five business days before without
    a call, the mean of the four with the highest load in the hours of the call, slot by slot.

    `baseline_limit` says what is done against raising load to raise the baseline: ``rule`` caps it
    at what the level rule would draw at that moment (gaming is prevented); ``none`` does not
    (gaming is modelled, and the excess over the rule is recorded). There is no adjustment to the
    load of the day itself before the call. While a pause order of the utility holds, the call
    counts neither as delivered nor as missed.
    """

    committed_kw: float = Field(gt=0, description="default bid; the day's decision may lower it")
    capacity_pay_per_kw_month: float = Field(default=0.0, ge=0, description="for standing by")
    energy_pay_per_kwh: float = Field(
        default=0.0, ge=0, description="on what was reduced in a call"
    )
    penalty_per_kwh: float = Field(ge=0, description="on what is missing to the tolerated part")
    tolerance_frac: float = Field(
        default=0.9, gt=0, le=1, description="of the commitment that counts as performed"
    )
    baseline_limit: Literal["rule", "none"] = Field(
        default="rule", description="rule: capped at the level rule; none: not capped"
    )


class DemandIncreaseConfig(Block):
    """Demand response up (上げDR): pay for consumption above the baseline; no penalty.

    Calls are the trace column dr_up_call. The baseline is "high 4 of 5" of each slot, and nothing
    is done against lowering load to lower it, nor against pay for load that would be there anyway
    (gaming is modelled, not prevented).
    """

    pay_per_kwh: float = Field(gt=0, description="on load above the baseline in a call")
    max_kw: float = Field(gt=0, description="increase that is paid at most")


class PauseOrderConfig(Block):
    """Utility orders to pause at high area demand: the trace column pause_order.

    The limits obey (obligations come before the policy); `penalty_per_kwh` is paid on what rigs
    bound by a ramp still draw above the pause power.
    """

    pause_power_kw: float = Field(ge=0, description="site power allowed while ordered down")
    pay_per_h: float = Field(default=0.0, ge=0, description="paid per hour of pause")
    penalty_per_kwh: float = Field(default=0.0, ge=0, description="on energy above the pause power")


class AncillaryConfig(Block):
    """Capacity held ready to drop: paid per kW and hour, called at times, dear when missing.

    Trace columns ancillary_price_per_kw_h and ancillary_deployed_frac. Held is what the site can
    drop: its power above what it draws when idle.
    """

    held_kw: float = Field(gt=0, description="default; the day's decision may lower it")
    shortfall_penalty_per_kw_h: float = Field(ge=0, description="on held capacity that is missing")


class BasePointConfig(Block):
    """Follow the power that a utility asks for, interval by interval: trace column base_point_frac.

    Outside max(tolerance_kw, tolerance_frac x base point) each kWh costs `penalty_per_kwh`. The
    market's own tolerance (ERCOT, controllable load resources: wider) is only reported.
    """

    penalty_per_kwh: float = Field(gt=0, description="on energy outside the tolerance")
    tolerance_kw: float = Field(default=100.0, ge=0, description="either way")
    tolerance_frac: float = Field(
        default=0.03, ge=0, le=1, description="of the base point, either way"
    )
    market_tolerance_kw: float = Field(
        default=2000.0, ge=0, description="the market's own, reported only"
    )
    market_tolerance_frac: float = Field(
        default=0.15, ge=0, le=1, description="the market's own, reported only"
    )


class ProgramsConfig(Block):
    """All programs of a site."""

    demand_reduction: DemandReductionConfig | None = None
    demand_increase: DemandIncreaseConfig | None = None
    pause_orders: PauseOrderConfig | None = None
    ancillary: AncillaryConfig | None = None
    base_point: BasePointConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.base_point is not None and (
            self.demand_reduction is not None or self.ancillary is not None
        ):
            raise ValueError(
                "a site that follows base points has no load of its own to sell: base_point goes "
                "without demand_reduction and ancillary"
            )
        return self

    def scaled_by(self, share: float) -> Self:
        """Return the programs of a site with this share of the power."""
        powers = {
            "demand_reduction": ("committed_kw",),
            "demand_increase": ("max_kw",),
            "pause_orders": ("pause_power_kw", "pay_per_h"),
            "ancillary": ("held_kw",),
            "base_point": ("tolerance_kw", "market_tolerance_kw"),
        }
        changes: dict[str, object] = {}
        for name, fields in powers.items():
            block = getattr(self, name)
            if block is not None:
                changes[name] = block.model_copy(
                    update={field: getattr(block, field) * share for field in fields}
                )
        return self.model_copy(update=changes)


class ObservationConfig(Block):
    """What a policy sees beyond the table of every site."""

    forecast_h: tuple[Annotated[float, Field(gt=0, le=72)], ...] = Field(
        default=(),
        max_length=8,
        description="quantiles of surplus and behind-meter power this far ahead, from past days",
    )
    price_history_h: tuple[Annotated[float, Field(gt=0, le=72)], ...] = Field(
        default=(),
        max_length=8,
        description="mean and highest of the settled price over this long, as known",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("forecast_h", "price_history_h"):
            hours = getattr(self, name)
            if len(set(hours)) != len(hours):
                raise ValueError(f"{name} names an hour twice: {list(hours)}")
        return self
