import asyncio
import json
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path

import pandas as pd
import pytest

from gridhash.agents.policy import Observations
from gridhash.config import SiteConfig
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.errors import ServingError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.drivers.protocol import Command, Outcome
from gridhash.serving.findings import Alarm
from gridhash.serving.journal import Journal
from gridhash.serving.replay import replay
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_status import Mode
from tests.serving.bench import (
    RIG_KW,
    START,
    Bench,
    Build,
    Schedule,
)


def test_rigs_follow_the_setpoint_and_every_command_is_verified(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.5), (1.5, 1.0))
    bench.play(1.4)
    assert bench.n_running() == 4
    verdicts = bench.journal.frame("verifications", bench.controller.run_id)
    assert list(verdicts.verdict) == ["verified"] * 4
    assert (verdicts.seconds <= 8.0).all()
    claimed_kw = bench.journal.frame("supervisions").claimed_kw
    assert claimed_kw.iloc[-1] == pytest.approx(4 * (RIG_KW - 0.02))


def test_each_intent_is_durable_before_its_command(bench_of: Build, folder: Path) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    seen = []

    def look(rig_id: str, command: Command) -> None:
        with Journal(folder / "journal.sqlite", read_only=True) as reader:
            seen.append(
                reader.rows(
                    "SELECT count(*) FROM intents WHERE rig_id = ? AND command = ? AND id NOT IN "
                    "(SELECT intent_id FROM results)", rig_id, str(command),
                )[0][0]
            )  # fmt: skip

    for rig in bench.rigs.values():
        rig.before_command = look
    bench.play(0.7)
    assert seen == [1] * 8


def test_shadow_decides_and_records_but_commands_nothing(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0), mode=Mode.SHADOW)
    bench.play(1.0)
    assert bench.n_running() == 8
    assert bench.journal.count("intents") == 0
    setpoints = bench.journal.frame("decisions").setpoint_kw
    assert setpoints.iloc[0] == pytest.approx(8 * RIG_KW)
    assert setpoints.iloc[-1] == 0.0
    assert bench.controller.status().claimed_kw == 0.0


def test_a_rig_that_acknowledges_and_disobeys_is_flagged_and_never_claimed(
    bench_of: Build,
) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    bench.rigs["loop_a-0"].obeys = False
    bench.play(2.0)
    assert bench.alarms(Alarm.DISOBEYS) == ["loop_a-0"]
    assert bench.alarms(Alarm.MISSED) == ["loop_a-0"] * 2
    assert len(bench.rigs["loop_a-0"].commands) == 2
    assert bench.claimed_kwh("loop_a-0") == 0.0
    assert bench.claimed_kwh("loop_a-1") > 0.0


def test_others_stop_in_the_place_of_a_rig_that_disobeys(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.75))
    stubborn = bench.rigs["loop_a-3"]
    stubborn.obeys = False
    bench.play(1.0)
    in_group = [rig.running for rig in bench.rigs.values() if rig.rig_id.startswith("loop_a")]
    assert stubborn.running
    assert sum(in_group) == 3
    setpoints = json.loads(bench.journal.frame("decisions").text.iloc[-1])["setpoint_kw"]
    assert float.fromhex(setpoints[0]) == pytest.approx(2 * RIG_KW)


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.PENDING])
def test_what_becomes_of_a_command_is_decided_by_watts_not_by_its_answer(
    bench_of: Build, outcome: Outcome
) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    bench.rigs["loop_a-0"].outcome = outcome
    bench.play(1.0)
    assert bench.claimed_kwh("loop_a-0") == pytest.approx(bench.claimed_kwh("loop_a-1"))
    assert bench.alarms(Alarm.MISSED) == []


def test_a_command_that_was_lost_is_sent_again(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    deaf = bench.rigs["loop_a-0"]
    deaf.obeys, deaf.outcome = False, Outcome.UNKNOWN
    bench.play(1.0, (0.505, lambda: setattr(deaf, "obeys", True)))
    assert not deaf.running
    assert len(deaf.commands) == 2
    assert bench.alarms(Alarm.DISOBEYS) == []


def test_a_rig_that_refuses_is_flagged(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    bench.rigs["loop_a-0"].outcome = Outcome.REFUSED
    bench.rigs["loop_a-1"].outcome = Outcome.UNSUPPORTED
    bench.play(1.0)
    assert bench.controller.rigs["loop_a-0"].flag
    assert bench.controller.rigs["loop_a-1"].flag
    assert bench.alarms(Alarm.REFUSES).count("loop_a-1") == 1
    assert bench.claimed_kwh("loop_a-0") == 0.0


def test_an_unreachable_rig_counts_as_full_power_and_as_nothing_delivered(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    lost = bench.rigs["loop_a-0"]
    bench.play(2.0, (1.0, lambda: setattr(lost, "reachable", False)))
    assert bench.alarms(Alarm.UNREACHABLE) == ["loop_a-0"]
    assert bench.controller.status().potential_kw == pytest.approx(RIG_KW)
    # It was claimed while its watts were seen, and no longer.
    assert bench.claimed_kwh("loop_a-0") == pytest.approx(0.5 * RIG_KW, rel=0.05)
    assert bench.claimed_kwh("loop_a-1") == pytest.approx(1.5 * RIG_KW, rel=0.02)


def test_a_rig_that_comes_back_is_taken_in_again(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    lost = bench.rigs["loop_a-0"]
    lost.reachable = False
    bench.play(1.5, (1.0, lambda: setattr(lost, "reachable", True)))
    assert bench.alarms(Alarm.REACHABLE) == ["loop_a-0"]
    assert not lost.running


def test_a_rig_without_power_reading_is_not_claimed(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    bench.rigs["loop_a-0"].blind = True
    bench.play(1.0)
    assert bench.alarms(Alarm.NO_POWER_READING) == ["loop_a-0"]
    assert bench.claimed_kwh("loop_a-0") == 0.0
    assert bench.rigs["loop_a-0"].commands == []


def test_a_rig_restarted_by_hand_is_shown_and_stopped_again_only_after_its_minimum_time(
    bench_of: Build,
) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    rig = bench.rigs["loop_a-0"]
    bench.play(2.0, (1.0, rig.restart_by_hand))
    assert bench.alarms(Alarm.RESTARTED) == ["loop_a-0"]
    stops = [at for at, command in rig.commands if command is Command.STOP]
    restarted_at = START + timedelta(hours=1.0)
    assert len(stops) == 2
    assert timedelta(0) <= stops[1] - restarted_at - timedelta(minutes=30) <= timedelta(minutes=5)
    assert not rig.running


def test_a_rig_that_a_person_keeps_starting_is_commanded_at_most_once_per_dispatch(
    bench_of: Build, small_site: SiteConfig
) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    rig = bench.rigs["loop_a-0"]

    def start_quietly() -> None:
        rig.running = True

    hours = [1.0 + k / 60.0 for k in range(60)]
    bench.play(2.5, *((hour, start_quietly) for hour in hours))
    assert bench.alarms(Alarm.EXTERNAL_CHANGE)
    at = [when for when, _ in rig.commands]
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert all(gap >= timedelta(seconds=small_site.dispatch_interval_s) for gap in gaps)


def test_minimum_down_time_holds_against_a_policy_that_flaps(bench_of: Build) -> None:
    flaps = [(0.25 * k, float(k % 2 == 0)) for k in range(16)]
    bench = bench_of(*flaps)
    bench.play(4.0)
    for rig in bench.rigs.values():
        assert len(rig.commands) >= 3
        for (earlier, command), (later, _) in pairwise(rig.commands):
            least_s = 1200.0 if command is Command.STOP else 1800.0
            assert (later - earlier).total_seconds() >= least_s


def test_starts_come_in_packets_and_stops_all_at_once(bench_of: Build) -> None:
    settings = ControllerSettings(
        start_packet_rigs=3, start_packet_pause_s=20.0, settled_supervision_s=60.0
    )
    bench = bench_of((0.0, 1.0), (0.5, 0.0), (1.5, 1.0), settings=settings)
    bench.play(1.7)
    starts = pd.Series(
        [at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.RESUME]
    )
    assert sorted(starts.value_counts()) == [2, 3, 3]
    assert starts.drop_duplicates().sort_values().diff().dropna().min() >= timedelta(seconds=20)
    stops = {at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.STOP}
    assert len(stops) == 1


def test_no_more_rigs_start_than_the_contract_leaves_room_for(bench_of: Build) -> None:
    # 250 kW leave room for all; what cooling and standby take is reckoned off by the parameters.
    room_kw = 250.0 - 5 * RIG_KW
    bench = bench_of((0.0, 1.0), running=False)
    contract_kw = 250.0 - float(bench.controller.status().cap_kw) + 5.4 * RIG_KW
    assert contract_kw < room_kw
    bench.journal.close()
    tight = bench_of((0.0, 1.0), running=False, contract_power_kw=contract_kw)
    lost = tight.rigs["loop_b-3"]
    lost.reachable = False
    tight.play(1.0)
    assert tight.n_running() == 4
    supervised = tight.journal.frame("supervisions", tight.controller.run_id)
    assert (supervised.potential_kw <= supervised.cap_kw + 1e-6).all()
    assert supervised.potential_kw.iloc[-1] == pytest.approx(5 * RIG_KW)


def test_a_start_waits_until_watts_show_the_stop_that_makes_room(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0))
    contract_kw = 250.0 - float(bench.controller.status().cap_kw) + 4.5 * RIG_KW
    bench.journal.close()
    tight = bench_of((0.0, (1.0, 0.0)), (0.5, (0.0, 1.0)), contract_power_kw=contract_kw)
    for rig in tight.rigs.values():
        rig.running = rig.rig_id.startswith("loop_a")
    stubborn = tight.rigs["loop_a-1"]
    stubborn.obeys = False
    tight.play(1.0)
    in_b = [rig for rig in tight.rigs.values() if rig.rig_id.startswith("loop_b")]
    assert sum(rig.running for rig in in_b) == 3
    at = [when for rig in in_b for when, _ in rig.commands]
    assert min(at) > START + timedelta(hours=0.5, seconds=5.0)
    supervised = tight.journal.frame("supervisions", tight.controller.run_id)
    assert (supervised.potential_kw <= supervised.cap_kw + 1e-6).all()


def test_rigs_that_draw_more_than_their_model_are_cut_back_to_the_cap(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0))
    contract_kw = 250.0 - float(bench.controller.status().cap_kw) + 8.2 * RIG_KW
    bench.journal.close()
    tight = bench_of((0.0, 1.0), contract_power_kw=contract_kw)
    for rig in tight.rigs.values():
        rig.power_factor = 1.05
    tight.play(0.5)
    drawn_kw = sum(RIG_KW * 1.05 for rig in tight.rigs.values() if rig.running)
    assert drawn_kw <= 8.2 * RIG_KW
    assert tight.n_running() == 7


def test_a_chip_at_its_trip_temperature_stops_the_group_at_once(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0))
    bench.play(0.7, (0.52, lambda: setattr(bench.rigs["loop_a-2"], "chip_temp_c", 86.0)))
    frame = bench.journal.frame("alarms")
    tripped_at = frame[frame.kind == Alarm.TRIPPED]["at"].iloc[0]
    stops = {at for rig in bench.rigs.values() for at, _ in rig.commands}
    assert stops == {tripped_at.to_pydatetime()}
    assert bench.n_running() == 4
    assert (tripped_at - pd.Timestamp(START)).total_seconds() % 300 != 0


def test_a_trip_stops_also_rigs_that_are_flagged_or_were_started_by_others(
    bench_of: Build,
) -> None:
    bench = bench_of((0.0, 1.0), (0.3, 0.0))
    flagged, held = bench.rigs["loop_a-0"], bench.rigs["loop_a-1"]
    flagged.obeys = False

    def trip() -> None:
        assert bench.controller.rigs["loop_a-0"].flag
        flagged.obeys = True
        held.restart_by_hand()
        held.chip_temp_c = 86.0

    bench.play(1.1, (1.0 + 10.0 / 3600.0, trip))
    tripped_at = START + timedelta(hours=1.0)
    for rig in (flagged, held):
        stops = [at for at, command in rig.commands if command is Command.STOP and at > tripped_at]
        assert len(stops) == 1
        assert not rig.running
    assert stops[0] < tripped_at + timedelta(minutes=3)
    forced = bench.journal.frame("intents").query("reason.str.contains('temperature trip')")
    assert set(forced.rig_id) == {"loop_a-0", "loop_a-1"}
    assert forced.forced.all()
    assert bench.controller.rigs["loop_a-0"].flag
    assert bench.claimed_kwh("loop_a-0") == 0.0


def test_rigs_that_others_start_above_the_cap_are_stopped_at_once(bench_of: Build) -> None:
    bench = bench_of((0.0, 0.0))
    contract_kw = 250.0 - float(bench.controller.status().cap_kw) + 2.4 * RIG_KW
    bench.journal.close()
    tight = bench_of((0.0, 0.0), contract_power_kw=contract_kw, running=False)

    def start() -> None:
        for name in ("loop_a-0", "loop_a-1", "loop_b-0", "loop_b-1"):
            tight.rigs[name].restart_by_hand()

    tight.play(0.56, (0.501, start))
    # Two fit below the cap: these are left to whoever started them until the next dispatch.
    stopped = [rig for rig in tight.rigs.values() if rig.commands]
    assert len(stopped) == 2
    assert all(own is Command.STOP for rig in stopped for _, own in rig.commands)
    assert all(rig.commands[0][0] <= START + timedelta(hours=0.54) for rig in stopped)
    assert tight.n_running() == 2


def test_a_locked_out_rig_is_stopped_and_never_started_until_cleared(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0))
    rig = bench.rigs["loop_a-0"]

    def lock() -> None:
        bench.controller.lock_out("loop_a-0", person="Aoki", reason="hose replaced")

    def clear() -> None:
        bench.controller.clear("loop_a-0", person="Aoki")

    was: list[bool] = []
    bench.play(3.0, (0.2, lock), (1.9, lambda: was.append(rig.running)), (2.0, clear))
    assert was == [False]
    assert rig.running
    with pytest.raises(ServingError, match="no rig x"):
        bench.controller.lock_out("x", person="Aoki", reason="")


def test_a_restarted_controller_goes_on_from_the_journal_and_the_rigs(
    bench_of: Build, folder: Path
) -> None:
    first = bench_of((0.0, 1.0), (0.5, 0.0))
    first.play(0.6)
    first.journal.close()
    again = bench_of((0.0, 1.0), journal=Journal(folder / "journal.sqlite"), running=False)
    # The clock of the second run starts anew; its rigs stand since 0.5 h as the journal says.
    asyncio.run(again.clock.advance(0.6 * 3600.0))
    again.play(1.2)
    starts = [at for rig in again.rigs.values() for at, _ in rig.commands]
    assert len(starts) == 8
    assert min(starts) - (START + timedelta(hours=0.5)) >= timedelta(seconds=1200)


class FullDisk(Journal):
    """A journal that cannot be written any more."""

    full = False

    def append_all(self, rows):  # type: ignore[no-untyped-def]
        if self.full:
            self._db.execute("PRAGMA query_only = ON")
        return super().append_all(rows)


def test_without_a_journal_rigs_may_stop_but_none_is_started(bench_of: Build, folder: Path) -> None:
    journal = FullDisk(folder / "journal.sqlite")
    bench = bench_of((0.0, 0.5), (0.5, 0.0), (1.5, 1.0), journal=journal)
    bench.play(2.5, (0.4, lambda: setattr(journal, "full", True)))
    assert bench.n_running() == 0
    sent = {own for rig in bench.rigs.values() for _, own in rig.commands}
    assert sent == {Command.STOP}


def test_no_intent_names_a_decision_that_was_rolled_back(bench_of: Build, folder: Path) -> None:
    journal = FullDisk(folder / "journal.sqlite")
    bench = bench_of((0.0, 1.0), (0.5, 0.5), journal=journal)

    def free() -> None:
        journal.full = False
        journal._db.execute("PRAGMA query_only = OFF")

    bench.play(0.7, (0.48, lambda: setattr(journal, "full", True)), (0.51, free))
    decisions = journal.frame("decisions")
    intents = journal.frame("intents")
    assert set(intents.decision_id) <= set(decisions.index)
    # The decision at 0.5 h was lost and is made again as soon as it can be written.
    lost = decisions[decisions["at"] == pd.Timestamp(START + timedelta(hours=0.5))]
    assert lost.empty
    again_at = decisions[decisions["at"] > pd.Timestamp(START + timedelta(hours=0.5))]["at"].min()
    assert (again_at - pd.Timestamp(START)).total_seconds() % 300 != 0


def test_a_locked_out_rig_stays_locked_out_in_the_next_run(bench_of: Build, folder: Path) -> None:
    first = bench_of((0.0, 1.0))
    first.play(
        0.3,
        (0.1, lambda: first.controller.lock_out("loop_a-0", person="Aoki", reason="hose")),
        (0.1, lambda: first.controller.lock_out("loop_a-1", person="Aoki", reason="hose")),
        (0.2, lambda: first.controller.clear("loop_a-1", person="Aoki")),
    )
    first.journal.close()
    again = bench_of((0.0, 1.0), journal=Journal(folder / "journal.sqlite"), running=False)
    asyncio.run(again.clock.advance(1800.0))
    again.play(2.0)
    assert "Aoki" in again.controller.rigs["loop_a-0"].lockout
    assert [rig.rig_id for rig in again.rigs.values() if not rig.running] == ["loop_a-0"]
    assert again.rigs["loop_a-0"].commands == []


def test_a_rig_that_is_locked_out_while_it_starts_is_stopped(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), running=False)
    rig = bench.rigs["loop_a-0"]

    def lock() -> None:
        if rig.commands and not bench.controller.rigs["loop_a-0"].lockout:
            assert not rig.running
            bench.controller.lock_out("loop_a-0", person="Aoki", reason="hose")

    bench.play(0.5, *((k / 3600.0, lock) for k in range(600)))
    assert [command for _, command in rig.commands] == [Command.RESUME, Command.STOP]
    gap = rig.commands[1][0] - rig.commands[0][0]
    assert gap <= timedelta(seconds=10.0)
    assert not rig.running


def test_a_clock_that_is_set_back_stops_neither_supervision_nor_verification(
    bench_of: Build,
) -> None:
    bench = bench_of((-10.0, 1.0), (0.5, 0.0))
    step_h = 1.0

    def set_back() -> None:
        # The rigs are told by the same clock: the one under way acts at once.
        assert bench.n_running() == 8
        assert all(rig.pending is not None for rig in bench.controller.rigs.values())
        bench.clock._start -= timedelta(hours=step_h)
        for rig in bench.rigs.values():
            assert rig._due is not None
            rig._due = rig._due[0] - timedelta(hours=step_h), rig._due[1]
            rig._booted_at -= timedelta(hours=step_h)

    asyncio.run(bench.controller.start())
    asyncio.run(drive(bench, 1800.0))
    set_back()
    before = bench.journal.count("supervisions")
    asyncio.run(drive(bench, 90.0))
    assert bench.journal.count("supervisions") - before >= 2
    verdicts = set(bench.journal.frame("verifications").verdict)
    assert verdicts == {"verified"}
    assert bench.alarms(Alarm.EXTERNAL_CHANGE) == []


async def drive(bench: Bench, seconds: float) -> None:
    """Tick for so long, with the clock's own monotonic time."""
    end_s = bench.clock.monotonic() + seconds
    while True:
        next_at = await bench.controller.tick()
        wait_s = (next_at - bench.clock.now()).total_seconds()
        if bench.clock.monotonic() + wait_s > end_s:
            return
        await bench.clock.advance(wait_s)


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ((), "raised IndexError"),  # an empty schedule
        (((0.0, float("nan")),), "nan"),
        (((0.0, -7.0),), "power is within 0 and 1"),
    ],
)
def test_a_policy_that_fails_raises_one_alarm_and_the_rule_decides(
    bench_of: Build, shares: tuple[tuple[float, float], ...], why: str
) -> None:
    bench = bench_of(*shares)
    bench.play(0.5)
    alarms = bench.journal.frame("alarms")
    (text,) = alarms.text[alarms.kind == Alarm.POLICY_REPLACED]
    assert why in text
    assert set(bench.journal.frame("decisions").authority) == {"fallback rule"}


def test_beyond_the_last_price_it_stands_in_for_two_hours_and_then_the_safe_profile_holds(
    bench_of: Build,
) -> None:
    rare = ControllerSettings(settled_supervision_s=1800.0, paused_after_s=3600.0)
    bench = bench_of((0.0, 1.0), (23.0, 0.5), settings=rare)
    bench.play(26.5)
    decisions = bench.journal.frame("decisions")
    hours = (decisions["at"] - pd.Timestamp(START)).dt.total_seconds() / 3600.0
    rungs = decisions.text.map(lambda text: json.loads(text)["rung"])
    assert set(rungs[hours < 24.0]) == {"fresh"}
    assert set(rungs[(hours >= 24.0) & (hours <= 26.0)]) == {"last good"}
    assert set(rungs[hours > 26.0]) == {"safe profile"}
    assert set(decisions.authority[hours > 26.0]) == {"fallback rule"}
    assert len(bench.alarms(Alarm.NO_PRICE)) == 1
    assert bench.n_running() == 0


def test_a_run_can_be_replayed_to_the_bit(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.25), (1.1, 0.8))
    bench.play(2.0)

    asked = count()

    class Again(Schedule):
        def act(self, observation: Observations) -> Floats:
            self.clock = SimulatedClock(START + timedelta(seconds=300 * next(asked)))
            return super().act(observation)

    again = Again(bench.clock, (0.0, 1.0), (0.5, 0.25), (1.1, 0.8))
    result = replay(bench.journal, again)
    assert (result.equal, result.different) == (24, 0)


def test_a_controller_that_sleeps_on_its_clock_does_the_same(bench_of: Build) -> None:
    until = START + timedelta(hours=1.0)
    bench = bench_of((0.0, 1.0), (0.5, 0.0))

    async def live() -> None:
        running = asyncio.create_task(bench.controller.run(until))
        while not running.done():
            await bench.clock.advance(7.0)
        await running

    asyncio.run(live())
    assert bench.n_running() == 0
    assert bench.journal.count("decisions") == 12
    assert bench.claimed_kwh("loop_a-0") == pytest.approx(0.5 * RIG_KW, rel=0.02)


def test_a_controller_that_was_not_started_does_not_tick(bench_of: Build) -> None:
    with pytest.raises(ServingError, match="was not started"):
        asyncio.run(bench_of((0.0, 1.0)).controller.tick())


def test_a_site_on_which_no_rig_answers_is_refused(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0))
    for rig in bench.rigs.values():
        rig.reachable = False
    with pytest.raises(ServingError, match="none of 8 rigs answers"):
        bench.play(0.1)
    assert bench.journal.count("runs") == 0


def test_the_wrong_number_of_rigs_is_refused(
    bench_of: Build, small_site: SiteConfig, flat_scenario: Scenario
) -> None:
    bench = bench_of((0.0, 1.0))
    drivers = {
        group.name: [rig for rig in bench.rigs.values() if rig.rig_id.startswith(group.name)]
        for group in small_site.groups
    }
    few = {**drivers, "loop_a": drivers["loop_a"][:3]}
    for wrong, why in ((few, "4 rigs in the site file, and 3"), ({}, "drivers are given for")):
        with pytest.raises(ServingError, match=why):
            Controller(small_site, flat_scenario, None, wrong, bench.clock, bench.journal)
