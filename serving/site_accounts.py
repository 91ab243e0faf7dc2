"""Keeps the accounts of a site with tariff or programs, from what the site was measured to draw.

The environment's own bookkeeping (`gridhash.envs.settlement`, `gridhash.envs.accounts`) runs on the
mean power of each dispatch interval, so that a policy sees on site what it saw in training: the
month's peak and those that still count, the mean of the metering period, quotas, plans, baselines,
calls. Money is not reckoned here. The accounts are part of every snapshot; after a restart they are
taken up from the newest one, whatever happened meanwhile.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime

import numpy as np

from gridhash.envs.accounts import (
    IMPORT_KWH,
    METER_KWH,
    METER_STEPS,
    MONTH_PEAK_KW,
    PERIOD_KWH,
    RATCHET_KW,
    Accounts,
    empty_accounts,
    enter_row,
    open_accounts,
    ratchet_kw,
)
from gridhash.envs.columns import DAY, MONTH, SLOT
from gridhash.envs.ledger import N_LEDGER
from gridhash.envs.scenario import Scenario
from gridhash.envs.settlement import settle
from gridhash.envs.settlement_record import N_SETTLEMENT_RECORD
from gridhash.serving.interval_means import IntervalMeans
from gridhash.serving.journal import Journal
from gridhash.serving.market_source import MarketSource
from gridhash.serving.meter_quality import Quality
from gridhash.serving.metering import Metered
from gridhash.serving.programs_now import ProgramsNow
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_state import SiteSnapshot, row_at


class SiteAccounts:
    """The accounts of one site.

    Parameters
    ----------
    scenario
        Returns the market as it is known now; None while nothing is.
    interval_s
        Dispatch interval [s].
    peak_before_kw
        Highest demand of the months before, until the accounts know better.
    kept
        Accounts as an earlier run left them.
    """

    def __init__(
        self,
        scenario: Callable[[], Scenario | None],
        *,
        interval_s: int,
        peak_before_kw: float,
        kept: ProgramsNow | None = None,
    ) -> None:
        """Book nothing yet."""
        self._scenario = scenario
        self._means = IntervalMeans(interval_s)
        self._peak_before_kw = peak_before_kw
        self._kept = kept
        self._accounts: Accounts | None = None
        self._booked_to: datetime | None = None
        """The start of a dispatch interval."""
        self.n_unmetered = 0
        """Dispatch intervals of which nothing is known; no peak or quota was booked for them."""
        self._newest: ProgramsNow | None = None

    def see(self, now: datetime, site_kw: float) -> None:
        """Take in what the site draws now, cooling included [kW]."""
        self._means.see(now, site_kw)

    def at(self, now: datetime) -> ProgramsNow | None:
        """Return the accounts with all intervals booked that ended by now and whose row is known.

        Where the market ends they stay as they were; None while no row was known yet.
        """
        self._means.pass_to(now)
        scenario = self._scenario()
        row = None if scenario is None else row_at(scenario, now)
        if scenario is None or row is None:
            return self._newest
        if self._accounts is None:
            self._open(scenario, row, now)
        assert self._accounts is not None
        assert self._booked_to is not None
        ended = self._means.ended
        while ended:
            start, power_kw = ended[0]
            if start > self._booked_to:
                self._carry(scenario, self._accounts, start)
            if start > self._booked_to or row_at(scenario, start) is None:
                break  # the market of that time is not known yet
            if start == self._booked_to:
                self._book(scenario, self._accounts, power_kw)
            ended.popleft()
        self._carry(scenario, self._accounts, self._means.start_of(now))
        row = row_at(scenario, self._booked_to)
        if row is not None:
            start = scenario.trace.starts[row].to_pydatetime()
            n_booked = (self._booked_to - start) // self._means.interval
            calendar = scenario.exogenous.calendar
            self._newest = ProgramsNow.of(self._accounts, calendar, row, start, n_booked)
        return self._newest

    def _open(self, scenario: Scenario, row: int, now: datetime) -> None:
        """Begin the accounts: as an earlier run left them, else as at the start of an episode."""
        kept = self._kept
        begun = None if kept is None else row_at(scenario, kept.period_start)
        if kept is not None and begun is not None and _is_of(kept, scenario, begun):
            self._accounts = kept.accounts()
            self._booked_to = kept.period_start + kept.n_booked * self._means.interval
            return
        exogenous = scenario.exogenous
        self._accounts = empty_accounts(1, scenario.slots_per_day)
        self._booked_to = self._means.start_of(now)
        open_accounts(self._accounts, scenario.programs, exogenous, 0, row, self._peak_before_kw)
        if kept is not None and begun is None:
            _take_peaks(self._accounts, kept, int(exogenous.calendar[row, MONTH]))
            self._accounts.value[0, RATCHET_KW] = ratchet_kw(self._accounts, scenario.programs, 0)

    def _carry(self, scenario: Scenario, accounts: Accounts, to: datetime) -> None:
        """Carry the accounts over intervals that nobody measured, as far as rows are known."""
        assert self._booked_to is not None
        row, last = row_at(scenario, self._booked_to), row_at(scenario, to)
        if to <= self._booked_to or row is None or last is None:
            return
        value = accounts.value[0]
        # Means of what was only partly seen are not known.
        value[METER_KWH] = value[METER_STEPS] = value[PERIOD_KWH] = value[IMPORT_KWH] = 0.0
        self.n_unmetered += (to - self._booked_to) // self._means.interval
        for entered in range(row + 1, last + 1):
            enter_row(accounts, scenario.programs, scenario.exogenous, 0, entered)
        self._booked_to = to

    def _book(self, scenario: Scenario, accounts: Accounts, power_kw: float | None) -> None:
        """Book the next interval."""
        at, interval = self._booked_to, self._means.interval
        assert at is not None
        if power_kw is None:
            self._carry(scenario, accounts, at + interval)
            return
        row = row_at(scenario, at)
        assert row is not None
        substep = (at - scenario.trace.starts[row].to_pydatetime()) // interval
        settle(
            scenario.params,
            scenario.programs,
            scenario.exogenous,
            accounts,
            0,
            row,
            substep,
            power_kw,
            0.0,
            0.0,
            0.0,
            0.0,
            np.zeros(N_LEDGER),
            np.zeros(N_SETTLEMENT_RECORD),
        )
        if substep + 1 == scenario.steps_per_row and row + 1 < scenario.n_rows:
            enter_row(accounts, scenario.programs, scenario.exogenous, 0, row + 1)
        self._booked_to = at + interval


def _is_of(kept: ProgramsNow, scenario: Scenario, row: int) -> bool:
    """Return whether accounts were kept in this row: a replay plays other days at the same time."""
    same = [MONTH, DAY, SLOT]
    calendar = scenario.exogenous.calendar[row]
    alike = all(kept.calendar[k] == calendar[k] for k in same)
    return alike and kept.accounts().today_kw.shape[1] == scenario.slots_per_day


def _take_peaks(accounts: Accounts, kept: ProgramsNow, month: int) -> None:
    """Take over the peaks of accounts from before all that the market data hold."""
    old = kept.accounts()
    gone = month - kept.calendar[MONTH]
    peaks = [float(old.value[0, MONTH_PEAK_KW]), *old.month_peak_kw[0].tolist()]
    for k in range(12):
        behind = k + 1 - gone
        accounts.month_peak_kw[0, k] = peaks[behind] if 0 <= behind < len(peaks) else 0.0
    accounts.value[0, MONTH_PEAK_KW] = peaks[0] if gone == 0 else 0.0


def accounts_of(model: SiteModel, market: MarketSource, journal: Journal) -> SiteAccounts | None:
    """Return the accounts of a site as its journal left them; None without tariff and programs."""
    if not model.programs.present:
        return None
    return SiteAccounts(
        lambda: market.scenario,
        interval_s=model.site.dispatch_interval_s,
        peak_before_kw=model.programs.peak_before_kw,
        kept=last_accounts(journal, model.site.name),
    )


def site_power_kw(
    model: SiteModel, rigs: Iterable[RigStatus], metered: Metered | None = None
) -> float:
    """Return what a site draws: by a good meter, else by its rigs' watts, cooling as planned [kW].

    Rigs that cannot be measured are taken to draw what they may.
    """
    if metered is not None and metered.judged.quality is Quality.GOOD:
        return metered.site_kw
    rigs_kw = sum(rig.potential_kw() if rig.power_kw is None else rig.power_kw for rig in rigs)
    return max(rigs_kw * model.params.pue_for_planning, model.programs.idle_kw)


def last_accounts(journal: Journal, site_name: str) -> ProgramsNow | None:
    """Return the newest accounts of a site in a journal; None if it holds none."""
    found = journal.rows(
        "SELECT s.text, r.site_json FROM snapshots s JOIN runs r ON r.id = s.run_id "
        "ORDER BY s.id DESC LIMIT 1"
    )
    if not found or json.loads(found[0]["site_json"])["name"] != site_name:
        return None
    return SiteSnapshot.from_text(found[0]["text"]).programs
