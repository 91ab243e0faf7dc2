import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.serving.authority import Authority, Order, settle

ORDERED = [Authority.STOP, Authority.LIMIT, Authority.OBLIGATION, Authority.HOLD]
MOST, MERIT = (100.0, 100.0), (0, 1)


def low(authority: Authority, group: int | None = None) -> Order:
    return Order(authority=authority, reason="low", group=group, at_most_kw=30.0)


def high(authority: Authority, group: int | None = None) -> Order:
    return Order(authority=authority, reason="high", group=group, at_least_kw=70.0)


def test_the_order_of_authority_is_the_one_that_is_written() -> None:
    assert [own.value for own in Authority] == [
        "lockout or stop",
        "plant or electrical limit",
        "obligation",
        "manual hold",
        "policy",
        "fallback rule",
    ]
    assert sorted(Authority, key=lambda own: own.rank) == list(Authority)


@pytest.mark.parametrize("group", [None, 0])
@pytest.mark.parametrize(("above", "below"), list(combinations(ORDERED, 2)))
def test_of_two_authorities_that_differ_the_higher_one_holds(
    above: Authority, below: Authority, group: int | None
) -> None:
    for orders in (
        [low(above, group), high(below, group)],
        [high(below, group), low(above, group)],
    ):
        settled = settle((50.0, 0.0), orders, MOST, MERIT)
        assert settled.power_kw == (30.0, 0.0)
        assert settled.by[0] is not None
        assert settled.by[0].authority is above
    for orders in (
        [high(above, group), low(below, group)],
        [low(below, group), high(above, group)],
    ):
        settled = settle((50.0, 0.0), orders, MOST, MERIT)
        assert settled.power_kw == (70.0, 0.0)
        assert settled.by[0] is not None
        assert settled.by[0].authority is above


@pytest.mark.parametrize("above", ORDERED)
@pytest.mark.parametrize("wish", [0.0, 50.0, 90.0])
def test_every_order_ranks_above_what_policy_or_fallback_rule_wish(
    above: Authority, wish: float
) -> None:
    assert settle((wish, 0.0), [low(above)], MOST, MERIT).power_kw[0] == min(wish, 30.0)
    assert settle((wish, 0.0), [high(above)], MOST, MERIT).power_kw[0] == max(wish, 70.0)


def test_a_lower_order_is_followed_as_far_as_the_higher_leaves_room() -> None:
    hold = Order(authority=Authority.HOLD, reason="hold", at_least_kw=120.0, at_most_kw=120.0)
    cap = Order(authority=Authority.OBLIGATION, reason="cap", at_most_kw=80.0)
    leak = Order(authority=Authority.LIMIT, reason="leak", group=0, at_most_kw=0.0)
    assert settle((5.0, 5.0), [hold], MOST, MERIT).power_kw == (100.0, 20.0)
    assert settle((5.0, 5.0), [hold, cap], MOST, MERIT).power_kw == (75.0, 5.0)
    assert settle((5.0, 5.0), [hold, cap, leak], MOST, MERIT).power_kw == (0.0, 80.0)
    settled = settle((5.0, 5.0), [hold, cap, leak], MOST, MERIT)
    assert [own and own.reason for own in settled.by] == ["leak", "hold"]


def test_of_two_obligations_the_tighter_ceiling_holds() -> None:
    loose = Order(authority=Authority.OBLIGATION, reason="a", at_most_kw=60.0)
    tight = Order(authority=Authority.OBLIGATION, reason="b", at_most_kw=20.0)
    raises = Order(authority=Authority.OBLIGATION, reason="c", at_least_kw=90.0)
    settled = settle((100.0, 100.0), [loose, raises, tight], MOST, MERIT)
    assert settled.power_kw == (20.0, 0.0)


def test_what_all_must_shed_is_taken_from_the_worst_group_and_added_to_the_best() -> None:
    cap = Order(authority=Authority.OBLIGATION, reason="cap", at_most_kw=120.0)
    floor = Order(authority=Authority.OBLIGATION, reason="floor", at_least_kw=120.0)
    assert settle((90.0, 80.0), [cap], MOST, (1, 0)).power_kw == (40.0, 80.0)
    assert settle((10.0, 10.0), [floor], MOST, (1, 0)).power_kw == (20.0, 100.0)


def test_without_orders_a_wish_stays_to_the_bit() -> None:
    wish = (0.1 + 0.2, 1e9)
    settled = settle(wish, [], MOST, MERIT)
    assert settled.power_kw == wish
    assert settled.by == (None, None)


@pytest.mark.parametrize(
    ("least", "most"), [(-1.0, 5.0), (5.0, 1.0), (math.nan, 5.0), (math.inf, math.inf)]
)
def test_what_bounds_nothing_is_no_order(least: float, most: float) -> None:
    with pytest.raises(ValueError, match="is no range"):
        Order(authority=Authority.HOLD, reason="x", at_least_kw=least, at_most_kw=most)


powers = st.floats(0.0, 200.0, allow_nan=False)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    least, most = sorted([draw(powers), draw(powers)])
    return Order(
        authority=draw(st.sampled_from(ORDERED)),
        reason="drawn",
        group=draw(st.sampled_from([None, 0, 1, 2])),
        at_least_kw=least,
        at_most_kw=draw(st.sampled_from([most, math.inf])),
    )


@given(st.lists(powers, min_size=3, max_size=3), st.lists(orders(), max_size=6))
def test_the_highest_order_always_holds_and_settling_twice_changes_nothing(
    wished: list[float], given_orders: list[Order]
) -> None:
    most = (100.0, 60.0, 40.0)
    settled = settle(wished, given_orders, most, (2, 0, 1))
    if not given_orders:
        return
    power = settled.power_kw
    assert all(-1e-9 <= own <= top + 1e-9 for own, top in zip(power, most, strict=True))
    first = min(given_orders, key=lambda own: (own.authority.rank, own.at_most_kw))
    room = sum(most) if first.group is None else most[first.group]
    got = sum(power) if first.group is None else power[first.group]
    assert min(first.at_least_kw, room) - 1e-6 <= got <= first.at_most_kw + 1e-6
    again = settle(power, given_orders, most, (2, 0, 1)).power_kw
    assert again == pytest.approx(power, abs=1e-6)
