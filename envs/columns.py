"""Columns of the arrays that hold a scenario's exogenous series, one row per settlement period."""

from typing import NamedTuple

from gridhash.envs.parameters import Floats, Floats32, Ints

# `Exogenous.market`, float64. SEEN_… is what is known at the start of the row; the plain name is
# what is true of it and enters physics and money. After the last come two columns per group: what
# it is worth that a rig runs at the end of the period, and what it earns in it, per start cost.
(
    PRICE,  # settlement price of grid energy before adders [currency/kWh]
    SURPLUS,  # [kW]
    OUTDOOR,  # dry bulb [°C]
    REVENUE,  # net of one PH/s for a day [currency]
    SEEN_SURPLUS,
    SEEN_OUTDOOR,
    RULE_PROFIT,  # of the best static operating point [currency/h]
    SEEN_ALL_IN,  # price as known, with all adders [currency/kWh]
    ADDER,  # adders and time-of-use adder [currency/kWh]
    CARBON_COST,  # [currency/kWh]
    PV,  # behind the meter [kW]
    SEEN_PV,
    WET_BULB,  # [°C]
    DEW_POINT,  # [°C]
    PAUSE,  # 1 while the utility orders the site down
    RULE_LOAD,  # site power that the level rule would draw [kW]
    NOMINATED,  # default plan [kW]
    IMBALANCE_SHORTAGE,  # of imbalance [currency/kWh]
    IMBALANCE_SURPLUS,  # of imbalance [currency/kWh]
    REDUCTION_CALL,  # 1 while called
    INCREASE_CALL,
    BASE_POINT,  # [kW]
    HELD_PRICE,  # of held capacity [currency/kW/h]
    DEPLOYED,  # called share of held capacity
    TRANSMISSION_WEIGHT,  # [currency per kW of mean power in this row]
    CAPACITY_WEIGHT,
    SEEN_PRICE,  # settlement price of this row as known at its start, else the newest known
) = range(27)
N_MARKET = 27

# `Exogenous.calendar`, int64, local time of the site.
(
    MONTH,  # year x 12 + month - 1
    DAY,  # days since 1970
    SLOT,  # settlement period of the day; the doubled hour of autumn counts twice
    BASELINE_DAY,  # 1 for a business day without a call
    GATE,  # 1 in the row at whose start the decisions of the next day are fixed
    CALL_FIRST,  # row where the next or present call to reduce starts, as known; -1 if none
    CALL_ROWS,  # its rows, as known
) = range(7)
N_CALENDAR_COLUMNS = 7


class Exogenous(NamedTuple):
    """All that a site cannot change."""

    market: Floats
    """(rows, N_MARKET + 2 G) float64"""
    rows: Floats32
    """(rows, R) float32: the part of the observation that follows from these series alone."""
    calendar: Ints
    """(rows, N_CALENDAR_COLUMNS) int64"""
    history_rows: Ints
    """(days, 5) first row of each of the five baseline days before a day, newest first."""
    bounds: Floats32
    """(F, 2) float32: least and greatest value of each feature."""
