"""Two scenarios of a few weeks with a demand charge, a ratchet and a balancing contract."""

import pandas as pd
import pytest

from gridhash.agents.liability import Peaks, peaks_of, ratchet_debt
from gridhash.agents.rules import AlwaysOff, AlwaysOn, LevelRule
from gridhash.agents.rules_programs import PeakShaver
from gridhash.agents.tuning import profits_of
from gridhash.config_scenario import load_scenario_config
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario
from gridhash.training.play import play


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario(load_scenario_config("JapanPilot"), years=1, days=75)


def _row(scenario: Scenario, day: str) -> int:
    return scenario.row_at(pd.Timestamp(day, tz=scenario.site.timezone))


def test_a_peak_is_owed_in_each_month_that_its_ratchet_reaches(pilot: Scenario) -> None:
    programs = pilot.programs
    assert programs.ratchet_months == 12
    rate = programs.demand_charge_per_kw

    fresh = Peaks(month=0, own_kw=1000.0, before_kw=(0.0,) * 12, billed=True)
    old = Peaks(month=0, own_kw=0.0, before_kw=(0.0, 0.0, 1000.0, *[0.0] * 9), billed=True)

    assert ratchet_debt(programs, fresh) == pytest.approx(11 * 1000.0 * rate)
    # Two months later, three of the eleven are over: its own next two and the present one.
    assert ratchet_debt(programs, old) == pytest.approx(8 * 1000.0 * rate)


def test_before_its_first_interval_a_month_owes_its_own_least_bill_too(pilot: Scenario) -> None:
    rate = pilot.programs.demand_charge_per_kw
    peaks = {"month": 0, "own_kw": 0.0, "before_kw": (500.0,) + (0.0,) * 11}

    billed = ratchet_debt(pilot.programs, Peaks(**peaks, billed=True))  # type: ignore[arg-type]
    unbilled = ratchet_debt(pilot.programs, Peaks(**peaks, billed=False))  # type: ignore[arg-type]

    assert (billed, unbilled) == pytest.approx((10 * 500.0 * rate, 11 * 500.0 * rate))


def test_the_debt_grows_by_what_the_kernel_says_of_each_interval(pilot: Scenario) -> None:
    first = _row(pilot, "2023-04-20")
    n_rows = 48 * 25  # over the end of a month
    policy = LevelRule(pilot.site)
    sites = BatchedSite(
        pilot,
        1,
        EpisodeRules(
            episode_days=25.0, rows=(first, first + n_rows), action_kind=policy.action_kind
        ),
    )
    sites.start_at(first, running_frac=0.0)
    before = ratchet_debt(pilot.programs, peaks_of(sites))

    frame = play(pilot, policy, (first, first + n_rows)).frame
    observation = sites.observe()
    for _ in range(n_rows * pilot.steps_per_row):
        observation = sites.step(policy.act(observation)).observation

    after = ratchet_debt(pilot.programs, peaks_of(sites))
    assert after - before == pytest.approx(frame["demand_liability"].sum(), abs=1e-3)
    assert after != before


def test_an_idle_site_leaves_next_to_nothing_and_a_running_one_its_peak(pilot: Scenario) -> None:
    site = pilot.site
    rows = (_row(pilot, "2023-04-10"), _row(pilot, "2023-05-20"))

    idle, running = (play(pilot, policy, rows) for policy in (AlwaysOff(site), AlwaysOn(site)))

    # The opening peak of 4,300 kW counts in ten months after May anyhow; May's own in eleven.
    means = running.frame["site_kw"].resample("30min").mean().tz_convert(site.timezone)
    april_kw, may_kw = means.groupby(pd.DatetimeIndex(means.index).month).max()
    assert may_kw > 4300.0
    owed_kw = 10 * (max(april_kw, may_kw) - 4300.0) + may_kw
    assert running.liability == pytest.approx(owed_kw * pilot.programs.demand_charge_per_kw)
    assert idle.liability < 0.05 * running.liability
    assert running.profit == pytest.approx(running.ledger_profit - running.liability)


def test_tuning_ranks_by_the_profit_that_evaluation_reports(pilot: Scenario) -> None:
    rows = (_row(pilot, "2023-04-10"), _row(pilot, "2023-05-20"))
    candidates = [{"free_frac": 0.5}, {"free_frac": 1.0}]  # keeps to the peak of before, or not

    ranked_by = profits_of(pilot, rows, PeakShaver, candidates)

    runs = [play(pilot, PeakShaver(pilot.site, **one), rows) for one in candidates]
    assert ranked_by == pytest.approx([run.profit for run in runs], rel=1e-12)
    assert pilot.programs.ratchet_months == 12
    assert ranked_by[0] > ranked_by[1]
    assert runs[0].ledger_profit < runs[1].ledger_profit, "by its ledger alone the other would win"
