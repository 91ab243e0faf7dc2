"""How much of the gap to perfect foresight any policy can attain: one rig, Markov prices, exact.

Writes docs/results/information.md.

    python scripts/information_value.py
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from gridhash.agents.information import PriceChain, RigUnderPrices
from gridhash.config import load_site, parse_site
from gridhash.envs.parameters import Floats, compile_site

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "information.md"
INTERVAL_S = 900
DAYS = 14
HORIZON = 96
FORESIGHT_PATHS = 4000
PLAN_PATHS = 400
SEED = 0
COLUMNS = (
    "price",
    "seen",
    "start of the fleet costs",
    "myopic",
    "plan on means",
    "plan on paths",
    "optimum",
    "perfect foresight",
    "attainable",
    "means take",
    "paths take",
)
START_COSTS = (2000.0, 10000.0, 40000.0)


def wandering(mean: float, spread: float, half_life_h: float, n_bins: int = 11) -> PriceChain:
    """Return a price that reverts to its mean: an AR(1) cut into bins (Tauchen 1986)."""
    memory = 0.5 ** (INTERVAL_S / 3600.0 / half_life_h)
    points = np.linspace(-2.5, 2.5, n_bins)
    edges = 0.5 * (points[1:] + points[:-1])
    noise = np.sqrt(1.0 - memory**2)
    below = _normal((edges[None] - memory * points[:, None]) / noise)
    padded = np.hstack([np.zeros((n_bins, 1)), below, np.ones((n_bins, 1))])
    return PriceChain(mean * (1.0 + spread * points), np.diff(padded, axis=1), lagged=False)


def spiky(mean: float) -> PriceChain:
    """Return a price that is low mostly, and five times as high in spikes of half an hour."""
    price = mean * np.array([0.6, 0.8, 1.05, 5.0])
    move = np.array(
        [
            [0.90, 0.08, 0.015, 0.005],
            [0.08, 0.84, 0.07, 0.01],
            [0.02, 0.13, 0.80, 0.05],
            [0.10, 0.10, 0.30, 0.50],
        ]
    )
    return PriceChain(price, move, lagged=False)


def _normal(x: Floats) -> Floats:
    return np.asarray(ndtr(x))


def rows() -> list[str]:
    """Return the table's rows."""
    site = load_site("japan_pilot")
    values = site.model_dump(exclude_unset=True)
    values["groups"], values["dispatch_interval_s"] = values["groups"][:1], INTERVAL_S
    share = site.groups[0].n_rigs / site.n_rigs
    n_steps = DAYS * 86400 // INTERVAL_S
    found = []
    for start_cost in START_COSTS:
        values["start_cost_per_fleet_start"] = start_cost * share
        one = parse_site(values, origin="japan_pilot, one group")
        params = compile_site(one)
        revenue = one.hash_revenue_per_phs_day
        mean = one.break_even_per_kwh(one.groups[0])
        chains = {
            "wanders, half-life 12 h": wandering(mean, 0.25, 12.0),
            "wanders, half-life 1 h": wandering(mean, 0.25, 1.0),
            "spikes of half an hour": spiky(mean),
        }
        for name, chain in chains.items():
            for lagged in (False, True):
                rig = RigUnderPrices(params, 0, replace(chain, lagged=lagged), revenue)
                found.append(row(rig, name, start_cost, n_steps))
    return found


def row(rig: RigUnderPrices, name: str, start_cost: float, n_steps: int) -> str:
    """Return one case as a row of the table."""
    greedy = rig.played(rig.greedy(), n_steps)
    means = rig.played(rig.planned_on_means(HORIZON), n_steps)
    on_paths = rig.planned_on_paths(HORIZON, n_paths=PLAN_PATHS, seed=SEED)
    paths = rig.played(on_paths, n_steps)
    optimum = rig.optimum(n_steps)
    foresight = rig.foresight(n_steps, n_paths=FORESIGHT_PATHS, seed=SEED)
    gap, attainable = foresight - greedy, optimum - greedy
    seen = "late" if rig.chain.lagged else "at once"

    def of(part: float) -> str:
        return f"{part / attainable:.0%}" if attainable > 0.01 * gap else "–"

    amounts = " | ".join(f"{x / DAYS:,.1f}" for x in (greedy, means, paths, optimum, foresight))
    return (
        f"| {name} | {seen} | {start_cost:,.0f} | {amounts} | {attainable / gap:.0%} "
        f"| {of(means - greedy)} | {of(paths - greedy)} |"
    )


def main() -> None:
    """Write the page."""
    head = f"""# How much of the gap to perfect foresight can be attained

Made by `python scripts/information_value.py`. One rig of `japan_pilot` (on/off, its minimum
times, warm-up and wear) in intervals of {INTERVAL_S // 60} minutes over {DAYS} days, under a price
that is a Markov chain about its break-even. All but the last amount are exact; perfect foresight
is the mean of {FORESIGHT_PATHS:,} drawn paths. JPY a day and rig.

- **myopic**: runs where the expected present interval earns more than standing by;
- **plan on means, plan on paths**: rolling plans over {HORIZON * INTERVAL_S // 3600} h on expected
  prices, and with one decision for {PLAN_PATHS} paths after which each is known, as `mpc` and
  `mpc_scenario`;
- **optimum**: the stochastic dynamic program, which no policy without foresight exceeds;
- **attainable**: its share of the gap from the myopic rule to perfect foresight. The rest is what
  only knowledge of the future earns, and no policy should be held to it;
- the last two columns: what either plan takes of what is attainable, where that is 1 % of the gap
  or more.

"""
    table = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS), *rows()]
    PAGE.write_text(head + "\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
