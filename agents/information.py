"""What knowing the future is worth: one rig under a Markov price, solved exactly.

The bound knows every price; no policy does. For one rig and a price that is a Markov chain of few
bins the best that a policy can do without foresight is a small dynamic program, so the gap to
perfect foresight splits into what can be attained and what cannot. States are the bin of the newest
price and the rig's age, as in `gridhash.agents.start_stop_dp`, whose profits per interval are used;
plans of one rig are those of a group, whose linear program they equal.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.start_stop_dp import price_interval
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.errors import ConfigError

Decisions = np.ndarray[tuple[int, int], np.dtype[np.bool_]]


@dataclass(frozen=True)
class PriceChain:
    """A price that moves once a dispatch interval between M bins."""

    price_per_kwh: Floats
    """(M,) all-in price of each bin."""
    move: Floats
    """(M, M) chance to go from a bin to another."""
    lagged: bool
    """Whether a decision sees the bin of the interval before instead of its own."""

    def __post_init__(self) -> None:
        """Refuse what is no chain.

        Raises
        ------
        ConfigError
            If the chances of a bin do not add up to 1.
        """
        if not np.allclose(self.move.sum(axis=1), 1.0) or (self.move < 0.0).any():
            raise ConfigError(f"the chances to move must add up to 1: {self.move.sum(axis=1)}")

    @property
    def stationary(self) -> Floats:
        """(M,) share of time in each bin."""
        n = len(self.move)
        equations = np.vstack([self.move.T - np.eye(n), np.ones(n)])
        share, *_ = np.linalg.lstsq(equations, np.append(np.zeros(n), 1.0), rcond=None)
        return np.asarray(share)

    def draw(self, n_paths: int, n_steps: int, seed: int, *, start: int | None = None) -> Ints:
        """Return the bins of paths, (K, N): from the seen bin `start`, else from anywhere."""
        rng = np.random.default_rng(seed)
        reached = np.cumsum(self.move, axis=1)
        if start is None:
            now = rng.choice(len(self.move), n_paths, p=np.clip(self.stationary, 0.0, None))
        elif self.lagged:
            now = (rng.random(n_paths)[:, None] > reached[start]).sum(axis=1)
        else:
            now = np.full(n_paths, start)
        bins = np.empty((n_paths, n_steps), dtype=np.int64)
        for t in range(n_steps):
            bins[:, t] = now
            now = (rng.random(n_paths)[:, None] > reached[now]).sum(axis=1)
        return bins


class RigUnderPrices:
    """One rig of a group and what it earns in an interval at each price of a chain."""

    def __init__(
        self, params: SiteParameters, g: int, chain: PriceChain, revenue_per_phs_day: float
    ) -> None:
        self.chain = chain
        self._params, self._g, self._revenue = params, g, revenue_per_phs_day
        self.n_up = params.start_power_frac.shape[1]
        self.n_down = max(int(params.n_down_lock.max()), 1) + 1
        self.run, self.rest = self._profits(chain.price_per_kwh)
        self._next_up = np.minimum(np.arange(self.n_up) + 1, self.n_up - 1)
        self._next_down = np.minimum(np.arange(self.n_down) + 1, self.n_down - 1)

    def _profits(self, price_per_kwh: Floats) -> tuple[Floats, Floats]:
        """Return profits of a running rig by price and age, (…, U), and of one that rests, (…,)."""
        run = np.empty((len(price_per_kwh), self.n_up))
        rest = np.empty(len(price_per_kwh))
        for k, price in enumerate(price_per_kwh):
            rest[k] = price_interval(self._params, self._g, float(price), self._revenue, run[k])
        return run, rest

    def back(
        self, run: Floats, rest: Floats, up: Floats, down: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Go one interval back: Bellman's equation for any number of cases at once.

        `run` (…, U) and `rest` (…,) are profits of the interval, `up` (…, U) and `down` (…, D) the
        values after it. Returns the values before it and what running is worth over standing by
        age of a running and of a stopped rig.
        """
        params, g = self._params, self._g
        stop = rest + down[..., 1]
        start = run[..., 0] - params.start_cost[g] + up[..., 1]
        keep = run + up[..., self._next_up]
        stay = rest[..., None] + down[..., self._next_down]
        worth_up, worth_down = keep - stop[..., None], start[..., None] - stay
        locked_up = np.arange(self.n_up) < params.n_up_lock[g]
        locked_down = np.arange(self.n_down) < params.n_down_lock[g]
        return (
            np.where(locked_up, keep, np.maximum(keep, stop[..., None])),
            np.where(locked_down, stay, np.maximum(stay, start[..., None])),
            worth_up,
            worth_down,
        )

    def expected(self) -> tuple[Floats, Floats]:
        """Return the expected profits by bin seen: (M, U), (M,)."""
        if not self.chain.lagged:
            return self.run, self.rest
        return self.chain.move @ self.run, self.chain.move @ self.rest

    def optimum(self, n_steps: int) -> float:
        """Return what the best policy without foresight earns from a rig long off [currency]."""
        run, rest = self.expected()
        move = self.chain.move
        up, down = np.zeros((len(move), self.n_up)), np.zeros((len(move), self.n_down))
        for _ in range(n_steps):
            up, down, _, _ = self.back(run, rest, move @ up, move @ down)
        return float(self.chain.stationary @ down[:, -1])

    def foresight(self, n_steps: int, *, n_paths: int, seed: int) -> float:
        """Return what perfect foresight earns in the mean of drawn paths [currency]."""
        bins = self.chain.draw(n_paths, n_steps, seed)
        return float(self._along(bins)[1][:, -1].mean())

    def _along(self, bins: Ints) -> tuple[Floats, Floats]:
        """Return the values of a rig by age before known paths (K, N): (K, U), (K, D)."""
        up, down = np.zeros((len(bins), self.n_up)), np.zeros((len(bins), self.n_down))
        for t in range(bins.shape[1] - 1, -1, -1):
            up, down, _, _ = self.back(self.run[bins[:, t]], self.rest[bins[:, t]], up, down)
        return up, down

    def played(self, decide: tuple[Decisions, Decisions], n_steps: int) -> float:
        """Return what a policy earns from a rig long off [currency].

        `decide` says by bin seen and age whether a running rig, (M, U), and a stopped one, (M, D),
        is to run; within its minimum time it has no choice.
        """
        run, rest = self.expected()
        move, params, g = self.chain.move, self._params, self._g
        keeps = decide[0] | (np.arange(self.n_up) < params.n_up_lock[g])
        starts = decide[1] & (np.arange(self.n_down) >= params.n_down_lock[g])
        up, down = np.zeros((len(move), self.n_up)), np.zeros((len(move), self.n_down))
        for _ in range(n_steps):
            up, down = move @ up, move @ down
            stop = (rest + down[:, 1])[:, None]
            start = (run[:, 0] - params.start_cost[g] + up[:, 1])[:, None]
            up, down = (
                np.where(keeps, run + up[:, self._next_up], stop),
                np.where(starts, start, rest[:, None] + down[:, self._next_down]),
            )
        return float(self.chain.stationary @ down[:, -1])

    def greedy(self) -> tuple[Decisions, Decisions]:
        """Return the rule that looks at the expected present interval alone."""
        run, rest = self.expected()
        runs = run[:, -1:] > rest[:, None]
        return np.tile(runs, self.n_up), np.tile(runs, self.n_down)

    def planned_on_means(self, horizon: int) -> tuple[Decisions, Decisions]:
        """Return rolling planning on expected prices, the point variant of `agents.mpc`."""
        move, price = self.chain.move, self.chain.price_per_kwh
        powers = [np.eye(len(move)) if not self.chain.lagged else move]
        for _ in range(horizon - 1):
            powers.append(powers[-1] @ move)
        up, down = np.zeros((len(move), self.n_up)), np.zeros((len(move), self.n_down))
        worth_up, worth_down = up, down
        for power in reversed(powers):
            run, rest = self._profits(power @ price)
            up, down, worth_up, worth_down = self.back(run, rest, up, down)
        return worth_up > 0.0, worth_down > 0.0

    def planned_on_paths(
        self, horizon: int, *, n_paths: int, seed: int
    ) -> tuple[Decisions, Decisions]:
        """Return two-stage planning: one decision for all paths, then each path is known."""
        worth_up = np.empty((len(self.chain.move), self.n_up))
        worth_down = np.empty((len(self.chain.move), self.n_down))
        for seen in range(len(self.chain.move)):
            bins = self.chain.draw(n_paths, horizon, seed, start=seen)
            up, down = self._along(bins[:, 1:])
            now = bins[:, 0]
            _, _, own_up, own_down = self.back(
                self.run[now].mean(axis=0),
                np.asarray(self.rest[now].mean()),
                up.mean(axis=0),
                down.mean(axis=0),
            )
            worth_up[seen], worth_down[seen] = own_up, own_down
        return worth_up > 0.0, worth_down > 0.0
