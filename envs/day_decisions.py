"""The decisions of the day: plan, reduction bid and held capacity of tomorrow, once a day.

They are an epoch of their own, outside the action of every interval. When the gate closes the
default rules decide (`gridhash.envs.accounts.close_gate`); in that one interval, before the step,
they may be replaced. After it they stand.
"""

import numpy as np
import numpy.typing as npt

from gridhash.envs.accounts import NEXT_COMMITTED_KW, NEXT_HELD_KW, Accounts
from gridhash.envs.columns import GATE, Exogenous
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.state import FleetState
from gridhash.errors import PolicyError

DAY_ACTIONS = ("plan", "reduction_bid", "held_capacity")
"""Numbers in [-1, 1] that an action has more where the decisions of the day are exposed; zero is
the default. plan: times 1 + a, at most contract power; the two bids: times 1 + a, at most once.
They are read in the interval in which the gate closes and ignored in all others."""


def gate_closes(exogenous: Exogenous, state: FleetState) -> npt.NDArray[np.bool_]:
    """Return the sites whose decisions of the next day may be replaced before the next step."""
    row = np.minimum(state.row, len(exogenous.calendar) - 1)
    return np.asarray((exogenous.calendar[row, GATE] > 0) & (state.substep == 0))


def decide_day(
    params: SiteParameters,
    programs: ProgramParameters,
    accounts: Accounts,
    site: int,
    *,
    plan_kw: npt.ArrayLike | None = None,
    committed_kw: float | None = None,
    held_kw: float | None = None,
) -> None:
    """Replace the default decisions of one site's next day; None keeps the default.

    Parameters
    ----------
    plan_kw
        (S,) nominated power per settlement period of the local day, within 0 and contract power.
    committed_kw, held_kw
        Within 0 and what the site file says.

    Raises
    ------
    PolicyError
        If a value is out of range, has the wrong shape, or its block is absent.
    """
    if plan_kw is not None:
        plan = np.asarray(plan_kw, dtype=np.float64)
        slots = accounts.plan_kw.shape[2]
        if not programs.balancing:
            raise PolicyError("the site nominates no plan: it has no balancing contract")
        if plan.shape != (slots,):
            raise PolicyError(f"plan_kw has shape {plan.shape}, expected ({slots},)")
        if not (plan.min() >= 0.0 and plan.max() <= params.contract_power_kw):
            raise PolicyError(
                f"plan_kw must lie within 0 and contract power, {params.contract_power_kw:g} kW; "
                f"found {plan.min():g} … {plan.max():g}"
            )
        accounts.plan_kw[site, 1] = plan
    for name, value, most, column in (
        ("committed_kw", committed_kw, programs.committed_kw, NEXT_COMMITTED_KW),
        ("held_kw", held_kw, programs.held_kw, NEXT_HELD_KW),
    ):
        if value is None:
            continue
        if not 0.0 <= value <= most:
            raise PolicyError(f"{name} must lie within 0 and {most:g}; found {value:g}")
        accounts.value[site, column] = value


def apply_day_actions(
    params: SiteParameters,
    programs: ProgramParameters,
    accounts: Accounts,
    which: Ints,
    action: Floats,
) -> None:
    """Scale the default decisions of the sites in `which` by their day actions, (n, 3)."""
    factor = 1.0 + np.clip(action, -1.0, 1.0)
    plan = accounts.plan_kw[which, 1] * factor[:, :1]
    accounts.plan_kw[which, 1] = np.minimum(plan, params.contract_power_kw)
    bids = np.minimum(factor, 1.0)
    accounts.value[which, NEXT_COMMITTED_KW] = programs.committed_kw * bids[:, 1]
    accounts.value[which, NEXT_HELD_KW] = programs.held_kw * bids[:, 2]
