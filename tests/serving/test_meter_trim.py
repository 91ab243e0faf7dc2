"""The correction by the site's meter, its record, and the demand interval, as pure relations."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.serving.demand_window import DemandWindow
from gridhash.serving.meter_trim import HELD_S, MOST_TRIM, TrimInput, trim

START = datetime(2026, 1, 1, 0, 0, tzinfo=UTC)


def tick(before: float = 1.0, **given: object) -> TrimInput:
    fields: dict[str, object] = {
        "metered_kw": 4200.0,
        "since_good_s": 0.0,
        "reported_kw": 4000.0,
        "auxiliary_kw": 200.0,
        "modelled_kw": 4000.0,
        "settled": True,
        "full_kw": 4330.0,
    }
    return TrimInput(before=before, **{**fields, **given})  # type: ignore[arg-type]


def test_rigs_that_draw_what_they_should_need_no_correction() -> None:
    assert trim(tick()) == 1.0


def test_half_of_a_difference_is_made_good_at_once_a_small_one_slowly_and_at_most_a_tenth() -> None:
    assert trim(tick(metered_kw=4520.0)) == pytest.approx(1.04)
    assert trim(tick(metered_kw=4280.0)) == pytest.approx(1.003)
    assert trim(tick(metered_kw=5900.0)) == pytest.approx(1.10)
    assert trim(tick(metered_kw=2200.0)) == pytest.approx(0.90)


@pytest.mark.parametrize(
    "frozen",
    [
        {"metered_kw": None, "since_good_s": HELD_S},
        {"settled": False, "metered_kw": 5000.0},
        {"modelled_kw": 400.0, "metered_kw": 900.0},
    ],
)
def test_it_stands_still_without_a_good_meter_or_settled_rigs_or_load(
    frozen: dict[str, object],
) -> None:
    assert trim(tick(0.93, **frozen)) == 0.93


def test_after_a_lost_meter_the_rigs_own_word_holds() -> None:
    lost: dict[str, object] = {"metered_kw": None, "since_good_s": HELD_S + 1.0}
    assert trim(tick(0.9, **lost)) == pytest.approx(0.95)
    assert trim(tick(1.0, **lost, reported_kw=4400.0)) == pytest.approx(1.05)


def test_what_no_rig_can_deliver_winds_nothing_up() -> None:
    factor = 1.0
    for _ in range(100):
        factor = trim(tick(factor, metered_kw=60_000.0))
    assert factor == pytest.approx(MOST_TRIM, rel=0.01)
    for _ in range(12):
        factor = trim(tick(factor))
    assert factor == pytest.approx(1.0, abs=0.02)


@given(
    before=st.floats(0.75, 1.35),
    metered_kw=st.none() | st.floats(-1e4, 1e5),
    modelled_kw=st.floats(0.0, 1e4),
    settled=st.booleans(),
    since_good_s=st.floats(0.0, 1e5),
)
def test_no_tick_moves_it_by_more_than_a_tenth_and_its_text_gives_the_same_bits(
    before: float,
    metered_kw: float | None,
    modelled_kw: float,
    settled: bool,
    since_good_s: float,
) -> None:
    own = tick(
        before,
        metered_kw=metered_kw,
        modelled_kw=modelled_kw,
        settled=settled,
        since_good_s=since_good_s,
    )
    after = trim(own)
    if metered_kw is not None:
        assert abs(after - before) <= 0.1 * before + 1e-12
    assert trim(TrimInput.from_text(own.to_text())) == after


def test_a_meters_noise_moves_the_correction_by_less_than_itself() -> None:
    luck, factor = random.Random(7), 1.0
    found = []
    for _ in range(500):
        factor = trim(tick(factor, metered_kw=4200.0 * (1.0 + luck.gauss(0.0, 0.01))))
        found.append(factor)
    assert abs(sum(found) / len(found) - 1.0) < 0.002
    assert max(abs(own - 1.0) for own in found) < 0.02


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_what_was_drawn_above_the_cap_is_taken_back_in_the_rest_of_the_interval() -> None:
    window = DemandWindow(4000.0, 1800.0)
    window.take(4300.0, at(0.0))
    window.take(4300.0, at(10.0))
    assert window.mean_kw(at(10.0)) == pytest.approx(4300.0)
    assert window.limit_kw(at(10.0)) == pytest.approx(3850.0)
    window.take(3850.0, at(10.0))
    window.take(3850.0, at(30.0) - timedelta(microseconds=1))
    assert window.mean_kw(at(30.0)) == pytest.approx(4000.0)


def test_what_was_not_drawn_is_not_made_up_for() -> None:
    window = DemandWindow(4000.0, 1800.0)
    window.take(1000.0, at(0.0))
    window.take(1000.0, at(20.0))
    assert window.limit_kw(at(20.0)) == 4000.0


def test_what_is_unknown_of_an_interval_counts_at_the_cap() -> None:
    window = DemandWindow(4000.0, 1800.0)
    window.take(1000.0, at(15.0))
    assert window.mean_kw(at(15.0)) == pytest.approx(4000.0)
    assert window.limit_kw(at(15.0)) == pytest.approx(4000.0)


def test_a_new_interval_begins_with_nothing_owed() -> None:
    window = DemandWindow(4000.0, 1800.0)
    window.take(6000.0, at(0.0))
    window.take(6000.0, at(29.9))
    assert window.limit_kw(at(29.9)) == 0.0
    window.take(3000.0, at(30.1))
    assert window.limit_kw(at(30.1)) == pytest.approx(4000.0, rel=0.01)
    assert window.ends_at(at(30.1)) == at(60.0)


@given(st.lists(st.floats(0.0, 9000.0), min_size=1, max_size=60))
def test_who_keeps_to_the_limit_keeps_the_mean(wishes_kw: list[float]) -> None:
    window, cap_kw, power_kw = DemandWindow(4000.0, 1800.0), 4000.0, 0.0
    for k in range(360):
        now = at(k / 12.0)
        power_kw = min(wishes_kw[k % len(wishes_kw)], window.limit_kw(now))
        window.take(power_kw, now)
    assert window.mean_kw(at(29.99)) <= cap_kw + 1e-6
