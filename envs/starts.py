"""Sites at the start of an episode, any number of them in one compiled call."""

from typing import NamedTuple

from gridhash.envs.accounts import Accounts, open_accounts
from gridhash.envs.columns import Exogenous
from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.state import FleetState, place_at_rest


class Starts(NamedTuple):
    """Where n sites start; float64 and int64."""

    running_frac: Floats
    """(n, G)"""
    coolant_c: Floats
    """(n, G)"""
    row: Ints
    """(n,)"""
    peak_kw: Floats
    """(n,) highest demand so far."""


@njit
def start_sites(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    state: FleetState,
    accounts: Accounts,
    which: Ints,
    starts: Starts,
) -> None:
    """Start the n sites named in `which`, at rest and with accounts as the level rule left them."""
    place_at_rest(state, params, which, starts.running_frac, starts.coolant_c)
    for k in range(which.shape[0]):
        i = which[k]
        state.row[i] = starts.row[k]
        state.substep[i] = 0
        if programs.present:
            open_accounts(accounts, programs, exogenous, i, starts.row[k], starts.peak_kw[k])
