"""What counts by settlement period: plan and imbalance, calls, load of the day."""

from gridhash.envs.accounts import (
    BASELINE_KW,
    BIAS_KWH,
    CALLS,
    CALLS_FAILED,
    COMMITTED_KW,
    DELIVERED_KWH,
    DUE_KWH,
    IMPORT_KWH,
    INCREASE_BASELINE_KW,
    LAST_DEVIATION_KWH,
    PERIOD_KWH,
    PLANNED_KWH,
    Accounts,
    rule_metered_kw,
)
from gridhash.envs.columns import (
    IMBALANCE_SHORTAGE,
    IMBALANCE_SURPLUS,
    INCREASE_CALL,
    MONTH,
    PRICE,
    REDUCTION_CALL,
    SLOT,
    Exogenous,
)
from gridhash.envs.jit import njit
from gridhash.envs.ledger import (
    BIAS,
    IMBALANCE,
    IMPORT_ENERGY,
    INCREASE,
    REDUCTION_ENERGY,
    REDUCTION_PENALTY,
)
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.programs import (
    increase_pay,
    reduction_is_due,
    reduction_settlement,
)
from gridhash.envs.settlement_record import (
    BASELINE_EXCESS,
    DELIVERED,
    IMBALANCE_ENERGY,
    NOMINATION,
)
from gridhash.envs.tariff import bias_excess_kwh, imbalance_cost


@njit
def settle_period(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    accounts: Accounts,
    i: int,
    row: int,
    terms: Floats,
    record: Floats,
) -> None:
    """Settle what counts by settlement period: plan and imbalance, calls, load of the day."""
    market, calendar = exogenous.market[row], exogenous.calendar[row]
    value = accounts.value[i]
    slot = calendar[SLOT]
    hours = params.interval_s * params.intervals_per_period / 3600.0
    mean_kw = value[PERIOD_KWH] / hours
    accounts.today_kw[i, slot] = mean_kw
    if programs.balancing:
        planned_kwh = accounts.plan_kw[i, 0, slot] * hours
        deviation_kwh = value[IMPORT_KWH] - planned_kwh
        terms[IMPORT_ENERGY] = planned_kwh * market[PRICE]
        terms[IMBALANCE] = imbalance_cost(
            value[IMPORT_KWH], planned_kwh, market[IMBALANCE_SHORTAGE], market[IMBALANCE_SURPLUS]
        )
        value[LAST_DEVIATION_KWH] = deviation_kwh
        value[PLANNED_KWH] += planned_kwh
        value[BIAS_KWH] += deviation_kwh
        record[NOMINATION] = planned_kwh / hours
        record[IMBALANCE_ENERGY] = deviation_kwh
        ends = row + 1 == exogenous.calendar.shape[0]
        if ends or exogenous.calendar[row + 1, MONTH] != calendar[MONTH]:
            excess_kwh = bias_excess_kwh(
                value[BIAS_KWH], value[PLANNED_KWH], programs.bias_limit_frac
            )
            terms[BIAS] = excess_kwh * programs.bias_penalty_per_kwh
    if programs.has_reduction:
        settle_reduction(programs, exogenous, accounts, i, row, mean_kw, hours, terms, record)
    if programs.increase_max_kw > 0.0 and market[INCREASE_CALL] > 0.0:
        terms[INCREASE] = increase_pay(
            value[INCREASE_BASELINE_KW],
            mean_kw,
            programs.increase_max_kw,
            programs.increase_pay_per_kwh,
            hours,
        )


@njit
def settle_reduction(
    programs: ProgramParameters,
    exogenous: Exogenous,
    accounts: Accounts,
    i: int,
    row: int,
    mean_kw: float,
    hours: float,
    terms: Floats,
    record: Floats,
) -> None:
    """Settle one period of a call to reduce, and the call when it ends."""
    market = exogenous.market
    value = accounts.value[i]
    if market[row, REDUCTION_CALL] <= 0.0:
        return
    due_kw = value[COMMITTED_KW] if reduction_is_due(market[row], programs.has_pause) else 0.0
    energy_pay, penalty, delivered_kwh = reduction_settlement(
        value[BASELINE_KW],
        mean_kw,
        due_kw,
        programs.reduction_tolerance_frac,
        programs.reduction_pay_per_kwh,
        programs.reduction_penalty_per_kwh,
        hours,
    )
    terms[REDUCTION_ENERGY] = energy_pay
    terms[REDUCTION_PENALTY] = penalty
    value[DELIVERED_KWH] += delivered_kwh
    value[DUE_KWH] += due_kw * hours
    record[DELIVERED] = delivered_kwh
    record[BASELINE_EXCESS] = max(value[BASELINE_KW] - rule_metered_kw(market, row), 0.0)
    if row + 1 == market.shape[0] or market[row + 1, REDUCTION_CALL] <= 0.0:
        value[CALLS] += 1.0
        if value[DELIVERED_KWH] < programs.reduction_tolerance_frac * value[DUE_KWH] - 1e-9:
            value[CALLS_FAILED] += 1.0
        value[DELIVERED_KWH] = 0.0
        value[DUE_KWH] = 0.0
