"""The picture of a day of a scenario, played by the simple rule that earns most around it."""

from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

import pandas as pd

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.roster import build_policy, policy_names
from gridhash.agents.stochastic_dp import StochasticDP
from gridhash.envs.lively_day import lively_day, rows_of_day
from gridhash.envs.render_day import draw_day
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.training.play import PolicyRun, play

SUFFIXES = (".png", ".svg", ".pdf")
DAYS_BEFORE = 27
"""Days that are played before the one that is drawn; all of them decide which rule is best."""


@dataclass(frozen=True, kw_only=True)
class PlayedDay:
    """A day, and the rule that earned most over it and the days before."""

    day: date
    run: PolicyRun
    """Of the day alone."""
    n_rules: int
    """Rules that were compared."""
    n_days: int
    """Days over which they were, the last of which is drawn."""


def check_picture_file(path: Path) -> Path:
    """Return a path to which a picture can be written.

    Raises
    ------
    ConfigError
        If the suffix is none of `SUFFIXES`, the folder is missing, or the path is a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{path}: the suffix {path.suffix!r} says no picture format; use one of "
            f"{', '.join(SUFFIXES)}"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file")
    return path


def play_day(scenario: Scenario, day: date | None = None) -> PlayedDay:
    """Play every simple rule to the end of a day and return that day of the best.

    Rules are those of `policy_names` that solve nothing, with their default parameters; the day
    is the liveliest where None.

    Raises
    ------
    DataError
        If the day cannot be played whole.
    """
    chosen = lively_day(scenario, days_before=DAYS_BEFORE) if day is None else day
    row, end = rows_of_day(scenario, chosen)
    before = max(row - DAYS_BEFORE * scenario.slots_per_day, scenario.first_row)
    solve = (DayAheadDP.name, StochasticDP.name)
    names = [name for name in policy_names(scenario.site) if name not in solve]
    runs = [play(scenario, build_policy(name, scenario.site), (before, end)) for name in names]
    best = max(runs, key=lambda run: run.profit)
    start = pd.Timestamp(scenario.trace.starts[row])
    return PlayedDay(
        day=chosen,
        run=PolicyRun(name=best.name, frame=best.frame[best.frame.index >= start]),
        n_rules=len(runs),
        n_days=-(-(end - before) // scenario.slots_per_day),
    )


def write_day_picture(scenario: Scenario, played: PlayedDay, path: Path, *, title: str) -> None:
    """Draw a day and write it to `path`, in the format that its suffix says.

    Raises
    ------
    ConfigError
        If the path cannot be written to, see `check_picture_file`.
    """
    check_picture_file(path)
    rule = played.run.name.replace("_", " ")
    figure = draw_day(
        scenario,
        played.run.frame,
        title=f"{title} · {rule}",
        ahead_h=0.0,
        note=f"the rule that earned most, of {played.n_rules} with default parameters, in the "
        f"{played.n_days} days to this one",
    )
    buffer = BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower())
    figure.clear()
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as err:
        raise ConfigError(f"{path}: cannot be written: {err.strerror}") from err
