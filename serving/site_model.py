"""A site as the compiled kernel knows it: what a policy sees, and what its action asks for."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from gridhash.config import SiteConfig
from gridhash.envs.accounts import Accounts, empty_accounts
from gridhash.envs.action import ActionKind
from gridhash.envs.columns import N_CALENDAR_COLUMNS, PAUSE, Exogenous
from gridhash.envs.kernel import RECORD, choose_setpoint, empty_scratch, observe_sites
from gridhash.envs.observation import observation_table
from gridhash.envs.parameters import Floats, Floats32, SiteParameters, compile_site
from gridhash.envs.program_parameters import ProgramParameters, compile_programs
from gridhash.envs.state import SETPOINT_KW, FleetState
from gridhash.serving.authority import Authority, Order
from gridhash.serving.programs_now import ProgramsNow
from gridhash.serving.site_state import MarketRow

ONLY_SITE = np.zeros(1, dtype=np.int64)
WANTED = 3
"""Row of the kernel's scratch memory in which `choose_setpoint` leaves what an action asks for."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the kernel reads for one decision besides the rigs."""

    exogenous: Exogenous
    """Of one row."""
    accounts: Accounts


@dataclass(frozen=True)
class SiteModel:
    """A site with the kernel's arrays, without market data."""

    site: SiteConfig
    params: SiteParameters
    programs: ProgramParameters
    bounds: Floats32
    """(F, 2): least and greatest value of each feature."""

    @classmethod
    def of(cls, site: SiteConfig) -> Self:
        """Compile a site."""
        params = compile_site(site)
        features = observation_table(site)
        bounds = np.array([[f.low, f.high] for f in features], dtype=np.float32)
        programs = compile_programs(site, params, first_start_s=0)
        return cls(site=site, params=params, programs=programs, bounds=bounds)

    def situation(
        self, market: Floats, row_features: Floats32, programs: ProgramsNow | None
    ) -> Situation:
        """Return one market row, (1, columns), its features, (1, R), and the site's accounts."""
        calendar = np.zeros((1, N_CALENDAR_COLUMNS), dtype=np.int64)
        return Situation(
            exogenous=Exogenous(
                market=market,
                rows=row_features,
                calendar=calendar if programs is None else programs.calendar_array(),
                history_rows=np.zeros((1, 5), dtype=np.int64),
                bounds=self.bounds,
            ),
            accounts=empty_accounts(1, 1) if programs is None else programs.accounts(),
        )

    def observe(self, situation: Situation, state: FleetState) -> Floats32:
        """Return the observation, (1, F)."""
        observation = np.zeros((1, len(self.bounds)), dtype=np.float32)
        observe_sites(
            self.params,
            self.programs,
            situation.exogenous,
            state,
            situation.accounts,
            ONLY_SITE,
            observation,
        )
        return observation

    def wanted_kw(
        self, situation: Situation, state: FleetState, kind: ActionKind, action: Floats
    ) -> Floats:
        """Return the rig power per group, (G,), that an action, (G,), asks for, before limits.

        By the kernel's own dispatch: calls, base points, panels and quotas bend what energy costs.
        """
        scratch = empty_scratch(self.n_groups)
        setpoint_kw = state.group[0, :, SETPOINT_KW].copy()
        choose_setpoint(
            self.params,
            self.programs,
            situation.exogenous,
            state,
            situation.accounts,
            action,
            int(kind),
            0,
            0,
            scratch,
            np.zeros(len(RECORD)),
        )
        state.group[0, :, SETPOINT_KW] = setpoint_kw
        wanted: Floats = scratch.group[WANTED].copy()
        return wanted

    def pause_order(self, market: MarketRow | None) -> tuple[Order, ...]:
        """Return the utility's order to pause in a market row, as a bound on all rigs."""
        if market is None or not self.programs.has_pause or market.values[PAUSE] <= 0.0:
            return ()
        cap_kw, most_kw = self.programs.pause_rig_cap_kw, self.programs.pause_power_kw
        reason = f"pause order of the utility: site at most {most_kw:,.0f} kW"
        return (Order(authority=Authority.OBLIGATION, reason=reason, at_most_kw=cap_kw),)

    @property
    def n_groups(self) -> int:
        """Rig groups of the site."""
        return len(self.site.groups)
