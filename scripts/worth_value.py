"""What policy iteration on exact worths gains over the tuned rule, by its settings; prints a table.

Trees alone, without the network that takes them over: crosswise on the weeks of the training span,
and played on the validation span, with standard errors of paired weeks. The test span is not
opened. The rule is that of its cell. About a minute a line.

    GRIDHASH_REFERENCE_DATA=… python scripts/worth_value.py
"""

from pathlib import Path

import numpy as np

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.rule_registry import build_rule
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats
from gridhash.training.boosted_worths import GO_ON, START, BoostedWorths, boosted_worths
from gridhash.training.boosted_worths import known_features as known
from gridhash.training.cells import CellId, path_of, read_cell
from gridhash.training.opened import open_for_training
from gridhash.training.play import play
from gridhash.training.rig_worths import earned, rig_path
from gridhash.training.worth_settings import WorthSettings

SCENARIO = "RealTimeNem@real"
RULE = "hysteresis"
CELLS = Path(__file__).resolve().parent.parent / "docs" / "results" / "cells"
CASES = {
    "as the defaults": WorthSettings(),
    "prices at their own hashprice alone": WorthSettings(hashprice_factors=(1.0,)),
    "one iteration, from break-even": WorthSettings(n_iterations=1),
    "8 leaves": WorthSettings(n_leaves=8),
}


class OfTrees:
    """Rigs, alike in all groups, that run while trees say that it is worth it."""

    name = "trees"
    action_kind = ActionKind.POWER

    def __init__(self, site: SiteConfig, trees: BoostedWorths) -> None:
        self.trees, self.reader = trees, ObservationReader(site)

    def act(self, observation: Observations) -> Floats:
        """Return full power or none for every group."""
        worth = self.trees.of(known(self.reader, observation))[..., None]
        runs = self.reader.of_groups(observation, "running_frac") > 0.5
        return np.where(np.where(runs, worth[GO_ON], worth[START]) > 0.0, 1.0, 0.0)


def main() -> None:
    """Print a line for each case."""
    opened = open_for_training(SCENARIO)
    spans, seen = opened.spans, opened.seen_in_training
    zone, n_rigs = seen.site.timezone, float(seen.params.n_rigs.sum())
    parameters = read_cell(path_of(CellId(scenario=SCENARIO, policy=RULE), CELLS)).parameters
    rule = play(seen, build_rule(RULE, parameters, site=seen.site), spans.validate)
    days = rule.daily_profit(zone).to_numpy(dtype=np.float64)
    path = rig_path(seen, spans.train, 0)
    price = known(ObservationReader(seen.site), seen.rows[slice(*spans.train)])[:, 0]
    of_rule = earned(path, price <= parameters["stop_ratio"], price < parameters["start_ratio"])
    ahead = n_rigs * (of_rule - earned(path, price < 1.0, price < 1.0))
    print(f"| trees | beside {RULE}, crosswise on training | validation |\n|---|---|---|")
    for words, settings in CASES.items():
        trees, gained = boosted_worths(
            opened.taught, spans.train, 0, settings, seed=0, tell=lambda *_: None
        )
        run = play(seen, OfTrees(seen.site, trees), spans.validate)
        more = run.daily_profit(zone).to_numpy(dtype=np.float64) - days
        weeks = np.array([part.sum() for part in np.array_split(more, len(more) // 7)])
        error = weeks.std(ddof=1) * np.sqrt(len(weeks))
        crosswise = gained * seen.n_groups - ahead
        print(f"| {words} | {crosswise:+,.0f} | {more.sum():+,.0f} ± {error:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
