"""A site's accounts kept from measured power, against those of the environment's own kernel."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.config_scenario import load_scenario_config
from gridhash.envs.accounts import METER_STEPS, MONTH_PEAK_KW, RATCHET_KW
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.kernel import RECORD
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.serving.interval_means import IntervalMeans
from gridhash.serving.journal import Journal
from gridhash.serving.programs_now import ProgramsNow
from gridhash.serving.recorder import Recorder
from gridhash.serving.site_accounts import SiteAccounts, last_accounts
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_state import SiteSnapshot, market_row_at
from gridhash.serving.site_status import Mode

SITE_KW = RECORD.index("site_kw")
NAMES = ("JapanPilot", "SolarSurplus", "RealTimeErcot", "BasePoint")
"""Those with a tariff or programs."""


@pytest.fixture(scope="module", params=NAMES)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return open_named_scenario(load_scenario_config(request.param), days=40)


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario("JapanPilot", days=40)


class Beside:
    """The kernel playing at random, and the accounts that a site would keep beside it."""

    def __init__(self, scenario: Scenario, *, row: int, seed: int = 0) -> None:
        self.scenario = scenario
        rules = EpisodeRules(episode_days=30.0, action_kind=ActionKind.POWER)
        self.kernel = BatchedSite(scenario, 1, rules)
        self.kernel.start_at(row, running_frac=1.0, coolant_c=40.0)
        self.now: datetime = scenario.trace.starts[row].to_pydatetime()
        self.accounts = self.new_accounts()
        self.accounts.at(self.now)
        self.rng = np.random.default_rng(seed)

    def new_accounts(self, kept: ProgramsNow | None = None) -> SiteAccounts:
        return SiteAccounts(
            lambda: self.scenario,
            interval_s=self.scenario.site.dispatch_interval_s,
            peak_before_kw=self.scenario.programs.peak_before_kw,
            kept=kept,
        )

    def step(self) -> float:
        """Play an interval; return what the site drew in it."""
        action = self.rng.random((1, self.scenario.n_groups)).round()
        site_kw = float(self.kernel.step(action).record[0, SITE_KW])
        self.accounts.see(self.now, site_kw)
        self.now += timedelta(seconds=self.scenario.site.dispatch_interval_s)
        return site_kw


def test_the_accounts_are_those_of_the_environment_and_so_is_what_a_policy_sees(
    scenario: Scenario,
) -> None:
    beside = Beside(scenario, row=scenario.first_row + 5)
    model = SiteModel.of(scenario.site)
    kernel = beside.kernel
    for k in range(33 * 86400 // scenario.site.dispatch_interval_s):
        beside.step()
        programs = beside.accounts.at(beside.now)
        if k % 97:
            continue
        assert programs is not None
        row = market_row_at(scenario, beside.now)
        assert row is not None
        for ours, theirs in zip(programs.accounts(), kernel.accounts, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-6)
        state = kernel.state._replace(row=np.zeros(1, dtype=np.int64))
        situation = model.situation(row.market_array(), row.feature_array(), programs)
        np.testing.assert_allclose(model.observe(situation, state), kernel.observe(), rtol=1e-6)
    assert beside.accounts.n_unmetered == 0


def test_after_a_restart_the_accounts_go_on_where_the_journal_left_them(
    pilot: Scenario, tmp_path: Path
) -> None:
    beside = Beside(pilot, row=100)
    for _ in range(1000):
        beside.step()
    left = beside.accounts.at(beside.now)
    assert left is not None
    snapshot = SiteSnapshot(
        at=beside.now, substep=0, market=None, groups=(), uncontrolled_kw=0.0, programs=left
    )
    assert SiteSnapshot.from_text(snapshot.to_text()) == snapshot
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert last_accounts(journal, pilot.site.name) is None
        recorder = Recorder(journal)
        recorder.begin(
            pilot.site, beside.now, mode=Mode.LIVE, policy_name="net", bundle_hash="", note=""
        )
        journal.append(
            "snapshots",
            run_id=recorder.run_id,
            at=beside.now,
            input_hash="",
            text=snapshot.to_text(),
        )
        kept = last_accounts(journal, pilot.site.name)
        assert kept == left
        assert last_accounts(journal, "another site") is None
    beside.accounts = beside.new_accounts(kept)
    for _ in range(500):
        beside.step()
    again = beside.accounts.at(beside.now)
    assert again is not None
    for ours, theirs in zip(again.accounts(), beside.kernel.accounts, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-6)


def test_hours_that_nobody_measured_book_nothing_and_forget_no_peak(pilot: Scenario) -> None:
    beside = Beside(pilot, row=100)
    while (beside.now - timedelta(minutes=15)).minute % 30:
        beside.step()
    beside.step()
    before = beside.accounts.at(beside.now)
    assert before is not None
    assert before.accounts().value[0, METER_STEPS] == 4
    later = beside.now + timedelta(days=2, hours=3)
    beside.accounts.see(later, 100.0)
    after = beside.accounts.at(later)
    assert after is not None
    assert beside.accounts.n_unmetered == 51 * 12
    value, old = after.accounts().value[0], before.accounts().value[0]
    assert value[MONTH_PEAK_KW] == old[MONTH_PEAK_KW]
    assert value[METER_STEPS] == 0
    assert after.period_start <= later < after.period_start + timedelta(minutes=30)


def test_where_the_market_ends_the_accounts_stay_and_catch_up_when_it_goes_on(
    pilot: Scenario,
) -> None:
    whole, known = Beside(pilot, row=100), Beside(pilot, row=100)
    held: list[Scenario] = [build_scenario(pilot.site, pilot.trace.between(
        pilot.trace.start.to_pydatetime(), pilot.trace.starts[110].to_pydatetime()))]  # fmt: skip
    known.accounts = SiteAccounts(
        lambda: held[0],
        interval_s=300,
        peak_before_kw=pilot.programs.peak_before_kw,
    )
    known.accounts.at(known.now)
    for _ in range(150):
        assert whole.step() == known.step()
        newest = known.accounts.at(known.now)
    assert newest is not None
    assert newest.period_start < pilot.trace.starts[110]
    held[0] = pilot
    assert known.accounts.at(known.now) == whole.accounts.at(whole.now)


def test_peaks_of_a_time_before_all_market_data_are_taken_over_by_month(pilot: Scenario) -> None:
    beside = Beside(pilot, row=100)
    beside.step()
    kept = beside.accounts.at(beside.now)
    assert kept is not None
    accounts = kept.accounts()
    accounts.value[0, MONTH_PEAK_KW] = 4000.0
    accounts.month_peak_kw[0] = np.arange(3900.0, 2700.0, -100.0)
    numbers = np.concatenate([np.ravel(table[0]) for table in accounts]).tobytes()
    month = kept.calendar[0] - 3
    old = replace(
        kept,
        numbers=numbers,
        calendar=(month, *kept.calendar[1:]),
        period_start=kept.period_start - timedelta(days=91),
    )
    accounts = beside.new_accounts(old).at(beside.now).accounts()  # type: ignore[union-attr]
    assert accounts.value[0, MONTH_PEAK_KW] == 0.0
    assert accounts.month_peak_kw[0, :4].tolist() == [0.0, 0.0, 4000.0, 3900.0]
    assert accounts.value[0, RATCHET_KW] == 4000.0


START = datetime(2024, 4, 1, tzinfo=UTC)


@given(
    st.lists(
        st.tuples(st.floats(1.0, 200.0), st.floats(0.0, 5000.0)),
        min_size=1,
        max_size=60,
    )
)
def test_means_hold_the_energy_that_was_measured(steps: list[tuple[float, float]]) -> None:
    means = IntervalMeans(300)
    now, energy_kws = START, 0.0
    for gap_s, power_kw in steps:
        means.see(now, power_kw)
        now += timedelta(seconds=gap_s)
        energy_kws += power_kw * gap_s
    means.see(now, 0.0)
    now += timedelta(seconds=600)
    means.pass_to(now)
    starts = [start for start, _ in means.ended]
    assert starts == [START + k * timedelta(seconds=300) for k in range(len(starts))]
    found = [mean_kw for _, mean_kw in means.ended]
    assert sum(own * 300.0 for own in found if own is not None) == pytest.approx(energy_kws)


def test_a_mean_needs_half_of_its_interval() -> None:
    means = IntervalMeans(900)
    means.see(START, 1000.0)
    means.see(START + timedelta(seconds=700), 500.0)
    means.pass_to(START + timedelta(seconds=3000))
    # Held for five minutes each time: 300 s and the last 200 s of the interval, then 100 s.
    assert [own for _, own in means.ended] == [pytest.approx(800.0), None, None]
