import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gridhash.config import SiteConfig
from gridhash.serving.canary import Arming
from gridhash.serving.drivers.protocol import Command, Outcome
from gridhash.serving.findings import Alarm
from gridhash.serving.journal import Journal
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.order_folder import OrderFolder
from gridhash.serving.request_desk import RequestDesk
from gridhash.serving.requests import Answer, Request, RequestKind, RequestSpool, new_request_id
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_status import Mode
from gridhash.serving.stop_all import StopAllOrder, order_stop_all
from tests.serving.bench import RIG_KW, START, Bench, Build


def hours(value: float) -> datetime:
    return START + timedelta(hours=value)


class Office:
    """An operator at the request folder of a bench."""

    def __init__(self, folder: Path) -> None:
        self.spool = RequestSpool(folder / "requests")
        self.stop_file = folder / "stop-all.json"
        self.orders = folder / "orders"
        self.orders.mkdir(exist_ok=True)
        self.journal = Journal(folder / "journal.sqlite")
        self.links = SiteLinks(
            requests=RequestDesk(self.spool, self.journal),
            stop_all=self.stop_file,
            orders=OrderFolder(self.orders),
        )
        self.asked: list[str] = []

    def bench(self, build: Build, *shares: tuple[float, float], **more: object) -> Bench:
        return build(*shares, journal=self.journal, links=self.links, **more)

    def ask(self, kind: RequestKind, at: float, **fields: object) -> None:
        lasting = kind.outlives_its_asker
        request = Request.model_validate(
            {
                "request_id": new_request_id(),
                "kind": kind,
                "person": "Aoki",
                "reason": "test",
                "at": hours(at),
                "expires_at": None if lasting else hours(at + 1.0),
            }
            | fields
        )
        self.spool.submit(request)
        self.asked.append(request.request_id)

    def answers(self) -> list[Answer]:
        found = [self.spool.answer_of(request_id) for request_id in self.asked]
        return [own for own in found if own is not None]

    def order(self, name: str, **fields: object) -> None:
        order = SiteOrder.model_validate(
            {"order_id": name, "revision": 0, "issued_at": START} | fields
        )
        (self.orders / f"{name}.json").write_text(order.model_dump_json())


@pytest.fixture
def office(folder: Path) -> Office:
    return Office(folder)


def authorities(bench: Bench, at: float) -> tuple[str, str]:
    """Return the authority and the reason of the last decision before an hour."""
    frame = bench.journal.frame("decisions")
    own = frame[frame["at"] <= hours(at)].iloc[-1]
    return own.authority, own.reason


def test_a_hold_sets_the_rigs_until_it_ends(bench_of: Build, office: Office) -> None:
    bench = office.bench(bench_of, (0.0, 1.0))
    seen: list[int] = []
    bench.play(
        2.0,
        (0.1, lambda: office.ask(RequestKind.HOLD, 0.1, setpoint_kw=2.2 * RIG_KW, until=hours(1))),
        (0.9, lambda: seen.append(bench.n_running())),
    )
    assert seen == [2]
    assert bench.n_running() == 8
    authority, reason = authorities(bench, 0.9)
    assert authority == "manual hold"
    assert "Aoki holds the rigs at 18 kW until" in reason
    assert authorities(bench, 1.9)[0] == "policy"
    assert [own.accepted for own in office.answers()] == [True]


def test_an_obligation_dominates_a_hold_and_the_price_and_ends_on_the_calendar(
    bench_of: Build, office: Office, small_site: SiteConfig
) -> None:
    bench = office.bench(bench_of, (0.0, 1.0))
    cap_kw = float(bench.controller.status().cap_kw)
    site_kw = small_site.limits.contract_power_kw - cap_kw + 3.4 * RIG_KW
    office.order("DR-1", start=hours(0.512), end=hours(1.237), at_most_kw=site_kw)
    seen: list[int] = []
    bench.play(
        2.5,
        (0.1, lambda: office.ask(RequestKind.HOLD, 0.1, setpoint_kw=8 * RIG_KW, until=hours(2))),
        (0.50, lambda: seen.append(bench.n_running())),
        (0.55, lambda: seen.append(bench.n_running())),
        (1.2, lambda: seen.append(bench.n_running())),
    )
    assert seen == [8, 3, 3]
    assert bench.n_running() == 8
    authority, reason = authorities(bench, 1.0)
    assert authority == "obligation"
    assert "demand response DR-1: at most" in reason
    stops = [at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.STOP]
    starts = [
        at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.RESUME
    ]
    # At its own instants, not at those of the dispatch grid.
    assert hours(0.512) <= min(stops) <= hours(0.512) + timedelta(seconds=2)
    assert min(starts) >= hours(1.237)
    assert bench.alarms(Alarm.OBLIGATION) == [None]


def test_orders_that_cannot_be_meant_raise_one_alarm_and_command_nothing(
    bench_of: Build, office: Office
) -> None:
    bench = office.bench(bench_of, (0.0, 1.0))
    for k in range(50):
        (office.orders / f"{k}.json").write_text('{"at_most_kw": NaN}')
    office.order("DR-9", start=START, end=hours(1), at_most_kw=900_000.0)
    bench.play(0.5)
    assert bench.journal.count("intents") == 0
    frame = bench.journal.frame("alarms")
    refused = frame[frame.kind == Alarm.ORDER_REFUSED]
    assert len(refused) == 1
    assert "and 50 more" in refused.text.iloc[0]


def test_stop_all_stops_rigs_that_are_flagged_silent_or_just_started_and_outlives_a_restart(
    bench_of: Build, office: Office, folder: Path
) -> None:
    bench = office.bench(bench_of, (0.0, 1.0))
    flagged, silent, fresh = (bench.rigs[f"loop_a-{k}"] for k in range(3))
    bench.controller.rigs["loop_a-0"].flag = "test"
    silent.reachable, fresh.running = False, False

    def stop() -> None:
        order = StopAllOrder(person="Aoki", reason="smoke", at=bench.clock.now())
        order_stop_all(office.stop_file, order)

    def back() -> None:
        assert bench.n_running() == 1
        silent.reachable = True

    bench.play(0.8, (0.2, stop), (0.6, back))
    assert bench.n_running() == 0
    assert not flagged.running
    stops = [at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.STOP]
    assert sorted(stops)[6] <= hours(0.2) + timedelta(seconds=61)
    assert authorities(bench, 0.7)[0] == "lockout or stop"
    bench.journal.close()
    again = Office(folder)
    restarted = again.bench(bench_of, (0.0, 1.0), running=False)
    seen: list[int] = []
    restarted.play(
        2.0,
        (0.9, lambda: seen.append(restarted.n_running())),
        (1.0, lambda: again.ask(RequestKind.LIFT_STOP_ALL, 1.0)),
    )
    assert seen == [0]
    assert restarted.n_running() == 8
    assert not again.stop_file.exists()


def test_stop_all_is_sent_again_to_a_rig_that_lost_it(bench_of: Build, office: Office) -> None:
    bench = office.bench(bench_of, (0.0, 1.0))
    deaf = bench.rigs["loop_b-1"]
    deaf.obeys, deaf.outcome = False, Outcome.UNKNOWN

    def stop() -> None:
        order_stop_all(
            office.stop_file, StopAllOrder(person="Aoki", reason="", at=bench.clock.now())
        )

    bench.play(0.5, (0.1, stop), (0.3, lambda: setattr(deaf, "obeys", True)))
    assert not deaf.running
    assert len(deaf.commands) >= 5
    assert all(len(rig.commands) == 1 for rig in bench.rigs.values() if rig is not deaf)


def test_a_lockout_outlives_the_run_and_only_a_person_ends_it(
    bench_of: Build, office: Office, folder: Path
) -> None:
    bench = office.bench(bench_of, (0.0, 1.0))
    rigs = ("loop_a-0", "loop_b-2")
    bench.play(
        0.5,
        (0.1, lambda: office.ask(RequestKind.LOCK_OUT, 0.1, rigs=rigs)),
        (0.1, lambda: office.ask(RequestKind.LOCK_OUT, 0.1, rigs=("nobody",))),
        (0.2, lambda: office.ask(RequestKind.HOLD, 0.2, setpoint_kw=8 * RIG_KW, until=hours(3))),
    )
    assert [own.accepted for own in office.answers()] == [True, False, True]
    assert sorted(rig.rig_id for rig in bench.rigs.values() if not rig.running) == list(rigs)
    bench.journal.close()
    again = Office(folder)
    restarted = again.bench(bench_of, (0.0, 1.0), running=False)
    asyncio.run(restarted.clock.advance(1800.0))
    seen: list[list[str]] = []
    restarted.play(
        2.5,
        (1.4, lambda: seen.append([own.rig_id for own in restarted.rigs.values() if own.running])),
        (1.5, lambda: again.ask(RequestKind.CLEAR, 1.5, rigs=rigs)),
    )
    assert set(rigs).isdisjoint(seen[0])
    assert len(seen[0]) == 6
    assert restarted.n_running() == 8
    assert restarted.controller.standing.hold is not None  # that of the first run


def test_without_arming_a_live_site_commands_nothing_but_what_a_person_orders(
    bench_of: Build, office: Office
) -> None:
    bench = office.bench(bench_of, (0.0, 1.0), (0.1, 0.0), arming=Arming(Mode.LIVE))
    bench.play(0.6, (0.4, lambda: office.ask(RequestKind.LOCK_OUT, 0.4, rigs=("loop_a-0",))))
    assert bench.n_running() == 7
    assert bench.controller.mode is Mode.SHADOW
    assert bench.journal.count("intents") == 1


def test_shadow_refuses_what_it_cannot_do(bench_of: Build, office: Office) -> None:
    bench = office.bench(bench_of, (0.0, 1.0), mode=Mode.SHADOW)
    bench.play(
        0.2,
        (0.1, lambda: office.ask(RequestKind.ARM, 0.1)),
        (0.1, lambda: office.ask(RequestKind.STOP_ALL, 0.1)),
    )
    answers = office.answers()
    assert [own.accepted for own in answers] == [False, False]
    assert "start it live" in answers[0].text
    assert "commands no rig" in answers[1].text
    assert bench.n_running() == 8


def test_advisory_says_what_to_command_and_commands_nothing(
    bench_of: Build, office: Office
) -> None:
    bench = office.bench(bench_of, (0.0, 1.0), (0.5, 0.5), mode=Mode.ADVISORY)
    bench.play(0.8)
    assert bench.n_running() == 8
    assert bench.journal.count("intents") == 0
    frame = bench.journal.frame("alarms")
    advice = list(frame[frame.kind == Alarm.ADVICE].text)
    assert len(advice) == 1
    assert advice[0].startswith("stop 4: loop_")


def test_who_decided_each_group_is_written(bench_of: Build, office: Office) -> None:
    bench = office.bench(bench_of, (0.0, 1.0))
    office.ask(RequestKind.HOLD, 0.0, cap_kw=5 * RIG_KW, until=hours(1))
    bench.play(0.05)
    text = json.loads(bench.journal.frame("decisions").text.iloc[0])
    assert text["decided_by"] == ["policy", "manual hold"]
    assert sum(map(float.fromhex, text["setpoint_kw"])) == pytest.approx(5 * RIG_KW)
