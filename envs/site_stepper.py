"""The calls of the kernel for N sites: types looked up once, sites shared out among threads."""

import threading
import weakref
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gridhash.envs.accounts import Accounts
from gridhash.envs.action import ActionKind
from gridhash.envs.jit import bound_to_types
from gridhash.envs.kernel import (
    Scratch,
    StepOutput,
    empty_scratch,
    observe_sites,
    step_sites,
)
from gridhash.envs.parameters import Floats, Floats32, Ints
from gridhash.envs.scenario import Scenario
from gridhash.envs.starts import Starts, start_sites
from gridhash.envs.state import FleetState
from gridhash.errors import ConfigError

_Arrays = TypeVar("_Arrays", FleetState, Accounts, StepOutput)
_Actions = SimpleQueue[Floats | None]


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
    """Starts, steps and observes N sites; `threads` threads step neighbouring sites each.

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
        fixed = (scenario.params, scenario.programs, scenario.exogenous)
        self._sites = (*fixed, state, accounts)
        every = np.arange(n_sites)
        per_group, per_site = np.zeros((n_sites, scenario.n_groups)), np.zeros(n_sites)
        starts = Starts(per_group, per_group, every, per_site)
        self._start = bound_to_types(start_sites, *self._sites, every, starts)
        self._observe = bound_to_types(observe_sites, *self._sites, every, output.observation)
        rules = (int(action_kind), relative_reward)
        span = self._spans[0]
        step_bound = bound_to_types(
            step_sites,
            *fixed,
            span.state,
            span.accounts,
            np.zeros((1, scenario.n_groups)),
            *rules,
            span.scratch,
            span.output,
        )
        self._step_span = partial(_step_span, step_bound, fixed, rules)
        self._asked: list[_Actions] = [SimpleQueue() for _ in self._spans[1:]]
        self._done: SimpleQueue[None] = SimpleQueue()
        self._under_way = 0
        for asked, other in zip(self._asked, self._spans[1:], strict=True):
            work = partial(self._step_span, other)
            threading.Thread(target=_serve, args=(asked, self._done, work), daemon=True).start()
        # Threads know nothing of this object, so that it may go; then they end.
        weakref.finalize(self, _end, self._asked)

    def start(self, which: Ints, starts: Starts) -> None:
        """Start the sites named in `which`, (n,) int64; all arrays C-contiguous, not checked."""
        self._start(*self._sites, which, starts)

    def observe(self, which: Ints, observation: Floats32) -> None:
        """Write the observation of the sites named in `which`, (n, F); likewise not checked."""
        self._observe(*self._sites, which, observation)

    def step(self, action: Floats) -> None:
        """Advance all sites under `action`, (N, G) float64, C-contiguous, not checked."""
        if not self._asked:
            self._step_span(self._spans[0], action)
            return
        self._wait()  # for what a Ctrl-C in the last step left under way
        for asked, span in zip(self._asked, self._spans[1:], strict=True):
            asked.put(action[span.sites])
            self._under_way += 1
        self._step_span(self._spans[0], action[self._spans[0].sites])
        self._wait()

    def _wait(self) -> None:
        while self._under_way:
            self._done.get()
            self._under_way -= 1


def _step_span(
    step_bound: Callable[..., None],
    fixed: tuple[Any, ...],
    rules: tuple[int, bool],
    span: _Span,
    action: Floats,
) -> None:
    step_bound(*fixed, span.state, span.accounts, action, *rules, span.scratch, span.output)


def _serve(asked: _Actions, done: SimpleQueue[None], work: Callable[[Floats], None]) -> None:
    """Do what is asked until None is; the kernel raises nothing.

    Queues of C hand over within some 20 µs, a pool of futures takes several times that.
    """
    while (action := asked.get()) is not None:
        work(action)
        done.put(None)


def _end(asked: list[_Actions]) -> None:
    for queue in asked:
        queue.put(None)
