"""One dispatch interval of a site with tariff and programs: what it owes, earns and remembers."""

from gridhash.envs.accounts import (
    BASE_DEVIATION_KW,
    BASELINE_KW,
    BEFORE_CALL_KW,
    COMMITTED_KW,
    HELD_KW,
    IMPORT_KWH,
    METER_KWH,
    METER_STEPS,
    MONTH_PEAK_KW,
    PERIOD_KWH,
    QUOTA_LEFT_KWH,
    RATCHET_KW,
    Accounts,
    billed_demand_kw,
    ratchet_rise_kw,
)
from gridhash.envs.columns import (
    ADDER,
    BASE_POINT,
    CAPACITY_WEIGHT,
    CARBON_COST,
    DEPLOYED,
    HELD_PRICE,
    MONTH,
    PAUSE,
    PRICE,
    PV,
    REVENUE,
    SURPLUS,
    TRANSMISSION_WEIGHT,
    Exogenous,
)
from gridhash.envs.jit import njit
from gridhash.envs.ledger import (
    ADDERS,
    BASE_PENALTY,
    CAPACITY_CONTRIBUTION,
    CAPACITY_PEAK,
    CARBON,
    DEMAND,
    EXPORT,
    HASH_REVENUE,
    HELD_PAY,
    HELD_PENALTY,
    IMPORT_ENERGY,
    LEVY,
    N_LEDGER,
    PAUSE_PAY,
    PAUSE_PENALTY,
    PURCHASE,
    PV_ENERGY,
    REDUCTION_CAPACITY,
    REPAIR,
    RESALE,
    START_WEAR,
    SURPLUS_ENERGY,
    TRANSMISSION_PEAK,
    WATER,
    signed_sum,
)
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.envs.period_settlement import settle_period
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.programs import (
    base_point_excess_kw,
    base_point_tolerance_kw,
    held_missing_kw,
)
from gridhash.envs.settlement_record import (
    BASE_DEVIATION,
    BASE_EXCESS,
    BASE_MARKET_EXCESS,
    BASELINE,
    HELD_MISSING,
    IMPORT,
    LIABILITY,
    N_SETTLEMENT_RECORD,
    PAUSE_EXCESS,
    PV_USED,
)
from gridhash.envs.tariff import (
    cheaper_first_kw,
    demand_increment,
    power_purchase,
)


@njit
def settle(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    accounts: Accounts,
    i: int,
    row: int,
    substep: int,
    site_kw: float,
    phs: float,
    start_wear: float,
    repair_cost: float,
    water_cost: float,
    terms: Floats,
    record: Floats,
) -> tuple[float, float]:
    """Write the ledger, (N_LEDGER,), and record of an interval; return (profit, surplus used kW).

    Energy and peaks are booked in every interval; plan, imbalance and calls at the end of their
    settlement period; what a month costs from its start in its first interval.
    """
    market = exogenous.market[row]
    value = accounts.value[i]
    hours = params.interval_s / 3600.0
    period_ends = substep + 1 == params.intervals_per_period
    price = market[PRICE]
    all_in = price + market[ADDER] + programs.levy_per_kwh + market[CARBON_COST]

    # One meter nets panels and load: nobody imports and exports at once, however cheap the grid.
    pv_kw = min(site_kw, market[PV])
    quota_kw = min(market[SURPLUS], value[QUOTA_LEFT_KWH] / hours)
    surplus_kw = cheaper_first_kw(site_kw - pv_kw, quota_kw, params.surplus_price_per_kwh, all_in)
    value[QUOTA_LEFT_KWH] = max(value[QUOTA_LEFT_KWH] - surplus_kw * hours, 0.0)
    metered_kw = site_kw - pv_kw
    import_kw = metered_kw - surplus_kw
    import_kwh = import_kw * hours
    spot_kw, block_per_h, resale_per_h = power_purchase(
        import_kw,
        programs.purchase_kw,
        programs.purchase_price_per_kwh,
        price,
        programs.resale_fee_per_kwh,
    )
    for k in range(N_LEDGER):
        terms[k] = 0.0
    terms[HASH_REVENUE] = phs * market[REVENUE] * hours / 24.0
    terms[IMPORT_ENERGY] = 0.0 if programs.balancing else spot_kw * hours * price
    terms[ADDERS] = import_kwh * market[ADDER]
    terms[SURPLUS_ENERGY] = surplus_kw * hours * params.surplus_price_per_kwh
    terms[START_WEAR] = start_wear
    terms[LEVY] = import_kwh * programs.levy_per_kwh
    terms[CARBON] = import_kwh * market[CARBON_COST]
    terms[PV_ENERGY] = pv_kw * hours * programs.pv_cost_per_kwh
    terms[EXPORT] = (market[PV] - pv_kw) * hours * programs.export_price_per_kwh
    terms[PURCHASE] = block_per_h * hours
    terms[RESALE] = resale_per_h * hours
    share_of_row = 1.0 / params.intervals_per_period
    terms[TRANSMISSION_PEAK] = metered_kw * market[TRANSMISSION_WEIGHT] * share_of_row
    terms[CAPACITY_PEAK] = metered_kw * market[CAPACITY_WEIGHT] * share_of_row
    terms[REPAIR] = repair_cost
    terms[WATER] = water_cost
    for k in range(N_SETTLEMENT_RECORD):
        record[k] = 0.0
    record[PV_USED] = pv_kw
    record[IMPORT] = import_kw

    if programs.demand_charge_per_kw > 0.0 or programs.capacity_charge_per_month > 0.0:
        record[LIABILITY] = charge_demand(
            programs, exogenous, accounts, i, row, substep, metered_kw, hours, terms
        )
    if programs.has_pause and market[PAUSE] > 0.0:
        excess_kw = max(site_kw - programs.pause_power_kw, 0.0)
        terms[PAUSE_PAY] = programs.pause_pay_per_h * hours
        terms[PAUSE_PENALTY] = excess_kw * hours * programs.pause_penalty_per_kwh
        record[PAUSE_EXCESS] = excess_kw
    if programs.held_kw > 0.0:
        deployed = market[DEPLOYED]
        missing_kw = held_missing_kw(
            site_kw, programs.idle_kw, value[BEFORE_CALL_KW], value[HELD_KW], deployed
        )
        terms[HELD_PAY] = value[HELD_KW] * market[HELD_PRICE] * hours
        terms[HELD_PENALTY] = missing_kw * programs.held_penalty_per_kw_h * hours
        record[HELD_MISSING] = missing_kw
        if deployed <= 0.0:
            value[BEFORE_CALL_KW] = site_kw
    if programs.has_base_point:
        follow_base_point(programs, market[BASE_POINT], site_kw, hours, value, terms, record)

    value[PERIOD_KWH] += metered_kw * hours
    value[IMPORT_KWH] += import_kwh
    if period_ends:
        settle_period(params, programs, exogenous, accounts, i, row, terms, record)
        value[PERIOD_KWH] = 0.0
        value[IMPORT_KWH] = 0.0
    if programs.has_reduction:
        terms[REDUCTION_CAPACITY] = value[COMMITTED_KW] * programs.capacity_pay_per_kw_h * hours
        record[BASELINE] = value[BASELINE_KW]
    return signed_sum(terms), surplus_kw


@njit
def charge_demand(
    programs: ProgramParameters,
    exogenous: Exogenous,
    accounts: Accounts,
    i: int,
    row: int,
    substep: int,
    metered_kw: float,
    hours: float,
    terms: Floats,
) -> float:
    """Book demand and capacity charges; return by how much the debt to later months grows.

    A demand that outdoes, or outlives, those before it will be billed in the months to come through
    its ratchet; what a month bills for the peaks before it pays that debt off. The reward takes
    the debt when it is made, so that every charge is taken once.
    """
    value = accounts.value[i]
    month_begins = substep == 0 and (
        row == 0 or exogenous.calendar[row, MONTH] != exogenous.calendar[row - 1, MONTH]
    )
    liability = 0.0
    if month_begins:
        terms[CAPACITY_CONTRIBUTION] = programs.capacity_charge_per_month
        terms[DEMAND] = programs.demand_charge_per_kw * value[RATCHET_KW]
        liability = -terms[DEMAND]
    value[METER_KWH] += metered_kw * hours
    value[METER_STEPS] += 1.0
    steps = programs.metering_offset + row * programs.steps_per_row + substep + 1
    if steps % programs.metering_steps == 0:
        # The period in which an episode began may be incomplete: its mean is of what was metered.
        mean_kw = value[METER_KWH] / (value[METER_STEPS] * hours)
        before_kw = billed_demand_kw(accounts, i)
        _, charge = demand_increment(mean_kw, before_kw, programs.demand_charge_per_kw)
        terms[DEMAND] += charge
        rise_kw = ratchet_rise_kw(accounts, programs, i, mean_kw)
        liability += rise_kw * programs.demand_charge_per_kw
        value[MONTH_PEAK_KW] = max(value[MONTH_PEAK_KW], mean_kw)
        value[METER_KWH] = 0.0
        value[METER_STEPS] = 0.0
    return liability


@njit
def follow_base_point(
    programs: ProgramParameters,
    base_point_kw: float,
    site_kw: float,
    hours: float,
    value: Floats,
    terms: Floats,
    record: Floats,
) -> None:
    """Book the deviation from the base point beyond our tolerance; report the market's beside."""
    tolerance_kw = base_point_tolerance_kw(
        base_point_kw, programs.base_tolerance_kw, programs.base_tolerance_frac
    )
    market_tolerance_kw = base_point_tolerance_kw(
        base_point_kw, programs.base_market_tolerance_kw, programs.base_market_tolerance_frac
    )
    excess_kw = base_point_excess_kw(site_kw, base_point_kw, tolerance_kw)
    value[BASE_DEVIATION_KW] = site_kw - base_point_kw
    terms[BASE_PENALTY] = excess_kw * hours * programs.base_penalty_per_kwh
    record[BASE_DEVIATION] = site_kw - base_point_kw
    record[BASE_EXCESS] = excess_kw
    record[BASE_MARKET_EXCESS] = base_point_excess_kw(site_kw, base_point_kw, market_tolerance_kw)
