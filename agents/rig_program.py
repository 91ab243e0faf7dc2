"""The rigs of a class as columns and rows of a linear program: the bound's and the planners'.

Intervals may differ in length, so that a plan can look far ahead coarsely; minimum times are kept
by the clock.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.agents.lasting_warmth import LastingWarmth
from gridhash.agents.linear_program import LinearProgram
from gridhash.agents.rig_class import RigClass
from gridhash.envs.columns import OUTDOOR, REVENUE, WET_BULB
from gridhash.envs.parameters import Floats, Ints
from gridhash.units import HOURS_PER_DAY

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Intervals:
    """T intervals one after the other."""

    begin: Ints
    """(T,) dispatch intervals from the first decision to the start of each."""
    hours: Floats
    """(T,) length of each."""

    def back(self, lock: int) -> Ints:
        """Return for each interval the last one that began `lock` dispatch intervals before, (T,).

        -1 where there is none.
        """
        return np.searchsorted(self.begin, self.begin - lock, side="right") - 1


def equal_intervals(n: int, hours: float) -> Intervals:
    """Return `n` dispatch intervals."""
    return Intervals(begin=np.arange(n), hours=np.full(n, hours))


@dataclass(frozen=True)
class RigStart:
    """Rigs of a class before the first decision, by age as in `gridhash.envs.state`."""

    up: Floats
    """(U,) running, by dispatch intervals since their start; the last bucket is all older ones."""
    down: Floats
    """(D,) stopped, likewise."""

    @property
    def running(self) -> float:
        """Rigs that run."""
        return float(self.up.sum())

    def held(self, lock: int, begin: Ints) -> Floats:
        """Return how many rigs that ran must still run at each decision, (T,)."""
        left = lock - np.arange(len(self.up))
        return np.asarray((self.up * (left > begin[:, None])).sum(axis=1))

    def startable(self, lock: int, begin: Ints) -> Floats:
        """Return how many rigs that stood may have started until each decision, (T,)."""
        left = lock - np.arange(len(self.down))
        return np.asarray((self.down * (left <= begin[:, None])).sum(axis=1))


@dataclass(frozen=True)
class RigColumns:
    """Columns of a class of rigs, (T,) each."""

    running: Ints
    starts: Ints
    heat: Ints
    """Power of the rigs [kW]."""
    cooling: Ints
    by_age: list[list[Ints]]
    """By intervals since the start, then by level: rigs."""

    def rig_kw(self, x: Floats, level_kw: Floats) -> Floats:
        """Return the power asked of the class, (T,) [kW], as setpoints name it.

        `x` are the columns' values. Rigs that boot count with the power that they are to take.
        """
        named = [kw * x[at] for own in self.by_age for kw, at in zip(level_kw, own, strict=True)]
        return np.asarray(np.sum(named, axis=0))

    def state_after(self, x: Floats, n: int, before: RigStart) -> RigStart:
        """Return the rigs by age after `n` dispatch intervals of a plan; `x` as in `rig_kw`."""
        up, down = before.up.copy(), before.down.copy()
        for t in range(n):
            starts = float(x[self.starts[t]])
            stops = max(up.sum() + starts - float(x[self.running[t]]), 0.0)
            _take_oldest(down, starts)
            _take_oldest(up, stops)
            up[0], down[0] = starts, stops
            for ages in (up, down):
                oldest = ages[-1] + ages[-2]
                ages[1:] = ages[:-1].copy()
                ages[0], ages[-1] = 0.0, oldest
        return RigStart(up=up, down=down)


def _take_oldest(ages: Floats, wanted: float) -> None:
    """Take rigs from buckets of age, the oldest first."""
    for age in range(len(ages) - 1, 0, -1):
        taken = min(ages[age], max(wanted, 0.0))
        ages[age] -= taken
        wanted -= taken


@dataclass(frozen=True)
class SiteRows:
    """Rows of the site that rigs add to, and what holds of its rigs; (T,) each."""

    balance: Ints
    """Site power."""
    contract: Ints | None
    """Rig power, where it can exceed what the contract leaves."""
    minimum_up_holds: Bools
    """Where nothing may stop a rig by force."""
    pays_to_burn: Bools
    """Where more power can earn money, so that cooling is limited from above."""
    coldest_c: Floats
    """No chip is colder."""
    lasting_warmth: LastingWarmth | None = None
    """Of rigs that have run for long; None where nothing is known of it."""


def add_rigs(
    program: LinearProgram,
    rigs: RigClass,
    intervals: Intervals,
    market: Floats,
    rows: SiteRows,
    start: RigStart | None = None,
) -> RigColumns:
    """Add the columns and rows of a class of rigs over T intervals to a program.

    `market` is (T, …) in the columns of `gridhash.envs.columns`. Without a `start` the state before
    is free.
    """
    n, n_rigs = len(market), rigs.n_rigs
    value = intervals.hours / HOURS_PER_DAY * market[:, REVENUE]
    running = program.add_columns(n, lower=0.0, upper=n_rigs)
    lost = rigs.lost_hash_h / HOURS_PER_DAY * float(rigs.level_phs[-1]) * market[:, REVENUE]
    starts = program.add_columns(n, lower=0.0, upper=n_rigs, gain=-rigs.start_cost - lost)
    plain = rigs.power_per_k == 0.0 and not rigs.fails
    heat = program.add_columns(
        n,
        lower=n_rigs * rigs.standby_kw if plain else 0.0,
        upper=n_rigs * rigs.most_heat_kw,
    )
    cooling = program.add_columns(
        n, lower=0.0, upper=n_rigs * (rigs.fan_kw[1] + rigs.pump_kw[1] + rigs.heater_kw)
    )
    total = program.add_rows(n, lower=0.0, upper=0.0)
    program.add_entries(total, running, -1.0)
    idle_kw = n_rigs * rigs.standby_kw
    heating = program.add_rows(n, lower=-idle_kw, upper=-idle_kw)
    program.add_entries(heating, heat, -1.0)
    extra, warmth = _add_warmth(program, rigs, heating)
    if rigs.fails:
        absent = program.add_columns(n, lower=0.0, upper=n_rigs)
        program.add_entries(heating, absent, -rigs.standby_kw)
        present = program.add_rows(n, upper=n_rigs)
        program.add_entries(present, running, 1.0)
        program.add_entries(present, absent, 1.0)

    cold_fracs = rigs.cold_fracs(rows.coldest_c)
    n_start = len(rigs.power_frac)
    by_age: list[list[Ints]] = []
    for age in range(n_start + 1):
        power_frac = rigs.power_frac[age] if age < n_start else 1.0
        hash_frac = rigs.hash_frac[age] if age < n_start else 1.0
        own = []
        for kw, phs in zip(rigs.level_kw, rigs.level_phs, strict=True):
            at_level = program.add_columns(
                n, lower=0.0, upper=n_rigs, gain=value * (hash_frac * phs)
            )
            program.add_entries(total, at_level, 1.0)
            cold_kw = kw * cold_fracs[age]
            program.add_entries(heating, at_level, power_frac * (cold_kw - rigs.standby_kw))
            if warmth is not None:
                most_kw = kw * rigs.hot_frac
                program.add_entries(warmth, at_level, power_frac * (cold_kw - most_kw))
            if rows.contract is not None:
                program.add_entries(rows.contract, at_level, kw)
            own.append(at_level)
        by_age.append(own)
    program.add_entries(rows.balance, heat, 1.0)
    program.add_entries(rows.balance, cooling, 1.0)
    if extra is not None and rows.lasting_warmth is not None:
        _add_lasting_warmth(program, rigs, rows.lasting_warmth, extra, starts, by_age[-1])
    columns = RigColumns(running=running, starts=starts, heat=heat, cooling=cooling, by_age=by_age)
    _add_starts(program, columns, start)
    if not rigs.fails:
        _add_minimum_down(program, rigs, columns, intervals, start)
        _add_minimum_up(program, rigs, columns, intervals, rows.minimum_up_holds, start)
    _add_cooling(program, rigs, columns, market, rows.pays_to_burn)
    return columns


def _add_warmth(
    program: LinearProgram, rigs: RigClass, heating: Ints
) -> tuple[Ints | None, Ints | None]:
    """Add what hot chips draw more than the coldest; return its columns and rows that limit it."""
    if rigs.power_per_k == 0.0:
        return None, None
    n = len(heating)
    extra = program.add_columns(n, lower=0.0, upper=rigs.n_rigs * rigs.most_heat_kw)
    program.add_entries(heating, extra, 1.0)
    warmth = program.add_rows(n, upper=0.0)
    program.add_entries(warmth, extra, 1.0)
    return extra, warmth


def _add_lasting_warmth(
    program: LinearProgram,
    rigs: RigClass,
    warmth: LastingWarmth,
    extra: Ints,
    starts: Ints,
    at_level: list[Ints],
) -> None:
    """Add that rigs that have run for long are warm; `at_level` are those past their start.

    Of these, the ones that started too lately may all have been at the top level. With u the power
    named of a rig, v what it was named above the lowest level p in the interval before, and q the
    top level, u v is at least p v and at least q v + (q - p) u - q (q - p) (McCormick, 1976): each
    is a row.
    """
    n_start, lasts, rise = len(rigs.power_frac), warmth.lasts, warmth.rise
    at = np.arange(lasts + n_start, len(extra))
    if not at.size:
        return
    slope = warmth.slope[at]
    low_kw, top_kw = float(rigs.level_kw[0]), float(rigs.level_kw[-1])
    lately = (at - n_start)[:, None] - np.arange(lasts)
    for now, was in ((0.0, low_kw), (top_kw - low_kw, top_kw))[: 1 if low_kw == top_kw else 2]:
        # Rigs of the interval before that are not among those that run for long have stopped or
        # have started lately.
        limit = warmth.offset[at] * (top_kw * rigs.n_rigs)
        warm = program.add_rows(at.size, lower=-limit)
        program.add_entries(warm, extra[at], 1.0)
        for kw, columns in zip(rigs.level_kw, at_level, strict=True):
            rests = rise * was * (top_kw - low_kw - now)
            program.add_entries(warm, columns[at], -(slope + rise * now) * kw - rests)
            program.add_entries(warm, columns[at - 1], -rise * was * (kw - top_kw))
        named = slope + rise * (now + was)
        program.add_entries(
            np.repeat(warm, lasts), starts[lately].ravel(), np.repeat(named * top_kw, lasts)
        )


def _add_starts(program: LinearProgram, columns: RigColumns, start: RigStart | None) -> None:
    """Add that rigs run only after a start, and pass through every age of it."""
    running, starts, by_age = columns.running, columns.starts, columns.by_age
    n = len(running)
    if len(by_age) > 1:
        equal = program.add_rows(n, lower=0.0, upper=0.0)
        program.add_entries(equal, starts, -1.0)
        for at_level in by_age[0]:
            program.add_entries(equal, at_level, 1.0)
    if len(by_age) <= 2:
        rise = program.add_rows(n - 1, upper=0.0)
        program.add_entries(rise, running[1:], 1.0)
        program.add_entries(rise, running[:-1], -1.0)
        program.add_entries(rise, starts[1:], -1.0)
        if start is not None:
            first = program.add_rows(1, upper=start.running)
            program.add_entries(first, running[:1], 1.0)
            program.add_entries(first, starts[:1], -1.0)
        return
    for age in range(1, len(by_age)):
        oldest = age == len(by_age) - 1
        grow = program.add_rows(n - 1, upper=0.0)
        for at_level in by_age[age]:
            program.add_entries(grow, at_level[1:], 1.0)
        sources = [*by_age[age - 1], *(by_age[age] if oldest else [])]
        for at_level in sources:
            program.add_entries(grow, at_level[:-1], -1.0)
        if start is not None:
            before = start.up[age:].sum() if oldest else start.up[age]
            first = program.add_rows(1, upper=float(before))
            for at_level in by_age[age]:
                program.add_entries(first, at_level[:1], 1.0)


def _add_minimum_down(
    program: LinearProgram,
    rigs: RigClass,
    columns: RigColumns,
    intervals: Intervals,
    start: RigStart | None,
) -> None:
    """Add minimum down time as in Rajan and Takriti (2005), IBM report RC23628.

    A rig that ran `lock` intervals ago has not started since, since it would have had to stop
    and wait. What happened before a free start is not known and not asked for.
    """
    lock = max(1, rigs.n_down_lock)
    back = intervals.back(lock)
    at = np.flatnonzero(back >= 0)
    if at.size:
        stopped = program.add_rows(at.size, upper=rigs.n_rigs)
        program.add_entries(stopped, columns.running[back[at]], 1.0)
        _add_ranges(program, stopped, columns.starts, back[at] + 1, at)
    early = np.flatnonzero(back < 0)
    if start is not None and early.size:
        upper = start.startable(rigs.n_down_lock, intervals.begin[early])
        waiting = program.add_rows(early.size, upper=upper)
        _add_ranges(program, waiting, columns.starts, np.zeros_like(early), early)


def _add_minimum_up(
    program: LinearProgram,
    rigs: RigClass,
    columns: RigColumns,
    intervals: Intervals,
    minimum_up_holds: Bools,
    start: RigStart | None,
) -> None:
    """Add that a rig that started within the last `lock` intervals still runs (same source)."""
    lock = rigs.n_up_lock
    # Nothing stopped a rig by force while it was bound to run.
    forced = np.concatenate([np.zeros(1), np.cumsum(~minimum_up_holds)])
    since = intervals.back(lock) + 1
    at = np.flatnonzero(forced[1:] == forced[since])
    if not at.size or lock <= 1:
        return
    held_before = np.zeros(at.size) if start is None else start.held(lock, intervals.begin[at])
    held = program.add_rows(at.size, upper=-held_before)
    program.add_entries(held, columns.running[at], -1.0)
    _add_ranges(program, held, columns.starts, since[at], at)


def _add_ranges(program: LinearProgram, rows: Ints, columns: Ints, first: Ints, last: Ints) -> None:
    """Add columns `first[k]` to `last[k]` to row k."""
    counts = last - first + 1
    which = np.repeat(np.arange(len(rows)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    program.add_entries(rows[which], columns[first[which] + offset], 1.0)


def _add_cooling(
    program: LinearProgram,
    rigs: RigClass,
    columns: RigColumns,
    market: Floats,
    pays_to_burn: Bools,
) -> None:
    """Bound fans and pumps from below, and from above where burning energy pays."""
    heat, cooling = columns.heat, columns.cooling
    n, n_rigs = len(heat), rigs.n_rigs
    sink_c, wetted = rigs.sink(market[:, OUTDOOR], market[:, WET_BULB])
    pump_slope = rigs.pump_kw[0] - rigs.pump_idle_kw
    for intercept, slope in rigs.fan_tangents(sink_c, wetted):
        low = program.add_rows(n, lower=n_rigs * (intercept + rigs.pump_idle_kw))
        program.add_entries(low, cooling, 1.0)
        program.add_entries(low, heat, -slope)
        program.add_entries(low, columns.running, -pump_slope)
    which = np.flatnonzero(pays_to_burn)
    if which.size:
        intercept, slope = rigs.fan_chord(sink_c[which], wetted[which])
        most_kw = intercept + (rigs.pump_kw[1] + rigs.heater_kw)
        high = program.add_rows(which.size, upper=n_rigs * most_kw)
        program.add_entries(high, cooling[which], 1.0)
        program.add_entries(high, heat[which], -slope)
