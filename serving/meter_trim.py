"""How many metered kilowatts a modelled one is: the correction by the site's meter.

Setpoints are rig power; rigs are counted at the power of their level. While nothing moves, what
the meter shows less the cooling plant, over what the rigs that run should draw, is that ratio. A
setpoint is divided by it. It follows the meter by at most `MOST_STEP` per tick and stands still
while the meter is not to be trusted, while rigs start or stop, and while hardly any runs; what
keeps a setpoint from being reached does not enter it, so nothing winds up. When the meter is lost
for longer, the rigs' own word with a margin stands in for it.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

MOST_STEP = 0.10
"""Of itself, per tick."""
GAIN, SMALL_GAIN, SMALL = 0.5, 0.15, 0.03
"""Share of a difference that is made good at once, and of one so small that it may be noise."""
LEAST_TRIM, MOST_TRIM = 0.75, 1.35
DEADBAND = 0.004
"""Of the ratio: less is left as it is, so that noise moves no rig."""
LEAST_LOAD_FRAC = 0.10
"""Of the site's rig power that must run, or cooling would be mistaken for rigs."""
HELD_S = 600.0
"""Time after the last good reading for which the ratio is kept; the rigs' word holds after it."""


@dataclass(frozen=True, kw_only=True)
class TrimInput:
    """Everything that the ratio of one tick follows from."""

    before: float
    """The ratio of the tick before."""
    metered_kw: float | None
    """Site power; None unless the meter is good."""
    since_good_s: float
    reported_kw: float
    """What the rigs that run report, with a margin."""
    auxiliary_kw: float
    """Of the site power, what is not drawn by rigs that run."""
    modelled_kw: float
    settled: bool
    full_kw: float
    """All rigs at their highest level."""

    def to_text(self) -> str:
        """Return it as JSON in which every float is exact."""
        values = {
            name: value.hex() if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return what `to_text` wrote."""
        raw: dict[str, Any] = json.loads(text)
        for name, value in raw.items():
            if isinstance(value, str):
                raw[name] = float.fromhex(value)
        return cls(**raw)


def trim(given: TrimInput) -> float:
    """Return metered kW per modelled kW; pure, so that a replay gives the same bits."""
    if given.metered_kw is not None:
        rigs_kw = given.metered_kw - given.auxiliary_kw
    elif given.since_good_s > HELD_S:
        rigs_kw = given.reported_kw
    else:
        return given.before
    if not given.settled or given.modelled_kw < LEAST_LOAD_FRAC * given.full_kw:
        return given.before
    found = rigs_kw / given.modelled_kw
    found = min(max(found, LEAST_TRIM), MOST_TRIM)
    off = found - given.before
    if abs(off) <= DEADBAND:
        return given.before
    step, most = (SMALL_GAIN if abs(off) < SMALL else GAIN) * off, MOST_STEP * given.before
    return given.before + min(max(step, -most), most)
