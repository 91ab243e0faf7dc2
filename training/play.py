"""Play a policy over a span with carried state and keep every interval."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.agents.liability import peaks_of, remaining_liability
from gridhash.agents.policy import Policy
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.play_record import PlayRecord
from gridhash.envs.scenario import Scenario
from gridhash.training.spans import Rows

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
SHADOW_PRICE_COLUMN = "shadow_price_per_kwh"


@dataclass(frozen=True, kw_only=True)
class PolicyRun:
    """What a policy did on a span."""

    name: str
    frame: pd.DataFrame
    """One row per dispatch interval, indexed by its start in UTC: market, ledger, power, heat."""
    liability: float = 0.0
    """What the play leaves to be paid after its end, see `agents.liability` [currency]."""

    @property
    def ledger_profit(self) -> float:
        """Sum of the ledger over the span [currency]."""
        return float(self.frame["profit"].sum())

    @property
    def profit(self) -> float:
        """Profit of the whole span, what it leaves to be paid later charged [currency]."""
        return self.ledger_profit - self.liability

    def daily_profit(self, timezone: str) -> pd.Series:
        """Return the profit of each local day as it was booked [currency]."""
        index = pd.DatetimeIndex(self.frame.index).tz_convert(timezone)
        daily: pd.Series = self.frame["profit"].groupby(index.date).sum()
        return daily


def play(
    scenario: Scenario,
    policy: Policy,
    rows: Rows,
    *,
    running_frac: float = 0.0,
    progress: Progress | None = None,
) -> PolicyRun:
    """Play `policy` once over `rows`, from a fleet at rest and the site file's accounts.

    Every play of a span so begins with the same peaks of the months before. A policy that acts by
    shadow price also leaves its trace, `shadow_price_per_kwh_GROUP` [currency/kWh].

    Raises
    ------
    PolicyError
        If the policy gives an action of the wrong shape or one that is not finite.
    """
    first, last = rows
    n_steps = (last - first) * scenario.steps_per_row
    days = n_steps * scenario.site.dispatch_interval_s / 86400.0
    sites = BatchedSite(
        scenario,
        1,
        EpisodeRules(
            episode_days=days, action_kind=policy.action_kind, relative_reward=False, rows=rows
        ),
    )
    sites.start_at(first, running_frac=running_frac)
    opened = peaks_of(sites)
    record = PlayRecord(scenario, n_steps)
    actions = np.empty((n_steps, scenario.n_groups))
    observation = sites.observe()
    for step in range(n_steps):
        action = policy.act(observation)
        observation = sites.step(action).observation
        actions[step] = action[0, : scenario.n_groups]
        record.keep(sites)
        if progress is not None and step % 512 == 0:
            progress(step, n_steps)
    frame = record.frame().assign(**shadow_prices(scenario, policy.action_kind, actions))
    return PolicyRun(name=policy.name, frame=frame, liability=remaining_liability(sites, opened))


def shadow_prices(
    scenario: Scenario, kind: ActionKind, actions: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return what a kWh was worth to a policy above its price, by column; none of other kinds.

    `actions` is (steps, G).
    """
    if kind is not ActionKind.SHADOW_PRICE:
        return {}
    scaled = np.clip(actions, -1.0, 1.0) * scenario.params.shadow_scale_per_kwh
    return {
        f"{SHADOW_PRICE_COLUMN}_{group.name}": scaled[:, g]
        for g, group in enumerate(scenario.site.groups)
    }
