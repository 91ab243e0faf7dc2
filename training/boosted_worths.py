"""Policy iteration on exact worths, with boosted trees that say what cannot be known.

What a decision was worth along the path that prices took (`gridhash.training.rig_worths`) depends
on prices that were not known when it was made. Regressed on what was known, it is what the
decision is worth in the mean; a rig goes on, or starts, where that is above zero. Then worths are
reckoned anew under this policy, and so on. Three things keep a few months of prices from being
learned by heart: the policy that is evaluated in a week has not learned from that week; every
iteration moves the worths that decide by a share; and prices are also seen at other hashprices,
where other moments are close calls.
"""

from collections.abc import Callable
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.training.rig_worths import Bools, earned, rig_path, worths
from gridhash.training.spans import Rows
from gridhash.training.worth_settings import WorthSettings
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

AHEAD_H = (1.0, 2.0, 4.0, 8.0, 24.0)
FOLD_DAYS = 7.0
GO_ON, START = 0, 1
Tell = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


def at_hashprice(scenario: Scenario, factor: float) -> Scenario:
    """Return the scenario with the site's hashprice times a factor."""
    mining = scenario.site.mining
    price = mining.hashprice_usd_per_phs_day * factor
    mining = mining.model_copy(update={"hashprice_usd_per_phs_day": price})
    site = scenario.site.model_copy(update={"mining": mining})
    return scenario if factor == 1.0 else build_scenario(site, scenario.trace)


def known_features(reader: ObservationReader, seen: Observations) -> Floats:
    """Return what trees are told of moments, (N, K), from row features or observations (N, F).

    Prices per break-even, the newest, those ahead and those past, the time of day and the outdoor
    temperature; neither weekday nor season, of which some months show too little.
    """
    first, n = reader.column("price_ratio_000"), reader.n_prices
    prices = seen[:, first : first + n].astype(np.float64)
    following = prices[:, min(1, n - 1)]
    columns = [prices[:, 0], following, prices[:, 0] - following]
    period_h = reader.site.market.settlement_period_s / SECONDS_PER_HOUR
    for hours in AHEAD_H:
        ahead = prices[:, 1 : round(hours / period_h)]
        if ahead.shape[1] > 0 and round(hours / period_h) <= n:
            columns += [ahead.mean(axis=1), ahead.max(axis=1)]
    names = [
        f"price_{what}_{hours:g}h"
        for hours in reader.site.observation.price_history_h
        for what in ("mean", "high")
    ]
    names += ["hour_sin", "hour_cos", "outdoor_temp_c"]
    columns += [seen[:, reader.column(name)].astype(np.float64) for name in names]
    return np.column_stack(columns)


@dataclass(frozen=True, kw_only=True, eq=False)
class BoostedWorths:
    """What going on and starting are worth to a group's rigs in the mean, per loss of a start."""

    trees: tuple[tuple[lgb.Booster, lgb.Booster], ...]
    """Of each iteration, for `GO_ON` and `START`."""
    step: float

    def of(self, features: Floats) -> Floats:
        """Return both worths of moments, (2, N), from `known_features`, (N, K)."""
        found = np.zeros((2, len(features)))
        for number, trees in enumerate(self.trees):
            newest = np.stack([np.asarray(one.predict(features, num_threads=1)) for one in trees])
            found = moved(found, newest, self.step, number)
        return found


def moved(worth: Floats, newest: Floats, step: float, iteration: int) -> Floats:
    """Return what decides after an iteration, the first of which counts wholly."""
    share = 1.0 if iteration == 0 else step
    return (1.0 - share) * worth + share * newest


def boosted_worths(
    scenario: Scenario,
    rows: Rows,
    group: int,
    settings: WorthSettings,
    *,
    seed: int,
    tell: Tell,
) -> tuple[BoostedWorths, float]:
    """Return what decisions are worth to a group's rigs, and what they earn crosswise.

    The second figure is what a full group of them would earn in the span by decisions that
    learned nothing of their own week, above those by break-even [currency].
    """
    reader = ObservationReader(scenario.site)
    worlds = [at_hashprice(scenario, factor) for factor in settings.hashprice_factors]
    paths = [rig_path(world, rows, group) for world in worlds]
    repeated = scenario.steps_per_row
    seen = [known_features(reader, world.rows[slice(*rows)]) for world in worlds]
    features = np.stack([np.repeat(one, repeated, axis=0) for one in seen])  # (worlds, T, K)
    below = features[:, :, 0] < 1.0
    decided = np.stack([below, below], axis=1)  # (worlds, 2, T)
    n = features.shape[1]
    fold = _folds(n, scenario.params.interval_s, settings.n_folds)
    rng = np.random.default_rng([seed, 8])
    expected = np.zeros(decided.shape)
    trees = []
    for number in range(settings.n_iterations):
        worth = np.stack(
            [
                worths(path, *own) / max(path.start_loss, 1e-9)
                for path, own in zip(paths, decided, strict=True)
            ]
        ).clip(-settings.most_starts, settings.most_starts)
        newest = np.empty(expected.shape)
        for k in range(settings.n_folds):
            fitted = _fitted(features, worth, fold != k, settings, rng)
            inside = fold == k
            for which, one in enumerate(fitted):
                for world in range(len(worlds)):
                    told = one.predict(features[world, inside], num_threads=1)
                    newest[world, which, inside] = told
        expected = moved(expected, newest, settings.step, number)
        decided = expected > 0.0
        trees.append(_fitted(features, worth, np.ones(n, dtype=np.bool_), settings, rng))
        tell(number + 1, settings.n_iterations)
    own = int(np.argmin(np.abs(np.array(settings.hashprice_factors) - 1.0)))
    gained = earned(paths[own], *decided[own]) - earned(paths[own], below[own], below[own])
    n_rigs = float(scenario.params.groups[group].n_rigs)
    return BoostedWorths(trees=tuple(trees), step=settings.step), gained * n_rigs


def _folds(n: int, interval_s: float, n_folds: int) -> Ints:
    """Return the fold of each interval, (n,): week after week, one after the other."""
    day = np.arange(n) * interval_s / SECONDS_PER_DAY
    return np.asarray((day // FOLD_DAYS).astype(np.int64) % n_folds)


def _fitted(
    features: Floats,
    worth: Floats,
    which: Bools,
    settings: WorthSettings,
    rng: np.random.Generator,
) -> tuple[lgb.Booster, lgb.Booster]:
    """Return the trees of both decisions, fitted to moments of all worlds."""
    n_each = max(1, settings.n_samples // len(features))
    moments = np.flatnonzero(which)
    if len(moments) > n_each:
        moments = np.sort(rng.choice(moments, n_each, replace=False))
    seed = int(rng.integers(2**31 - 1))
    values = features[:, moments].reshape(-1, features.shape[-1])
    options = {
        "objective": "regression",
        "num_leaves": settings.n_leaves,
        "min_data_in_leaf": settings.n_per_leaf,
        "learning_rate": settings.tree_rate,
        "lambda_l2": 1.0,
        "feature_fraction": 0.7,
        "max_bin": 63,
        "seed": seed,
        "deterministic": True,
        "num_threads": 1,
        "verbose": -1,
    }

    def trees_of(decision: int) -> lgb.Booster:
        told = lgb.Dataset(values, worth[:, decision, moments].ravel())
        return lgb.train(options, told, settings.n_trees)

    return trees_of(GO_ON), trees_of(START)
