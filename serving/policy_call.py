"""Asking a policy for its action within a deadline: whatever it does, there is an answer.

The policy is asked in a thread of its own, because only there it can be given up. The thread is
kept for the next call; one that was given up ends with its policy, keeps nobody from leaving, and
its policy is not asked again until then. Code that holds Python's lock for good cannot be given up
by the process itself: then the heartbeat stops, and the guard takes over.
"""

import os
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread

import numpy as np

from gridhash.agents.policy import Policy, check_action
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats, Floats32, SiteParameters
from gridhash.errors import PolicyError


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a policy said: an action, or why there is none."""

    action: Floats | None
    fault: str = ""
    late: bool = False


LATE = Answer(action=None, fault="is late", late=True)


def check_range(action: Floats, kind: ActionKind, params: SiteParameters) -> Floats:
    """Return an action, (1, G), clipped to its range as in training.

    A rule that leans forward, or one with a network's addition, may overshoot its range by as much
    as the range is wide; that was so when it was judged. A policy that says more is broken, and
    nothing of what it says is trusted.

    Raises
    ------
    PolicyError
        If a number is further outside.
    """
    levels = params.groups["n_levels"].astype(np.float64)
    high = levels if kind is ActionKind.LEVELS else np.ones_like(levels)
    outside = (action[0] < 2.0 * kind.low - high) | (action[0] > 2.0 * high - kind.low)
    if outside.any():
        g = int(np.flatnonzero(outside)[0])
        raise PolicyError(
            f"action of group {g} is {action[0, g]:g}: {kind.name.lower()} is within "
            f"{kind.low:g} and {high[g]:g}"
        )
    return np.clip(action, kind.low, high)


class _Worker:
    """A thread that asks policies one after the other, until it is dismissed."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Policy, Floats32, Future[Floats]] | None] = SimpleQueue()
        Thread(target=self._run, name="policy", daemon=True).start()

    def ask(self, policy: Policy, observation: Floats32) -> "Future[Floats]":
        future: Future[Floats] = Future()
        self._calls.put((policy, observation, future))
        return future

    def dismiss(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            policy, observation, future = call
            try:
                future.set_result(policy.act(observation))
            except BaseException as err:  # noqa: BLE001  # handed to whoever asked
                future.set_exception(err)
            del call, policy, observation, future


class PolicyCaller:
    """Keeps the thread, and remembers whom it has given up."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._worker: _Worker | None = None
        self._given_up: list[tuple[Policy, Future[Floats]]] = []

    def forget(self) -> None:
        """Begin anew: in a forked process no thread of its parent runs."""
        self._worker, self._given_up = None, []

    def ask(
        self,
        policy: Policy,
        observation: Floats32,
        params: SiteParameters,
        deadline_s: float | None,
    ) -> Answer:
        """Return the policy's action for one site, checked; never raises."""
        self._given_up = [(own, future) for own, future in self._given_up if not future.done()]
        if any(own is policy for own, _ in self._given_up):
            return LATE
        if self._worker is None:
            self._worker = _Worker()
        future = self._worker.ask(policy, observation.copy())
        try:
            error = future.exception(timeout=deadline_s)
        except FutureTimeout:
            self._given_up.append((policy, future))
            self._worker.dismiss()
            self._worker = None
            return LATE
        if error is not None:
            return Answer(action=None, fault=f"raised {type(error).__name__}: {error}")
        try:
            n_groups = len(params.groups)
            action = check_action(future.result(), n_sites=1, n_groups=n_groups)
            action = check_range(action, policy.action_kind, params)
        except (PolicyError, TypeError, ValueError) as err:
            return Answer(action=None, fault=f"gave no usable action ({err})")
        return Answer(action=action[0].copy())


CALLER = PolicyCaller()
"""Of this process: a policy that hangs here is not asked by anyone else in it."""
os.register_at_fork(after_in_child=CALLER.forget)
