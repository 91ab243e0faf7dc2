"""N copies of a site that step together: what every environment class wraps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridhash.envs.accounts import Accounts, empty_accounts
from gridhash.envs.action import ActionKind
from gridhash.envs.columns import GATE
from gridhash.envs.day_decisions import (
    apply_day_actions,
    decide_day,
    exposed_day_actions,
    gate_closes,
)
from gridhash.envs.kernel import StepOutput, empty_output
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.envs.site_stepper import SiteStepper
from gridhash.envs.starts import Starts
from gridhash.envs.state import FleetState, empty_state
from gridhash.errors import ConfigError, DataError, PolicyError

START_COOLANT_C = (20.0, 40.0)
"""Coolant at the start of a play, coldest and warmest; the bound's proof rests on it."""


@dataclass(frozen=True, kw_only=True)
class EpisodeRules:
    """How episodes are drawn and rewarded.

    Episodes start at a random period of `rows` and end by truncation, never by termination: the
    site does not end, only our window on it.
    """

    episode_days: float = 7.0
    action_kind: ActionKind = ActionKind.SHADOW_PRICE
    relative_reward: bool = True
    """Subtract the best static profit of each instant, which no action changes."""
    day_decisions: bool = False
    """Let actions carry a number more for each decision of the day that the site has, see
    `gridhash.envs.day_decisions`."""
    rows: tuple[int, int] | None = None
    """Playable rows, [first, last); all of the trace if None."""

    def __post_init__(self) -> None:
        """Refuse what no episode can have.

        Raises
        ------
        ConfigError
            If a rule is of the wrong type or out of range.
        """
        if not isinstance(self.action_kind, ActionKind):
            raise ConfigError(
                f"action_kind is {self.action_kind!r}: use one of "
                f"{', '.join(map(str, ActionKind.__members__))} of gridhash.envs.action.ActionKind"
            )
        if not 0.0 < self.episode_days < math.inf:
            raise ConfigError(f"episode_days is {self.episode_days}: give days above 0")
        if self.rows is not None and not self.rows[0] < self.rows[1]:
            raise ConfigError(
                f"rows are {self.rows}: give the first settlement period and the one after the last"
            )


class BatchedSite:
    """N sites on one scenario, stepped by the kernel.

    Actions are only read, so that a caller may reuse them. `observe` returns a fresh array; what
    `step` returns is overwritten by the next step. The arrays of `state`, `accounts` and `output`
    stay the same ones for good. `threads` share the sites; they pay from some hundred sites each.

    Raises
    ------
    ConfigError
        If there is no scenario or no site, or the rules expose decisions of the day that the
        site has not.
    DataError
        If the rows are too few for an episode.
    """

    def __init__(
        self, scenario: Scenario, n_sites: int, rules: EpisodeRules, *, threads: int = 1
    ) -> None:
        if not isinstance(scenario, Scenario):
            raise ConfigError(
                f"scenario is {scenario!r}: give what "
                "gridhash.envs.named_scenario.open_named_scenario returns"
            )
        if n_sites < 1:
            raise ConfigError(f"{n_sites} sites are asked for: give 1 or more")
        self.scenario = scenario
        self.rules = rules
        self.n_sites = n_sites
        self.day_actions = exposed_day_actions(scenario.programs, day_decisions=rules.day_decisions)
        self.state: FleetState = empty_state(scenario.params, n_sites)
        self.accounts: Accounts = empty_accounts(n_sites, scenario.slots_per_day)
        self.output: StepOutput = empty_output(n_sites, len(scenario.features))
        self._gate_rows = scenario.exogenous.calendar[:, GATE] > 0
        first, last = rules.rows or (scenario.first_row, scenario.n_rows)
        first = max(first, scenario.first_row)
        self.episode_steps = max(
            1, round(rules.episode_days * 86400.0 / scenario.site.dispatch_interval_s)
        )
        episode_rows = -(-self.episode_steps // scenario.steps_per_row)
        if last - first < episode_rows or last > scenario.n_rows:
            raise DataError(
                f"episodes of {rules.episode_days:g} days need {episode_rows} periods, but rows "
                f"{first} to {last} of {scenario.n_rows} are given: use a longer span or shorter "
                "episodes"
            )
        self._start_rows = (first, last - episode_rows)
        self.threads = threads
        self._every = np.arange(n_sites)
        self._stepper = self._new_stepper()
        self.steps_left = np.zeros(n_sites, dtype=np.int64)

    @property
    def n_actions(self) -> int:
        """Numbers in the action of one site."""
        return self.scenario.n_groups + len(self.day_actions)

    @property
    def gate_closes(self) -> npt.NDArray[np.bool_]:
        """Sites, (N,), whose decisions of the next day may be replaced before the next step."""
        return gate_closes(self.scenario.exogenous, self.state)

    def decide_day(
        self,
        site: int,
        *,
        plan_kw: npt.ArrayLike | None = None,
        committed_kw: float | None = None,
        held_kw: float | None = None,
    ) -> None:
        """Replace the default decisions of one site's next day, see `day_decisions.decide_day`.

        Raises
        ------
        PolicyError
            If the site's gate does not close now, or a decision is out of range.
        """
        if not self.gate_closes[site]:
            raise PolicyError(
                f"the decisions of site {site} are not due: its gate closes once a day, see "
                "gate_closes"
            )
        decide_day(
            self.scenario.params,
            self.scenario.programs,
            self.accounts,
            site,
            plan_kw=plan_kw,
            committed_kw=committed_kw,
            held_kw=held_kw,
        )

    def draw_starts(self, which: Ints, rng: np.random.Generator) -> None:
        """Reset sites to random periods and to fleets that run fully, partly or not at all.

        Mostly all groups are in the same mode, as a year's play finds them; a fifth are not.
        """
        self._start_drawn(which, self._draw(len(which), rng))

    def draw_own_starts(self, which: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Reset sites as `draw_starts` does, each from a generator of its own, (n,).

        So a site starts as it would alone, whatever the others do.
        """
        draws = [self._draw(1, rng) for rng in rngs]
        self._start_drawn(which, Starts(*map(np.concatenate, zip(*draws, strict=True))))

    def _draw(self, n: int, rng: np.random.Generator) -> Starts:
        n_groups = self.scenario.n_groups
        low, high = self._start_rows
        part = rng.random(n)
        share = np.where(part < 0.35, 0.0, np.where(part < 0.7, 1.0, rng.random(n)))
        alone = rng.random((n, n_groups)) < 0.2
        running = np.where(alone, rng.random((n, n_groups)) < 0.5, share[:, None])
        coolant_c = rng.uniform(*START_COOLANT_C, (n, n_groups))
        row = rng.integers(low, high + 1, n)
        peak_frac = np.ones(n)
        if self.scenario.programs.present:
            # Mostly a peak of full power is behind the site, as a year's play finds it.
            had_full = rng.random(n) < 0.7
            peak_frac = np.where(had_full, 1.0, rng.random(n))
        peak_kw = self.scenario.site.limits.contract_power_kw * peak_frac
        return Starts(running, coolant_c, row, peak_kw)

    def _start_drawn(self, which: Ints, starts: Starts) -> None:
        which = self._every[which]  # refuses what is no site
        self._stepper.start(which, starts)
        self.steps_left[which] = self.episode_steps

    def start_at(
        self,
        row: int,
        *,
        running_frac: float = 0.0,
        coolant_c: float = 25.0,
        which: Ints | None = None,
    ) -> None:
        """Reset every site, or those in `which`, to one period and one state of rest.

        The episode ends early where the data do. The bound reckons with a `coolant_c` within
        `START_COOLANT_C`.

        Raises
        ------
        DataError
            If the row cannot be played.
        """
        scenario = self.scenario
        if not scenario.first_row <= row < scenario.n_rows:
            raise DataError(
                f"row {row} cannot be played: rows {scenario.first_row} to "
                f"{scenario.n_rows - 1} can (a day of prices must lie before)"
            )
        which = self._every if which is None else self._every[which]
        per_group = (len(which), scenario.n_groups)
        starts = Starts(
            running_frac=np.full(per_group, float(running_frac)),
            coolant_c=np.full(per_group, float(coolant_c)),
            row=np.full(len(which), row, dtype=np.int64),
            peak_kw=np.full(len(which), float(scenario.programs.peak_before_kw)),
        )
        self._stepper.start(which, starts)
        rows_left = scenario.n_rows - row
        self.steps_left[which] = min(self.episode_steps, rows_left * scenario.steps_per_row)

    def observe(self, which: Ints | None = None) -> npt.NDArray[np.float32]:
        """Return the observation of every site, (N, F), or of those in `which`, (n, F)."""
        which = self._every if which is None else self._every[which]
        out = np.zeros((len(which), len(self.scenario.features)), dtype=np.float32)
        self._stepper.observe(which, out)
        return out

    def step(self, action: npt.NDArray[np.floating]) -> StepOutput:
        """Advance every site by one dispatch interval.

        Parameters
        ----------
        action
            (N, n_actions) in the bounds of the action kind; values outside are clipped.

        Returns
        -------
        StepOutput
            Views that the next step overwrites; copy what must be kept.

        Raises
        ------
        PolicyError
            If the action has the wrong shape or holds NaN or infinity.
        DataError
            If a site has come to the end of the data.
        """
        checked = self.checked(action)
        if self.state.row.max() >= self.scenario.n_rows:
            raise DataError(
                f"site {self.state.row.argmax()} has come to the end of the data, "
                f"{self.scenario.trace.end}: start it again"
            )
        self.advance(checked)
        return self.output

    def checked(self, action: npt.NDArray[np.floating]) -> Floats:
        """Return an action as the kernel reads it; raise PolicyError if it is none."""
        expected = (self.n_sites, self.n_actions)
        action = np.asarray(action)
        if action.shape != expected:
            raise PolicyError(
                f"action has shape {action.shape}, expected {expected}: {self.n_actions} numbers "
                f"for each of {self.n_sites} sites"
            )
        if not np.isfinite(action).all():
            site, k = np.argwhere(~np.isfinite(action))[0]
            names = [f"group {group.name}" for group in self.scenario.site.groups]
            raise PolicyError(
                f"action of site {site}, {[*names, *self.day_actions][k]} is {action[site, k]}"
            )
        # A copy: the kernel would be compiled once more for an array that is read-only.
        return np.array(action, dtype=np.float64, order="C")

    def advance(self, action: Floats) -> None:
        """Step under an action that `checked` returned; the results are in `output`."""
        if action.dtype != np.float64 or not action.flags.carray:
            raise PolicyError("advance takes what `checked` returns")
        if self.day_actions and self._gate_rows.take(self.state.row, mode="clip").any():
            which = np.flatnonzero(self.gate_closes)
            n_groups = self.scenario.n_groups
            apply_day_actions(
                self.scenario.params,
                self.scenario.programs,
                self.accounts,
                which,
                action[which, n_groups:],
            )
        self._stepper.step(action)
        self.steps_left -= 1

    def __getstate__(self) -> dict[str, Any]:
        """Leave out machine code and threads, which belong to one process."""
        return {name: value for name, value in vars(self).items() if name != "_stepper"}

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        vars(self).update(values)
        self._stepper = self._new_stepper()

    def _new_stepper(self) -> SiteStepper:
        return SiteStepper(
            self.scenario,
            self.state,
            self.accounts,
            self.output,
            action_kind=self.rules.action_kind,
            relative_reward=self.rules.relative_reward,
            threads=self.threads,
        )
