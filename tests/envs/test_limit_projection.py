"""The projection onto the feasible set and the masks of levels, over drawn states of a site."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridhash.config import SiteConfig
from gridhash.envs.levels import decode_levels, full_power_kw
from gridhash.envs.limits import feasible_ranges, level_masks, limit_setpoint
from gridhash.envs.parameters import SiteParameters, compile_site
from gridhash.envs.state import FleetState, empty_state, summarise_sites

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

N_GROUPS = 4
SAME_KW = 1e-6
NO_LIMIT_KW = 1e9

share = st.floats(0.0, 1.0)
count = st.one_of(st.just(0.0), st.just(1.0), share)
ramp_kw = st.one_of(st.just(NO_LIMIT_KW), st.floats(1.0, 4000.0))
cap_share = st.one_of(st.just(10.0), st.floats(0.0, 1.2))


@dataclass
class Drawn:
    """One site in some state, under some limits, and what is wanted of it."""

    state: FleetState
    params: SiteParameters
    rig_cap_kw: float
    wanted_kw: Floats

    @property
    def ranges_kw(self) -> Floats:
        """(G, 2)"""
        ranges_kw: Floats = feasible_ranges(self.state, self.params, np.array([0]))[0]
        return ranges_kw

    def project(self, wanted_kw: Floats) -> Floats:
        out = np.full(N_GROUPS, np.nan)
        limit_setpoint(self.state, self.params, 0, self.rig_cap_kw, wanted_kw, out)
        return out

    def mask(self) -> list[Bools]:
        """Return the mask of each group."""
        flat = level_masks(self.state, self.params, self.rig_cap_kw)[0]
        return np.split(flat, np.cumsum(self.params.n_levels + 1)[:-1])


@pytest.fixture(scope="module")
def base(japan_levels: SiteConfig) -> SiteParameters:
    """Return a site whose groups have 6, 1, 3 and 6 levels."""
    params = compile_site(japan_levels)
    level_kw = params.level_kw.copy()
    level_kw[1] = level_kw[1, -1]
    level_kw[2, 2:] = level_kw[2, -1]
    groups = params.groups.copy()
    groups.n_levels = [6, 1, 3, 6]
    return params._replace(level_kw=level_kw, groups=groups)


@st.composite
def sites(draw: st.DrawFn, base: SiteParameters) -> Drawn:
    """Draw rigs by age, temperatures, trips, the last setpoint, limits and what is wanted."""
    params = base._replace(
        ramp_up_kw=draw(ramp_kw),
        ramp_down_kw=draw(ramp_kw),
        merit_order=np.array(draw(st.permutations(range(N_GROUPS))), dtype=np.int64),
    )
    full_kw = full_power_kw(params)
    state = empty_state(params, 1)
    state.down[:] = 0.0
    for g in range(N_GROUPS):
        counts = np.array([draw(count) for _ in range(3)] + [draw(count) + 1e-3])
        counts *= params.n_rigs[g] / counts.sum()
        state.up[0, g, [0, -1]] = counts[:2]
        state.down[0, g, [0, -1]] = counts[2:]
        state.up_temp_c[0, g] = draw(st.sampled_from([60.0, 60.0, 60.0, 76.0, 79.9, 85.0]))
        state.tripped[0, g] = draw(st.sampled_from([0.0, 0.0, 0.0, 1.0]))
        state.setpoint_kw[0, g] = draw(count) * full_kw[g]
    summarise_sites(state, params, np.array([0]))
    wanted_kw = np.array([draw(st.one_of(count, st.floats(-0.2, 1.2))) for _ in full_kw]) * full_kw
    if draw(st.integers(0, 2)) == 0:  # what rigs can do, so that much of it is feasible
        low_kw, high_kw = feasible_ranges(state, params, np.array([0]))[0].T
        wanted_kw = np.clip(wanted_kw, low_kw, high_kw)
    rig_cap_kw = draw(cap_share) * float(full_kw.sum())
    if draw(st.integers(0, 3)) == 0:
        rig_cap_kw = draw(share) * float(
            feasible_ranges(state, params, np.array([0]))[..., 0].sum()
        )
    return Drawn(state, params, rig_cap_kw, wanted_kw)


def is_feasible(drawn: Drawn, setpoint_kw: Floats, tolerance_kw: float) -> bool:
    """Check the three conditions of the module one by one, where minimum up times can be kept."""
    low_kw, high_kw = drawn.ranges_kw.T
    last_kw = drawn.state.setpoint_kw[0]
    params, total_kw = drawn.params, sum(setpoint_kw.tolist())
    if sum(low_kw.tolist()) > drawn.rig_cap_kw:
        return bool(
            (setpoint_kw >= 0.0).all()
            and (setpoint_kw <= low_kw + tolerance_kw).all()
            and abs(total_kw - drawn.rig_cap_kw) <= tolerance_kw
        )
    rise_kw = max(sum(last_kw.tolist()) + params.ramp_up_kw, sum(low_kw.tolist()))
    floor_kw = min(sum(last_kw.tolist()) - params.ramp_down_kw, drawn.rig_cap_kw)
    return bool(
        (setpoint_kw >= low_kw - tolerance_kw).all()
        and (setpoint_kw <= high_kw + tolerance_kw).all()
        and total_kw <= min(drawn.rig_cap_kw, rise_kw) + tolerance_kw
        and (
            total_kw >= floor_kw - tolerance_kw
            or (setpoint_kw >= np.minimum(last_kw, high_kw) - tolerance_kw).all()
        )
    )


def least_sum(
    weights: list[Floats], rows: list[tuple[Floats, float]], bounds: list[tuple[float, float]]
) -> float:
    """Return the least weighted sum under ``row @ x <= limit`` for every row; inf if none is."""
    solved = linprog(
        np.concatenate(weights),
        A_ub=np.array([row for row, _ in rows]),
        b_ub=np.array([limit for _, limit in rows]),
        bounds=bounds,
        method="highs",
    )
    return float(solved.fun) if solved.status == 0 else np.inf


def least_distance_kw(drawn: Drawn) -> float:
    """Return the least 1-norm by linear programs, limit after limit in the order of authority.

    Unknowns: setpoint s, distance d from what is wanted, v below the minimum up times, r over the
    upward ramp. The least v is found first, then the least r at that v, then the least d.
    """
    low_kw, high_kw = drawn.ranges_kw.T
    last_kw = drawn.state.setpoint_kw[0]
    n, eye, ones, none = N_GROUPS, np.eye(N_GROUPS), np.ones(N_GROUPS), np.zeros(N_GROUPS)
    bounds = [(0.0, float(high)) for high in high_kw] + [(0.0, 1e6)] * (2 * n + 1)

    def row(s: Floats, d: Floats, v: Floats, r: float = 0.0) -> Floats:
        return np.concatenate([s, d, v, [r]])

    rows = [(row(ones, none, none), drawn.rig_cap_kw)]
    ramped_kw = float(last_kw.sum()) + drawn.params.ramp_up_kw
    rows.append((row(ones, none, none, -1.0), ramped_kw))
    for g in range(n):
        rows.append((row(eye[g], -eye[g], none), float(drawn.wanted_kw[g])))
        rows.append((row(-eye[g], -eye[g], none), -float(drawn.wanted_kw[g])))
        rows.append((row(-eye[g], none, -eye[g]), -float(low_kw[g])))
    broken_kw = least_sum([none, none, ones, np.zeros(1)], rows, bounds)
    rows.append((row(none, none, ones), broken_kw + 1e-9))
    over_kw = least_sum([none, none, none, np.ones(1)], rows, bounds)
    rows.append((row(none, none, none, 1.0), over_kw + 1e-9))
    floor_kw = min(float(last_kw.sum()) - drawn.params.ramp_down_kw, drawn.rig_cap_kw)
    distance = [none, ones, none, np.zeros(1)]
    ramp_is_kept = [*rows, (row(-ones, none, none), -floor_kw)]
    held = [(row(-eye[g], none, none), -float(min(last_kw[g], high_kw[g]))) for g in range(n)]
    return min(
        least_sum(distance, ramp_is_kept, bounds), least_sum(distance, [*rows, *held], bounds)
    )


def test_the_projection_is_feasible_idempotent_and_leaves_what_is_feasible(
    base: SiteParameters,
) -> None:
    kinds = {"feasible": 0, "changed": 0}

    @settings(max_examples=600, deadline=None, derandomize=True)
    @given(sites(base))
    def check(drawn: Drawn) -> None:
        setpoint_kw = drawn.project(drawn.wanted_kw)

        assert is_feasible(drawn, setpoint_kw, 1e-8)
        np.testing.assert_allclose(drawn.project(setpoint_kw), setpoint_kw, rtol=0.0, atol=1e-9)
        if is_feasible(drawn, drawn.wanted_kw, 0.0):
            kinds["feasible"] += 1
            assert setpoint_kw.tolist() == drawn.wanted_kw.tolist()
        else:
            kinds["changed"] += 1

    check()
    assert min(kinds.values()) > 20, kinds


def test_no_feasible_setpoint_is_nearer_in_the_1_norm(base: SiteParameters) -> None:
    @settings(max_examples=120, deadline=None, derandomize=True)
    @given(sites(base))
    def check(drawn: Drawn) -> None:
        distance_kw = np.abs(drawn.project(drawn.wanted_kw) - drawn.wanted_kw).sum()

        assert distance_kw == pytest.approx(least_distance_kw(drawn), abs=SAME_KW)

    check()


def test_power_is_taken_from_the_worst_first_and_held_in_the_best(base: SiteParameters) -> None:
    """No swap of power between two groups that keeps the distance would help the better one."""

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(sites(base))
    def check(drawn: Drawn) -> None:
        low_kw, high_kw = drawn.ranges_kw.T
        if sum(low_kw.tolist()) > drawn.rig_cap_kw:
            return
        clipped_kw = np.clip(drawn.wanted_kw, low_kw, high_kw)
        change_kw = drawn.project(drawn.wanted_kw) - clipped_kw
        held_kw = np.maximum(np.minimum(drawn.state.setpoint_kw[0], high_kw), clipped_kw)
        order = drawn.params.merit_order
        for better, worse in pairwise(order):
            if change_kw[better] < -1e-9:
                assert clipped_kw[worse] + change_kw[worse] == pytest.approx(low_kw[worse])
            if change_kw[worse] > 1e-9:
                assert clipped_kw[better] + change_kw[better] == pytest.approx(held_kw[better])

    check()


def test_a_masked_level_has_the_outcome_of_an_allowed_one(base: SiteParameters) -> None:
    """So a mask takes nothing away; and a level in the range is kept if the site allows it."""
    seen = {"masked": 0, "kept": 0, "end between levels": 0}

    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(sites(base), st.lists(share, min_size=N_GROUPS, max_size=N_GROUPS))
    def check(drawn: Drawn, said: list[float]) -> None:
        params = drawn.params
        masks, ranges_kw = drawn.mask(), drawn.ranges_kw
        levels = np.array([round(x * n) for x, n in zip(said, params.n_levels, strict=True)])
        for g, mask in enumerate(masks):
            assert mask.shape == (params.n_levels[g] + 1,)
            assert mask.any()
            assert mask[mask.argmax() : len(mask) - mask[::-1].argmax()].all(), "one piece"
            if not mask[levels[g]]:
                seen["masked"] += 1
                allowed = np.flatnonzero(mask)
                other = levels.copy()
                other[g] = allowed[np.abs(allowed - levels[g]).argmin()]
                np.testing.assert_allclose(
                    drawn.project(decode_levels(params, levels)),
                    drawn.project(decode_levels(params, other)),
                    rtol=0.0,
                    atol=2 * SAME_KW,
                )
        free = drawn.params._replace(ramp_up_kw=NO_LIMIT_KW, ramp_down_kw=NO_LIMIT_KW)
        unbound = Drawn(drawn.state, free, NO_LIMIT_KW, drawn.wanted_kw)
        asked_kw = decode_levels(params, levels)
        kept_kw = unbound.project(asked_kw)
        for g, mask in enumerate(unbound.mask()):
            low_kw, high_kw = ranges_kw[g]
            if mask[levels[g]] and low_kw - SAME_KW <= asked_kw[g] <= high_kw + SAME_KW:
                seen["kept"] += 1
                assert kept_kw[g] == pytest.approx(asked_kw[g], abs=2 * SAME_KW)
            elif mask[levels[g]]:
                seen["end between levels"] += 1
                end_kw = low_kw if asked_kw[g] < low_kw else high_kw
                assert kept_kw[g] == pytest.approx(end_kw)
                powers = decode_levels(params, np.arange(7)[:, None] * np.ones(4, int))[:, g]
                assert np.abs(powers - end_kw).min() > SAME_KW

    check()
    assert min(seen.values()) > 20, seen


def mask_of(drawn: Drawn, g: int) -> list[int]:
    """Return the allowed indexes of a group."""
    return np.flatnonzero(drawn.mask()[g]).tolist()


@pytest.fixture
def full(base: SiteParameters) -> Drawn:
    """Return the site with all rigs long running at full power; group 0 has 135 rigs."""
    state = empty_state(base, 1)
    state.up[:, :, -1], state.down[:] = base.n_rigs, 0.0
    state.up_temp_c[:] = 60.0
    state.setpoint_kw[0] = full_power_kw(base)
    summarise_sites(state, base, np.array([0]))
    return Drawn(state, base, NO_LIMIT_KW, np.zeros(N_GROUPS))


def test_masks_by_hand(full: Drawn) -> None:
    """Levels of group 0: 0.5, 0.6, 0.7, 0.8, 0.9 and 1.0 of 135 x 8.064 kW."""
    assert [mask_of(full, g) for g in range(4)] == [[*range(7)], [0, 1], [*range(4)], [*range(7)]]
    full.state.up_temp_c[0, 0] = 77.5  # three quarters: between the third and the fourth level
    full.state.up_temp_c[0, 1] = 75.1  # 99 %: on means 99 %, not only off
    full.state.tripped[0, 3] = 1.0
    summarise_sites(full.state, full.params, np.array([0]))
    assert [mask_of(full, g) for g in range(4)] == [[0, 1, 2, 3, 4], [0, 1], [*range(4)], [0]]
    full.state.up_temp_c[:] = 60.0
    full.state.tripped[:] = 0.0
    full.state.up[0, 0, 0], full.state.up[0, 0, -1] = 135.0, 0.0  # just started
    full.state.up[0, 1, 0], full.state.up[0, 1, -1] = 40.0, 94.0  # off stops the others
    summarise_sites(full.state, full.params, np.array([0]))
    assert [mask_of(full, g) for g in range(2)] == [[1, 2, 3, 4, 5, 6], [0, 1]]
    # Started rigs draw 135 x 4.032 + 40 x 8.064 kW at least: beside those of group 1 the cap leaves
    # group 0 877.44 kW, 0.806 of full power.
    full.rig_cap_kw = 1200.0
    assert [mask_of(full, g) for g in range(2)] == [[1, 2, 3, 4, 5], [0, 1]]
    # Below 866.88 kW not all may go on running: 500 kW is less than the least level of group 0.
    full.rig_cap_kw = 500.0
    assert [mask_of(full, g) for g in range(4)] == [[0, 1], [0, 1], [0], [0]]


def test_masks_of_many_sites_take_one_cap_or_one_each(base: SiteParameters) -> None:
    state = empty_state(base, 3)
    masks = level_masks(state, base, np.array([0.0, 600.0, NO_LIMIT_KW]))

    assert masks.shape == (3, 7 + 2 + 4 + 7)
    assert masks.dtype == np.bool_
    assert masks.sum(1).tolist() == [4, 3 + 2 + 3 + 3, 20]
    assert (level_masks(state, base, 600.0) == masks[1]).all()
