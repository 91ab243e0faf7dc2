"""A share of every bill for each window: none is charged twice, and little of any is lost."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.agents import bound as bound_module
from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.bound_bills import BilledWindow, Bills, solve_shared
from gridhash.agents.liability import Peaks, ratchet_debt
from gridhash.agents.linear_program import LinearProgram
from gridhash.config import SiteConfig, parse_site
from gridhash.envs.scenario import Scenario

PER_KW = 420.0
MOST_KW = 4500.0


def window_of_month(worth: float, month: int, bills: Bills) -> BilledWindow:
    """Return a window in which a kilowatt of demand earns `worth`, and the first half twice it."""
    program = LinearProgram()
    half = MOST_KW / 2
    earning = program.add_columns(2, lower=0.0, upper=half, gain=np.array([2.0 * worth, worth]))
    excess = program.add_columns(len(bills.month), lower=0.0, upper=MOST_KW)
    weight = bills.weight(month)
    concerned = np.flatnonzero(weight > 0.0)
    above = program.add_rows(concerned.size, lower=-bills.known_kw[concerned])
    program.add_entries(above, excess[concerned], 1.0)
    for column in earning:
        program.add_entries(above, np.repeat(column, concerned.size), -weight[concerned])
    return BilledWindow(program=program, excess=excess, concerns=weight > 0.0)


def best_together(worths: list[float], bills: Bills) -> float:
    """Return what windows of a month each earn at most, by one program over all of them."""
    program = LinearProgram()
    half = MOST_KW / 2
    excess = program.add_columns(len(bills.month), lower=0.0, upper=MOST_KW, gain=-PER_KW)
    for month, worth in enumerate(worths):
        earning = program.add_columns(2, lower=0.0, upper=half, gain=np.array([2.0 * worth, worth]))
        above = program.add_rows(len(bills.month), lower=-bills.known_kw)
        program.add_entries(above, excess, 1.0)
        for column in earning:
            program.add_entries(above, np.repeat(column, excess.size), -bills.weight(month))
    return program.solve().upper_bound


@settings(max_examples=100)
@given(
    peaks=st.lists(st.floats(0.0, MOST_KW), min_size=1, max_size=13),
    reach=st.integers(1, 12),
    frac=st.floats(0.0, 1.0),
)
def test_bills_after_a_span_are_what_its_peaks_leave_to_be_paid(
    peaks: list[float], reach: int, frac: float, lively_scenario: Scenario
) -> None:
    programs = lively_scenario.programs._replace(
        demand_charge_per_kw=PER_KW, ratchet_months=reach, ratchet_frac=frac
    )
    n_bills = len(peaks) + reach - 1
    bills = Bills(
        month=np.arange(n_bills),
        known_kw=np.zeros(n_bills),
        booked=np.ones(n_bills, dtype=np.bool_),
        ratchet_months=reach,
        ratchet_frac=frac,
    )
    before = (*peaks[-2::-1], *[0.0] * 13)[:12]
    left = Peaks(month=len(peaks) - 1, own_kw=peaks[-1], before_kw=before, billed=True)

    billed_kw = np.max([bills.weight(month) * peak for month, peak in enumerate(peaks)], axis=0)

    assert billed_kw[len(peaks) :].sum() * PER_KW == pytest.approx(ratchet_debt(programs, left))


@settings(max_examples=60, deadline=None)
@given(
    worths=st.lists(st.floats(0.0, 4.0), min_size=1, max_size=6),
    reach=st.integers(1, 5),
    frac=st.floats(0.1, 1.0),
    known=st.floats(0.0, 1.0),
)
def test_windows_that_share_bills_earn_together_what_one_program_earns(
    worths: list[float], reach: int, frac: float, known: float
) -> None:
    n_bills = len(worths) + reach - 1
    bills = Bills(
        month=np.arange(n_bills),
        known_kw=np.where(np.arange(n_bills) < reach - 1, known * MOST_KW, 0.0),
        booked=np.arange(n_bills) < len(worths),
        ratchet_months=reach,
        ratchet_frac=frac,
    )
    earning = [worth * PER_KW for worth in worths]
    together = best_together(earning, bills)

    windows = [window_of_month(worth, m, bills) for m, worth in enumerate(earning)]
    shared = sum(one.upper_bound for one in solve_shared(windows, PER_KW, lambda *done: None))

    scale = PER_KW * MOST_KW * len(worths)
    assert together <= shared + 1e-9 * scale
    assert shared <= together + 0.02 * scale


def test_windows_by_month_lose_next_to_nothing_of_a_bill_that_joins_them(
    japan_levels: SiteConfig,
    edit_site: Callable[..., SiteConfig],
    free_starts: dict[str, Any],
    make_scenario: Callable[..., Scenario],
    make_prices: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where starts are free nothing joins windows but the bill: one window is the whole truth."""
    charge = {"demand_charge": {"per_kw_month": 30.0, "peak_before_kw": 1500.0}}
    site = edit_site(japan_levels, {"dispatch_interval_s": 1800, **free_starts})
    site = parse_site(site.model_dump(exclude_unset=True) | {"tariff": charge}, origin="test")
    scenario = make_scenario(site, make_prices(site, days=40, seed=3))  # from the first of July
    rows = (scenario.first_row + 20 * 48, scenario.n_rows)
    in_months = perfect_foresight_bound(scenario, rows, window_days=4.0, opens_accounts=True)
    monkeypatch.setattr(bound_module, "month_windows", lambda scenario, rows, length: [rows])

    whole = perfect_foresight_bound(scenario, rows, opens_accounts=True).value

    assert len(in_months.windows) > 3
    assert whole <= in_months.value <= whole + 2e-3 * abs(whole)
