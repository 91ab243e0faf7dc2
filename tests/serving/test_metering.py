"""The loop over the site's meter, around a controller of eight rigs in memory."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pandas as pd
import pytest

from gridhash.serving.findings import Alarm
from gridhash.serving.metering import LEARNT_MARGIN, UNLEARNT_MARGIN, MeterLink
from gridhash.serving.modbus_config import MeterBlock
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.replay import replay
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_meter import MeterReading, MeterUnreachable
from tests.serving.bench import RIG_KW, STANDBY_W, START, Bench, Build, Schedule

COOLING_KW = 10.0
BLOCK = {"host": "127.0.0.1", "power": {"address": 0, "type": "float32"}}


@dataclass
class MemoryMeter:
    """Sees what the rigs of a bench truly draw: `true_factor` times what they report."""

    bench: Bench | None = None
    true_factor: float = 1.0
    other_kw: float = 0.0
    silent: bool = False
    frozen: MeterReading | None = None
    seen_kw: list[float] = field(default_factory=list)

    async def read(self) -> MeterReading:
        await asyncio.sleep(0)
        assert self.bench is not None
        if self.silent:
            raise MeterUnreachable("127.0.0.1:502: no answer")
        if self.frozen is not None:
            return self.frozen
        reading = MeterReading(
            read_at=self.bench.clock.now(), power_kw=self.true_kw(), cooling_kw=COOLING_KW
        )
        self.seen_kw.append(reading.power_kw)
        return reading

    def true_kw(self) -> float:
        assert self.bench is not None
        rigs_kw = sum(
            RIG_KW * rig.power_factor * self.true_factor if rig.running else STANDBY_W / 1000.0
            for rig in self.bench.rigs.values()
        )
        return rigs_kw + COOLING_KW + self.other_kw

    def freeze(self) -> None:
        assert self.bench is not None
        self.frozen = MeterReading(read_at=self.bench.clock.now(), power_kw=self.true_kw())


@pytest.fixture
def meter() -> MemoryMeter:
    return MemoryMeter()


def with_meter(
    bench_of: Build,
    meter: MemoryMeter,
    *shares: tuple[float, float | tuple[float, float]],
    **block: object,
) -> Bench:
    own = MeterBlock.model_validate({**BLOCK, **block})
    bench: Bench = bench_of(*shares, links=SiteLinks(meter=MeterLink(meter=meter, block=own)))
    meter.bench = bench
    return bench


def order(from_h: float, site_kw: float) -> SiteOrder:
    return SiteOrder(
        order_id="DR-1",
        revision=0,
        issued_at=START,
        start=START + timedelta(hours=from_h),
        end=START + timedelta(hours=9.0),
        at_most_kw=site_kw,
        at_least_kw=site_kw,
    )


@pytest.mark.parametrize(("true_factor", "n_running"), [(1.2, 4), (1.0, 5), (0.84, 5)])
def test_an_order_at_the_meter_takes_fewer_rigs_where_each_draws_more(
    bench_of: Build, meter: MemoryMeter, true_factor: float, n_running: int
) -> None:
    # Where each draws less, no cap is stretched on the meter's word: a fifth rig, no sixth.
    meter.true_factor = true_factor
    bench = with_meter(bench_of, meter, (0.0, 1.0))
    bench.controller.standing.obligations.take([order(0.6, 5.4 * RIG_KW + COOLING_KW)], START)
    bench.play(1.2)
    assert bench.n_running() == n_running
    frame = bench.journal.frame("metering")
    assert frame.trim.iloc[-1] == pytest.approx(true_factor, abs=0.02)
    steps = frame.trim / frame.trim.shift(1)
    assert steps.max() <= 1.1 + 1e-9
    assert steps.min() >= 0.9 - 1e-9
    assert set(frame.quality) == {"good"}


def test_what_a_policy_wishes_is_rigs_whatever_they_draw(
    bench_of: Build, meter: MemoryMeter
) -> None:
    meter.true_factor = 1.2
    bench = with_meter(bench_of, meter, (0.0, 1.0))
    bench.play(0.55)
    assert bench.n_running() == 8
    assert bench.journal.count("intents") == 0


def test_decisions_and_corrections_are_made_again_bit_for_bit_and_a_forged_one_is_not(
    bench_of: Build, meter: MemoryMeter
) -> None:
    meter.true_factor = 1.1
    bench = with_meter(bench_of, meter, (0.0, 0.5))
    bench.play(0.5)
    again = replay(bench.journal, Schedule(bench.clock, (0.0, 0.5)))
    assert (again.equal, again.different) == (6, 0)
    assert bench.journal.frame("metering").trim.nunique() > 2
    bench.journal._db.execute("DROP TRIGGER metering_no_update")
    bench.journal._db.execute("UPDATE metering SET trim = 1.3 WHERE id = 5")
    forged = replay(bench.journal, Schedule(bench.clock, (0.0, 0.5)))
    assert [text.split(" of ")[0] for text in forged.differences] == [
        "correction 5",
        "correction 6",
    ]


def test_a_stale_meter_freezes_the_correction_and_then_the_rigs_word_holds_with_a_margin(
    bench_of: Build, meter: MemoryMeter
) -> None:
    meter.true_factor = 0.9
    bench = with_meter(bench_of, meter, (0.0, 1.0))
    held: list[float] = []

    def look() -> None:
        held.append(bench.controller._reconciler.trim)

    bench.play(1.5, (0.5, look), (0.5, meter.freeze), (0.6, look), (1.2, look))
    assert held[0] == held[1] == pytest.approx(0.9, abs=0.02)
    assert held[2] == pytest.approx(0.9 * LEARNT_MARGIN, abs=0.02)
    assert bench.alarms(Alarm.METER_SILENT) == [None]
    last = bench.journal.frame("metering").iloc[-1]
    assert (last.quality, last.verified_kw) == ("stale", 0.0)
    assert "old" in last.why
    assert last.site_kw > meter.true_kw()


def test_a_meter_that_never_answered_leaves_rigs_to_their_own_word_and_more(
    bench_of: Build, meter: MemoryMeter
) -> None:
    meter.silent = True
    bench = with_meter(bench_of, meter, (0.0, 1.0))
    bench.play(0.9)
    assert bench.controller._reconciler.trim == pytest.approx(UNLEARNT_MARGIN, abs=0.02)
    assert all(rig.counts_reported for rig in bench.controller.rigs.values())
    assert bench.controller.standing.aux is None


def test_a_meter_of_another_unit_is_implausible_and_corrects_nothing(
    bench_of: Build, meter: MemoryMeter
) -> None:
    meter.other_kw = 200.0
    bench = with_meter(bench_of, meter, (0.0, 1.0))
    bench.play(0.5)
    assert bench.alarms(Alarm.METER_IMPLAUSIBLE) == [None]
    frame = bench.journal.frame("metering").set_index("at")
    assert set(frame.trim[frame.index <= START + timedelta(seconds=600)]) == {1.0}


def test_the_mean_of_a_half_hour_stays_within_its_cap_though_something_else_draws(
    bench_of: Build, meter: MemoryMeter
) -> None:
    cap_kw = 80.0
    bench = with_meter(bench_of, meter, (0.0, 1.0), demand_cap_kw=cap_kw)

    def more() -> None:
        meter.other_kw = 15.0

    bench.play(1.5, (0.55, more))
    frame = bench.journal.frame("metering").set_index("at")
    ends = frame[pd.DatetimeIndex(frame.index).minute.isin([29, 59])]
    assert (ends.mean_kw <= cap_kw + 0.01).all()
    assert bench.n_running() < 8
    assert bench.alarms(Alarm.DEMAND_CAP)
    late = frame[frame.index >= START + timedelta(hours=1.1)]
    assert (late.power_kw <= cap_kw).all()


def test_what_the_meter_shows_of_claims_is_verified_and_a_liars_part_is_not(
    bench_of: Build, meter: MemoryMeter
) -> None:
    bench = with_meter(bench_of, meter, (0.0, 1.0), (0.5, 0.5))

    def lie() -> None:
        meter.other_kw = 2 * RIG_KW  # the meter shows two rigs more than say that they run

    bench.play(1.0, (0.8, lie))
    frame = bench.journal.frame("metering").set_index("at")
    honest = frame[frame.index < START + timedelta(hours=0.8)].iloc[-1]
    assert honest.claimed_kw == pytest.approx(4 * (RIG_KW - STANDBY_W / 1000.0))
    assert honest.verified_kw == pytest.approx(honest.claimed_kw, rel=0.01)
    lied = frame[frame.index > START + timedelta(hours=0.8)].iloc[0]
    assert (lied.quality, lied.claimed_kw) == ("good", honest.claimed_kw)
    assert lied.verified_kw == pytest.approx(honest.verified_kw - 2 * RIG_KW, abs=0.2)
