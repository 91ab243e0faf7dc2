"""Whether calibration recovers the parameters of simulated rigs within its intervals.

Each seed draws a group of rigs around `japan_pilot` (`calibration_world`), plays its hours and
calibrates its journal as a site's would be. Prints coverage and widths as a table in Markdown.

    python scripts/calibration_recovery.py --seeds 50
"""

import argparse
import time

import numpy as np
from calibration_world import recovered
from rich.console import Console
from rich.progress import track


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rigs", type=int, default=12)
    parser.add_argument("--hours", type=float, default=10.0)
    options = parser.parse_args()
    began_s = time.perf_counter()
    hits: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for seed in track(seeds, description="seeds", console=Console(stderr=True)):
        calibration, truth = recovered(seed, n_rigs=options.rigs, hours=options.hours)
        for name, true in truth.items():
            own = calibration.groups[0][name].interval
            found = own is not None
            hits.setdefault(name, []).append(own is not None and own.low <= true <= own.high)
            if own is not None and found:
                widths.setdefault(name, []).append(0.5 * (own.high - own.low) / true)
                errors.setdefault(name, []).append((own.value - true) / true)
    print("| parameter | identified | covered | half width, median | error, median | error, rms |")
    print("|---|---|---|---|---|---|")
    for name, own_hits in hits.items():
        error = np.array(errors[name])
        print(
            f"| `{name}` | {len(error)} of {len(own_hits)} | {sum(own_hits)} of {len(own_hits)} "
            f"({100 * np.mean(own_hits):.0f} %) | {100 * np.median(widths[name]):.2f} % "
            f"| {100 * np.median(error):+.2f} % | {100 * np.sqrt(np.mean(error**2)):.2f} % |"
        )
    together = np.mean([np.mean(one) for one in hits.values()])
    every = np.all(np.array(list(hits.values())), axis=0)
    print(f"\nAll intervals: {100 * together:.1f} % cover; all of a seed at once: {every.sum()}")
    print(f"Seeds with a miss: {[int(s) for s in np.array(list(seeds))[~every]]}")
    print(f"{options.seeds} seeds, {time.perf_counter() - began_s:.0f} s")


if __name__ == "__main__":
    main()
