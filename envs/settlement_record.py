"""What a step says beside money: the table of the record, and the indices that settlement uses."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RecordColumn:
    """One number of the record of a step."""

    name: str
    unit: str
    meaning: str


def _column(name: str, unit: str, meaning: str) -> RecordColumn:
    return RecordColumn(name=name, unit=unit, meaning=meaning)


SITE_TABLE = (
    _column("setpoint_kw", "kW", "rig power asked of all groups, after the limits"),
    _column("rig_kw", "kW", "power of all rigs, mean of the interval"),
    _column("cooling_kw", "kW", "fans, pumps and heaters, mean of the interval"),
    _column("site_kw", "kW", "rigs and cooling"),
    _column("surplus_used_kw", "kW", "of that from surplus"),
    _column("hashrate_phs", "PH/s", "hashes that count, mean of the interval"),
    _column("rigs_started", "1", "starts in the interval"),
    _column("rigs_stopped", "1", "stops in the interval"),
    _column("heat_rejected_kwh", "kWh", "given to outdoors"),
    _column("reference_profit", "currency", "what a relative reward takes off, else 0"),
    _column("limit_cut_kw", "kW", "what the limits changed of the action, summed over groups"),
    _column("tripped_groups", "1", "groups that a temperature trip holds"),
    _column("cold_groups", "1", "groups whose loop is too cold or too near to the dew point"),
    _column("tower_water_kg", "kg", "make-up water of wet towers"),
)
"""What every site has, in order."""

(
    SETPOINT,
    RIG,
    COOLING,
    SITE,
    FROM_SURPLUS,
    HASHRATE,
    STARTED,
    STOPPED,
    REJECTED,
    REFERENCE,
    LIMIT_CUT,
    TRIPPED_GROUPS,
    COLD_GROUPS,
    TOWER_WATER,
) = range(len(SITE_TABLE))

SETTLEMENT_TABLE = (
    _column("pv_used_kw", "kW", "from panels behind the meter"),
    _column("import_kw", "kW", "from the grid without surplus"),
    _column("demand_liability", "currency", "what a new peak will cost later by its ratchet"),
    _column("nominated_kw", "kW", "plan of the settlement period, in its last interval"),
    _column("imbalance_kwh", "kWh", "import less plan of the period, in its last interval"),
    _column("baseline_kw", "kW", "baseline of the present or announced call"),
    _column("baseline_above_rule_kw", "kW", "baseline above what the level rule would draw"),
    _column("delivered_kwh", "kWh", "reduced in this period of a call, in its last interval"),
    _column("pause_excess_kw", "kW", "drawn above the pause power while ordered down"),
    _column("held_missing_kw", "kW", "held capacity that is missing"),
    _column("base_point_deviation_kw", "kW", "site power less base point"),
    _column("base_point_excess_kw", "kW", "of that outside the site's tolerance"),
    _column("base_point_market_excess_kw", "kW", "of that outside the market's own tolerance"),
)
"""What a site with a tariff or a program has besides, in order; 0 where a block is absent."""

RECORD_TABLE = (*SITE_TABLE, *SETTLEMENT_TABLE)
(
    PV_USED,
    IMPORT,
    LIABILITY,
    NOMINATION,
    IMBALANCE_ENERGY,
    BASELINE,
    BASELINE_EXCESS,
    DELIVERED,
    PAUSE_EXCESS,
    HELD_MISSING,
    BASE_DEVIATION,
    BASE_EXCESS,
    BASE_MARKET_EXCESS,
) = range(len(SETTLEMENT_TABLE))
N_SETTLEMENT_RECORD = len(SETTLEMENT_TABLE)
