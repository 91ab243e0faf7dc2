"""What the play of a span leaves to be paid later: peaks that later months bill, an open bias.

A span that ends would otherwise let a policy set a peak in its last month for nothing. Calls and
plans are settled by period and coincident peaks by interval, so nothing of them is left open.
"""

from dataclasses import dataclass

from gridhash.envs.accounts import BIAS_KWH, MONTH_PEAK_KW, PLANNED_KWH
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.columns import MONTH
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.tariff import bias_excess_kwh


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """Highest demand of a month so far and of those before it [kW]."""

    month: int
    """Year x 12 + month - 1, local."""
    own_kw: float
    before_kw: tuple[float, ...]
    """Newest first."""
    billed: bool
    """Whether the month's least bill is booked, which happens in its first interval."""

    def when_idle(self, month: int, *, billed: bool) -> "Peaks":
        """Return the peaks at a later month of a site that draws nothing from now on."""
        n_months = month - self.month
        if n_months == 0:
            return Peaks(month=month, own_kw=self.own_kw, before_kw=self.before_kw, billed=billed)
        past = (*(0.0 for _ in range(n_months - 1)), self.own_kw, *self.before_kw)
        return Peaks(month=month, own_kw=0.0, before_kw=past[: len(self.before_kw)], billed=billed)


def peaks_of(sites: BatchedSite, site: int = 0) -> Peaks:
    """Return the peaks that a site has set or was opened with."""
    accounts, scenario = sites.accounts, sites.scenario
    calendar = scenario.exogenous.calendar
    row = int(sites.state.row[site])
    ends = row >= scenario.n_rows
    begins = not ends and (row == 0 or calendar[row - 1, MONTH] != calendar[row, MONTH])
    return Peaks(
        month=int(calendar[row - 1 if ends else row, MONTH]),
        own_kw=float(accounts.value[site, MONTH_PEAK_KW]),
        before_kw=tuple(accounts.month_peak_kw[site].tolist()),
        billed=not (begins and sites.state.substep[site] == 0),
    )


def ratchet_debt(programs: ProgramParameters, peaks: Peaks) -> float:
    """Return what months to come will bill at least for the peaks so far [currency].

    A peak counts in the `ratchet_months` - 1 months after its own, at `ratchet_frac` of it.
    """
    months, frac = programs.ratchet_months, programs.ratchet_frac
    first = 1 if peaks.billed else 0
    debt_kw = 0.0
    for ahead in range(first, months):
        counting = peaks.before_kw[: months - 1 - ahead]
        own = (peaks.own_kw,) if ahead > 0 else ()
        debt_kw += frac * max((0.0, *own, *counting))
    return debt_kw * programs.demand_charge_per_kw


def open_bias_penalty(sites: BatchedSite, site: int = 0) -> float:
    """Return what the net deviation from plan of an unfinished month would cost now [currency]."""
    programs, row = sites.scenario.programs, int(sites.state.row[site])
    if not programs.balancing or row >= sites.scenario.n_rows:
        return 0.0
    value = sites.accounts.value[site]
    excess_kwh = bias_excess_kwh(value[BIAS_KWH], value[PLANNED_KWH], programs.bias_limit_frac)
    return float(excess_kwh * programs.bias_penalty_per_kwh)


def remaining_liability(sites: BatchedSite, opened: Peaks, site: int = 0) -> float:
    """Return what was added since `opened` to what is to be paid later [currency], never below 0.

    It is the debt to later months less what the peaks before the span alone would leave of it. The
    latter is the same for every policy.
    """
    programs = sites.scenario.programs
    debt = 0.0
    if programs.demand_charge_per_kw > 0.0:
        now = peaks_of(sites, site)
        idle = opened.when_idle(now.month, billed=now.billed)
        debt = ratchet_debt(programs, now) - ratchet_debt(programs, idle)
    return debt + open_bias_penalty(sites, site)
