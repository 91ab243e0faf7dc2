"""What a settlement says beside money, in order."""

SETTLEMENT_RECORD = (
    "pv_used_kw",
    "import_kw",
    "demand_liability",
    "nominated_kw",
    "imbalance_kwh",
    "baseline_kw",
    "baseline_above_rule_kw",
    "delivered_kwh",
    "pause_excess_kw",
    "held_missing_kw",
    "base_point_deviation_kw",
    "base_point_excess_kw",
    "base_point_market_excess_kw",
)
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
) = range(len(SETTLEMENT_RECORD))
