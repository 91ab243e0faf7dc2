"""The call of the kernel for N sites: types looked up once, sites shared out among threads."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gridhash.envs.accounts import Accounts
from gridhash.envs.action import ActionKind
from gridhash.envs.jit import bound_to_types
from gridhash.envs.kernel import Scratch, StepOutput, empty_scratch, step_sites
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import FleetState
from gridhash.errors import ConfigError

_Arrays = TypeVar("_Arrays", FleetState, Accounts, StepOutput)


class _Span(NamedTuple):
    """Neighbouring sites that one thread steps; all arrays are views."""

    sites: slice
    state: FleetState
    accounts: Accounts
    scratch: Scratch
    output: StepOutput


def _part(arrays: _Arrays, sites: slice) -> _Arrays:
    """Return views of some sites' part of every array."""
    parts: list[Any] = [array[sites] for array in arrays]
    return type(arrays)(*parts)


class SiteStepper:
    """Steps N sites in place, by `threads` threads of neighbouring sites each.

    No site reads what belongs to another, so the number of threads changes no bit.

    Raises
    ------
    ConfigError
        If there are fewer sites than threads, or no thread.
    """

    def __init__(
        self,
        scenario: Scenario,
        state: FleetState,
        accounts: Accounts,
        output: StepOutput,
        *,
        action_kind: ActionKind,
        relative_reward: bool,
        threads: int,
    ) -> None:
        n_sites = len(state.row)
        if not 1 <= threads <= n_sites:
            raise ConfigError(f"threads is {threads}: give 1 to {n_sites}, the number of sites")
        self._fixed = (scenario.params, scenario.programs, scenario.exogenous)
        self._rules = (int(action_kind), relative_reward)
        ends = [n_sites * k // threads for k in range(threads + 1)]
        self._spans = [
            _Span(
                sites=sites,
                state=_part(state, sites),
                accounts=_part(accounts, sites),
                scratch=empty_scratch(scenario.n_groups),
                output=_part(output, sites),
            )
            for sites in (slice(first, end) for first, end in pairwise(ends))
        ]
        span = self._spans[0]
        self._step_sites = bound_to_types(
            step_sites,
            *self._fixed,
            span.state,
            span.accounts,
            np.zeros((1, scenario.n_groups)),
            *self._rules,
            span.scratch,
            span.output,
        )
        self._helpers = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def step(self, action: Floats) -> None:
        """Advance all sites under `action`, (N, G) float64, C-contiguous, not checked."""
        if self._helpers is None:
            self._step_span(self._spans[0], action)
            return
        others = [
            self._helpers.submit(self._step_span, span, action[span.sites])
            for span in self._spans[1:]
        ]
        self._step_span(self._spans[0], action[self._spans[0].sites])
        for other in others:
            other.result()

    def _step_span(self, span: _Span, action: Floats) -> None:
        self._step_sites(
            *self._fixed,
            span.state,
            span.accounts,
            action,
            *self._rules,
            span.scratch,
            span.output,
        )
