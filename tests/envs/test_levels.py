"""Work levels as discrete actions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.config import SiteConfig
from gridhash.envs.levels import (
    decode_levels,
    flat_size,
    flat_to_levels,
    full_power_kw,
    level_counts,
    levels_to_flat,
)
from gridhash.envs.parameters import SiteParameters, compile_site
from gridhash.errors import ConfigError, PolicyError


def unequal(japan_levels: SiteConfig) -> SiteParameters:
    """Return a site whose groups have 6, 1, 3 and 6 levels: 7 x 2 x 4 x 7 = 392 combinations."""
    params = compile_site(japan_levels)
    level_kw = params.level_kw.copy()
    level_kw[1] = level_kw[1, -1]
    level_kw[2, 2:] = level_kw[2, -1]
    groups = params.groups.copy()
    groups.n_levels = [6, 1, 3, 6]
    return params._replace(level_kw=level_kw, groups=groups)


def test_flat_actions_are_all_combinations_of_levels_once(japan_levels: SiteConfig) -> None:
    params = unequal(japan_levels)
    numbers = np.arange(flat_size(params))
    levels = flat_to_levels(params, numbers)

    assert len(numbers) == 392
    assert levels.shape == (392, 4)
    assert len({tuple(row) for row in levels.tolist()}) == 392
    assert levels.min(0).tolist() == [0, 0, 0, 0]
    assert levels.max(0).tolist() == [6, 1, 3, 6]
    assert levels_to_flat(params, levels).tolist() == numbers.tolist()
    # By hand: ((5 x 2 + 1) x 4 + 2) x 7 + 3 = 325.
    assert levels_to_flat(params, [5, 1, 2, 3]) == 325
    assert flat_to_levels(params, 325).tolist() == [5, 1, 2, 3]


def test_numbering_levels_and_back_changes_nothing(japan_levels: SiteConfig) -> None:
    params = unequal(japan_levels)
    one = st.tuples(*(st.integers(0, int(n)) for n in params.n_levels))

    @settings(max_examples=50, deadline=None)
    @given(st.lists(one, min_size=1))
    def check(levels: list[tuple[int, ...]]) -> None:
        assert flat_to_levels(params, levels_to_flat(params, levels)).tolist() == [
            list(row) for row in levels
        ]

    check()


def test_a_level_or_number_out_of_range_is_refused(japan_levels: SiteConfig) -> None:
    params = unequal(japan_levels)

    with pytest.raises(PolicyError, match=r"level 2 of group 1 is outside 0 … 1"):
        levels_to_flat(params, [[0, 1, 0, 0], [0, 2, 0, 0]])
    for number in (-1, 392):
        with pytest.raises(PolicyError, match=rf"flat action {number} is outside 0 … 391"):
            flat_to_levels(params, [0, number])


def test_too_many_combinations_are_refused(japan_levels: SiteConfig) -> None:
    params = compile_site(japan_levels)
    params.groups.n_levels = 20

    with pytest.raises(ConfigError, match="21 x 21 x 21 x 21 levels have 194481 combinations"):
        flat_size(params)


def test_indexes_are_off_or_all_rigs_at_one_level_and_are_clipped(
    japan_levels: SiteConfig,
) -> None:
    """The levels of the preset are 0.5 to 1.0 in steps of 0.1; a group has one of its own."""
    params = compile_site(japan_levels)
    decoded_kw = decode_levels(params, [[0, 1, 2, 6], [-3, 7, 99, 5]])

    assert decoded_kw / full_power_kw(params) == pytest.approx(
        np.array([[0, 0.5, 0.6, 1.0], [0, 1, 1, 0.9]])
    )
    own = unequal(japan_levels)
    assert level_counts(own).tolist() == [7, 2, 4, 7]
    assert decode_levels(own, [6, 6, 6, 6]) == pytest.approx(full_power_kw(own))
