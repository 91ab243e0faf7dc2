"""The decisions of the day: plan, reduction bid and held capacity of tomorrow, once a day.

They are an epoch of their own, outside the action of every interval. When the gate closes the
default rules decide (`gridhash.envs.accounts.close_gate`); in that one interval, before the step,
they may be replaced. After it they stand.

With the option ``day_decisions`` an action carries a number more in [-1, 1] for each decision that
the site has, after those of the groups. Zero is the default rule. They are read in the interval in
which the gate closes and ignored in all others:

``plan`` of a site with a balancing contract
    the nominated power of every settlement period of tomorrow times 1 + a, at most contract power.
``reduction_bid`` of a site with a demand-reduction program
    the committed reduction times 1 + a, at most what the site file says.
``held_capacity`` of a site that sells ancillary capacity
    the held capacity times 1 + a, at most what the site file says.
"""

import numpy as np
import numpy.typing as npt

from gridhash.envs.accounts import NEXT_COMMITTED_KW, NEXT_HELD_KW, Accounts
from gridhash.envs.columns import GATE, Exogenous
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.state import FleetState
from gridhash.errors import ConfigError, PolicyError

DAY_ACTIONS = ("plan", "reduction_bid", "held_capacity")
"""Every decision of the day, in the order of the action."""


def day_actions(programs: ProgramParameters) -> tuple[str, ...]:
    """Return which of `DAY_ACTIONS` a site has to decide, in their order."""
    decided = (programs.balancing, programs.has_reduction, programs.held_kw > 0.0)
    return tuple(name for name, has in zip(DAY_ACTIONS, decided, strict=True) if has)


def exposed_day_actions(programs: ProgramParameters, *, day_decisions: bool) -> tuple[str, ...]:
    """Return the decisions that an action carries; none without the option ``day_decisions``.

    Raises
    ------
    ConfigError
        If the option is set at a site that decides nothing a day ahead.
    """
    if not day_decisions:
        return ()
    names = day_actions(programs)
    if not names:
        raise ConfigError(
            "day_decisions is set, but the site decides nothing a day ahead: leave it out, or give "
            "the site tariff.balancing, programs.demand_reduction or programs.ancillary"
        )
    return names


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
    """Scale what is decided so far, by default or by `decide_day`, of the sites in `which`.

    Parameters
    ----------
    action
        (n, D), a number per name of `day_actions`; values outside [-1, 1] are clipped.
    """
    factor = dict(zip(day_actions(programs), (1.0 + np.clip(action, -1.0, 1.0)).T, strict=True))
    if (plan := factor.get("plan")) is not None:
        wanted_kw = accounts.plan_kw[which, 1] * plan[:, None]
        accounts.plan_kw[which, 1] = np.minimum(wanted_kw, params.contract_power_kw)
    for name, column in (("reduction_bid", NEXT_COMMITTED_KW), ("held_capacity", NEXT_HELD_KW)):
        if (bid := factor.get(name)) is not None:
            accounts.value[which, column] *= np.minimum(bid, 1.0)
