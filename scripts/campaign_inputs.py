"""Ask the door of a site a million times, with prices, telemetry and signals, bad and good mixed.

What is bad is known from how it was made. Counted are the bad ones that pass, the good ones that
are refused, and errors that get out. What lies behind the door is not asked: a refused input is
None there.

    python scripts/campaign_inputs.py
"""

import argparse
import json
import math
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gridhash.serving.snapshot import RigReading
from gridhash.serving.validation import (
    Sample,
    SignalDoor,
    SignalLimits,
    check_reading,
    price_limits,
)

CELL = Path(__file__).resolve().parent.parent / "docs/results/campaign/inputs-seed0.json"
START = datetime(2024, 4, 2, tzinfo=UTC)
STEP = timedelta(seconds=5)
TOP_KW = 8.0
NOT_NUMBERS = (math.nan, math.inf, -math.inf, "12", None, True, 1e9, -1e9)
LIMITS = {
    "price": price_limits("JPY", max_age_s=7200.0),
    "demand": SignalLimits(low=0.0, high=2e8, max_age_s=600.0, usual=1e7),
}
USUAL = {"price": (-5.0, 200.0), "demand": (5e6, 2e7)}


def sample_of(
    luck: random.Random, now: datetime, last: dict[str, datetime | None]
) -> tuple[Sample, bool]:
    """Return a sample, and whether it is good."""
    name = luck.choice(tuple(LIMITS))
    good = Sample(name=name, value=luck.uniform(*USUAL[name]), at=now)
    kind = luck.choice(("good", "good", "value", "stale", "to come", "zone", "again", "unit"))
    if kind == "good":
        return good, True
    changed: dict[str, object] = {
        "value": {"value": luck.choice(NOT_NUMBERS)},
        "stale": {"at": now - timedelta(seconds=luck.uniform(7201.0, 1e6))},
        "to come": {"at": now + timedelta(seconds=luck.uniform(301.0, 1e6))},
        "zone": {"at": now.replace(tzinfo=None)},
        "again": {"at": last[name] or now - timedelta(days=1)},
        "unit": {"name": "demand", "value": luck.uniform(*USUAL["demand"]) * 1e3},
    }[kind]  # type: ignore[assignment]
    return Sample(**{"name": name, "value": good.value, "at": now, **changed}), False  # type: ignore[arg-type]


def reading_of(luck: random.Random, now: datetime) -> tuple[RigReading | None, bool]:
    """Return a rig's reading, None if the record refuses it, and whether its power is good."""
    good = luck.random() < 0.5
    power_w = luck.uniform(0.0, TOP_KW * 1e3)
    if not good:
        power_w = luck.choice((math.nan, math.inf, -math.inf, -1.0, 1e9, power_w + 1.5e3 * TOP_KW))
    try:
        reading = RigReading(rig_id="a-001", read_at=now, power_w=power_w, uptime_s=now.timestamp())
    except ValueError:
        return None, good
    return reading, good


def ask(n_inputs: int, seed: int) -> dict[str, int]:
    """Return how many inputs of either kind there were, and what became of them."""
    luck, door = random.Random(seed), SignalDoor(LIMITS)
    count = dict.fromkeys(("good", "good_refused", "bad", "bad_passed", "errors"), 0)
    now = START
    for k in range(n_inputs):
        now += STEP
        try:
            if k % 2:
                taken = {name: door.last(name) for name in LIMITS}
                last = {name: own.at if own else None for name, own in taken.items()}
                sample, good = sample_of(luck, now, last)
                passed = door.check(sample, now) is None
            else:
                reading, good = reading_of(luck, now)
                taken_in = reading and check_reading(reading, None, TOP_KW)
                passed = taken_in is not None and taken_in.power_w is not None
        except (ArithmeticError, TypeError, ValueError):
            count["errors"] += 1
            continue
        kind = "good" if good else "bad"
        count[kind] += 1
        count["good_refused"] += good and not passed
        count["bad_passed"] += passed and not good
    return count


def main() -> int:
    """Ask, write the figures and tell them."""
    parser = argparse.ArgumentParser(description="Ask the door of a site.")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = ask(options.inputs, options.seed)
    CELL.write_text(json.dumps({"seed": options.seed, **found}, indent=1) + "\n", "utf-8")
    print(found)
    return 0 if found["bad_passed"] == found["errors"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
