"""The kernel as a pure function: state and action in, next state and output out.

For model-predictive control and research: states may be kept, repeated and tried with several
actions or with other prices, and nothing that is given is changed. The numbers are those of
`BatchedSite` to the bit, which is the faster way to play episodes: here every step copies.

    state = rest_state(scenario, row)
    model = model_of(scenario)
    state, output = step(state, action, scenario.exogenous, model)
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gridhash.envs.accounts import Accounts
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import SLOT, Exogenous
from gridhash.envs.day_decisions import (
    apply_day_actions,
    decide_day,
    exposed_day_actions,
    gate_closes,
)
from gridhash.envs.kernel import (
    StepOutput,
    empty_output,
    empty_scratch,
    observe_sites,
    step_sites,
)
from gridhash.envs.parameters import Ints, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.envs.state import FleetState, empty_state
from gridhash.errors import ConfigError, DataError, PolicyError
from gridhash.units import SECONDS_PER_DAY


class SiteState(NamedTuple):
    """All that N sites remember from step to step."""

    fleet: FleetState
    accounts: Accounts


class SiteModel(NamedTuple):
    """All that is constant about a site."""

    site: SiteParameters
    programs: ProgramParameters


def model_of(scenario: Scenario) -> SiteModel:
    """Return the constants of a scenario's site."""
    return SiteModel(scenario.params, scenario.programs)


def rest_state(
    scenario: Scenario,
    row: int,
    *,
    n_sites: int = 1,
    running_frac: float = 0.0,
    coolant_c: float = 25.0,
) -> SiteState:
    """Return N sites at rest at the start of a row, as `BatchedSite.start_at` places them.

    Raises
    ------
    DataError
        If the row cannot be played.
    """
    one_step = EpisodeRules(episode_days=scenario.site.dispatch_interval_s / SECONDS_PER_DAY)
    sites = BatchedSite(scenario, n_sites, one_step)
    sites.start_at(row, running_frac=running_frac, coolant_c=coolant_c)
    return SiteState(sites.state, sites.accounts)


def repeated(state: SiteState, n: int) -> SiteState:
    """Return a copy with each site `n` times in a row, (N n, …), to try n actions on each."""
    return SiteState(
        FleetState._make(np.repeat(array, n, axis=0) for array in state.fleet),
        Accounts._make(np.repeat(array, n, axis=0) for array in state.accounts),
    )


def taken(state: SiteState, which: Ints) -> SiteState:
    """Return a copy of the sites named in `which`, (n, …)."""
    return SiteState(
        FleetState._make(array[which] for array in state.fleet),
        Accounts._make(array[which] for array in state.accounts),
    )


def step(
    state: SiteState,
    action: npt.ArrayLike,
    exogenous: Exogenous,
    params: SiteModel,
    *,
    action_kind: ActionKind = ActionKind.SHADOW_PRICE,
    relative_reward: bool = True,
    day_decisions: bool = False,
) -> tuple[SiteState, StepOutput]:
    """Return state and output after one dispatch interval of N sites; change nothing.

    Parameters
    ----------
    action
        (N, G) in the bounds of the action kind; values outside are clipped. With `day_decisions`
        (N, G + D), see `gridhash.envs.day_decisions`; `decided` takes a plan by the period.
    exogenous
        `Scenario.exogenous`, or with other prices from `with_prices`.
    relative_reward, day_decisions
        As in `EpisodeRules`.

    Raises
    ------
    ConfigError
        If the site has no decisions of the day that an action could carry, or `action_kind` is
        none.
    PolicyError
        If the action has the wrong shape or holds NaN or infinity.
    DataError
        If a site has come to the end of the data, or state, data and model are not of one site.
    """
    if not isinstance(action_kind, ActionKind):
        raise ConfigError(f"action_kind is {action_kind!r}: give an ActionKind")
    n_sites, n_groups = state.fleet.coolant_c.shape
    numbers = np.array(action, dtype=np.float64, order="C")
    names = exposed_day_actions(params.programs, day_decisions=day_decisions)
    expected = (n_sites, n_groups + len(names))
    if numbers.shape != expected:
        raise PolicyError(f"action has shape {numbers.shape}, expected {expected}")
    _check_fit(state, exogenous, params)
    if not np.isfinite(numbers).all():
        site, k = np.argwhere(~np.isfinite(numbers))[0]
        what = [*(f"group {g}" for g in range(n_groups)), *names][k]
        raise PolicyError(f"action of site {site}, {what} is {numbers[site, k]}")
    if state.fleet.row.max() >= len(exogenous.market):
        raise DataError(f"site {state.fleet.row.argmax()} has come to the end of the data")
    after = repeated(state, 1)
    if names:
        which = np.flatnonzero(gate_closes(exogenous, after.fleet))
        apply_day_actions(
            params.site, params.programs, after.accounts, which, numbers[which, n_groups:]
        )
    output = empty_output(n_sites, len(exogenous.bounds))
    step_sites(
        params.site,
        params.programs,
        exogenous,
        after.fleet,
        after.accounts,
        numbers,
        int(action_kind),
        relative_reward,
        empty_scratch(n_groups),
        output,
    )
    return after, output


def _check_fit(state: SiteState, exogenous: Exogenous, params: SiteModel) -> None:
    """Refuse arrays whose shapes do not fit; compiled code checks no index."""
    sites = empty_state(params.site, 1)
    slots = int(exogenous.calendar[:, SLOT].max()) + 1
    of_state = (state.fleet.up.shape[1:], state.fleet.down.shape[1:], state.accounts.today_kw.shape)
    of_site = (sites.up.shape[1:], sites.down.shape[1:], (len(state.fleet.row), slots))
    if of_state != of_site:
        raise DataError(
            f"the state is not one of this site: its arrays have the shapes {of_state}, the site's "
            f"{of_site}; take state, exogenous and model from one scenario"
        )


def decided(
    state: SiteState,
    exogenous: Exogenous,
    params: SiteModel,
    site: int,
    *,
    plan_kw: npt.ArrayLike | None = None,
    committed_kw: float | None = None,
    held_kw: float | None = None,
) -> SiteState:
    """Return the state in which a site has decided its next day; arguments as `decide_day`.

    Raises
    ------
    PolicyError
        If the site's gate does not close now, or a decision is out of range.
    """
    if not gate_closes(exogenous, state.fleet)[site]:
        raise PolicyError(f"the decisions of site {site} are not due, see `gate_closes`")
    after = repeated(state, 1)
    decide_day(
        params.site,
        params.programs,
        after.accounts,
        site,
        plan_kw=plan_kw,
        committed_kw=committed_kw,
        held_kw=held_kw,
    )
    return after


def observe(state: SiteState, exogenous: Exogenous, params: SiteModel) -> npt.NDArray[np.float32]:
    """Return the observation of every site, (N, F)."""
    every = np.arange(len(state.fleet.row))
    out = np.zeros((len(every), len(exogenous.bounds)), dtype=np.float32)
    observe_sites(params.site, params.programs, exogenous, state.fleet, state.accounts, every, out)
    return out


def with_prices(scenario: Scenario, rows: slice | Ints, prices: npt.ArrayLike) -> Exogenous:
    """Return a scenario's series with other settlement prices in some rows.

    Everything that follows from prices is built anew: what is known ahead at each row, run
    worth, the level rule's load, the default plan. When prices become known stays as it was, so
    an observation holds the new ones no sooner than it held the old. It takes as long as
    building the scenario; cut the trace with `Trace.between` to look a few days ahead only.

    Parameters
    ----------
    rows
        Rows of the scenario.
    prices
        One per row, or one for all [currency/kWh].

    Raises
    ------
    DataError
        If a price is NaN or implausible, or there are more or fewer than rows.
    """
    name: str = scenario.site.tariff.settles_at
    column = scenario.trace.column(name).copy()
    try:
        column[rows] = np.asarray(prices, dtype=np.float64)
    except (ValueError, IndexError) as err:
        raise DataError(f"prices do not fit the rows: {err}") from err
    known = {name: scenario.trace.available_at[name]}
    changed = scenario.trace.with_columns({name: column}, available_at=known)
    return build_scenario(scenario.site, changed).exogenous
