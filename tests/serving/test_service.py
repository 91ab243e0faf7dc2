"""A site is served only when everything fits; shadow commands nothing, live verifies by watts."""

import asyncio
import io
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from gridhash.agents.bundle import sign_again, write_bundle
from gridhash.agents.bundle_manifest import DataSpan, Gain, Provenance, RuleSpec, Verdict
from gridhash.agents.signing import generate_key, read_key
from gridhash.config import load_site
from gridhash.config_scenario import load_scenario_config
from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.errors import BundleError, ConfigError, DataError, ServingError
from gridhash.serving.clock import RealClock
from gridhash.serving.heartbeat import read_heartbeat
from gridhash.serving.journal import Journal
from gridhash.serving.requests import Request, RequestKind, RequestSpool, new_request_id
from gridhash.serving.rig_list import write_rig_list
from gridhash.serving.service import Service, prepare, run_service
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import RigFaults
from gridhash.serving.site_status import Mode
from gridhash.serving.stand_alone import FleetRequest, listed_rigs, make_fleet
from gridhash.serving.stop_signal import StopSignal

SITE = load_site("europe_sample")
DEAR = "2018-10-24T18:00"
"""The all-in price is 0.080 EUR/kWh, break-even 0.056: every rig is to stand."""

Prepare = Callable[..., Service]


@pytest.fixture
def fleet(base_address: str) -> SimulatedFleet:
    return make_fleet(SITE, FleetRequest(count=4, address=base_address), RealClock())


@pytest.fixture
def prepared(tmp_path: Path, fleet: SimulatedFleet) -> Prepare:
    """Return a maker of services for the fleet, with the level rule as its bundle."""
    key = generate_key(tmp_path / "key.pem")
    bundle = write_bundle(
        tmp_path,
        RuleSpec(rule="level_rule"),
        name="level",
        site=SITE,
        key=key,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        provenance=Provenance(),
    )
    rigs = tmp_path / "rigs.csv"
    write_rig_list(rigs, listed_rigs(fleet))

    def make(
        *,
        mode: Mode = Mode.SHADOW,
        replay_from: str | None = DEAR,
        accept_unproven: bool = True,
        bundle: Path = bundle,
        armed_by: str | None = None,
        operation: Path | None = None,
        request: ScenarioRequest | str | None = None,
        rigs: Path = rigs,
    ) -> Service:
        return prepare(
            request or ScenarioRequest(),
            bundle=bundle,
            key=tmp_path / "key.pub",
            rigs=rigs,
            journal=tmp_path / "out" / "journal.sqlite",
            mode=mode,
            clock=RealClock(),
            replay_from=replay_from,
            accept_unproven=accept_unproven,
            armed_by=("Aoki" if mode is Mode.LIVE else "") if armed_by is None else armed_by,
            operation=operation,
        )

    return make


def text_console() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=120), file


def n_ascset(fleet: SimulatedFleet) -> int:
    return sum(
        command.text.startswith("ascset") for rig in fleet.rigs.values() for command in rig.commands
    )


def test_shadow_decides_and_records_and_sends_nothing(
    prepared: Prepare, fleet: SimulatedFleet
) -> None:
    service = prepared()
    console, text = text_console()

    async def main() -> bool:
        async with fleet:
            await fleet.set_faults("loop_b-001", RigFaults(unreachable="refused"))
            return await run_service(service, RealClock(), hours=1 / 3600, console=console)

    assert asyncio.run(main()) is False
    assert n_ascset(fleet) == 0
    with Journal(service.journal, read_only=True) as journal:
        run = journal.rows("SELECT * FROM runs")[0]
        assert run["mode"] == "shadow"
        assert run["policy_name"] == "level_rule"
        assert run["bundle_hash"] == service.bundle_hash
        assert "REPLAY: real time is market time plus" in run["note"]
        assert journal.count("decisions") >= 1
        assert journal.count("intents") == 0
        setpoint_kw = journal.rows("SELECT setpoint_kw FROM decisions")[0][0]
        assert setpoint_kw == 0.0
    shown = text.getvalue()
    for words in (
        "SHADOW: decides and records, commands no rig",
        "REPLAY: prices of 2018-10-24 18:0",
        "unreachable",
        "nothing answers at loop_b-001",
        "by policy: all-in price 0.0801 per kWh",
        "none was commanded",
        str(service.journal),
    ):
        assert words in shown


def test_live_stops_dear_rigs_verifies_them_and_leaves_them_standing(
    prepared: Prepare, fleet: SimulatedFleet
) -> None:
    service = prepared(mode=Mode.LIVE)
    console, text = text_console()

    async def main() -> bool:
        async with fleet:
            stop = StopSignal()
            task = asyncio.create_task(
                run_service(service, RealClock(), hours=None, console=console, stop=stop)
            )
            while not (service.journal.exists() and await all_verified()):
                assert not task.done()
                await asyncio.sleep(0.2)
            stop.request()
            return await task

    async def all_verified() -> bool:
        with Journal(service.journal, read_only=True) as journal:
            return journal.count("verifications") == len(fleet.rigs)

    assert asyncio.run(asyncio.wait_for(main(), 40)) is False
    assert n_ascset(fleet) == len(fleet.rigs)
    assert fleet.true_power_kw() == pytest.approx(4 * 0.020)
    with Journal(service.journal, read_only=True) as journal:
        intents, results = journal.frame("intents"), journal.frame("results")
        assert set(intents["command"]) == {"stop"}
        assert set(journal.frame("verifications")["verdict"]) == {"verified"}
        assert results["intent_id"].isin(intents.index).all()
        first_command_at = min(
            command.received_at
            for rig in fleet.rigs.values()
            for command in rig.commands
            if command.text.startswith("ascset")
        )
        assert intents["at"].max() <= first_command_at
    shown = text.getvalue()
    assert "LIVE: commands rigs" in shown
    assert "left as they are: 0 run, 4 stand, 0 unknown" in shown
    assert "4 (verified 4)" in shown


def test_a_live_site_commands_nothing_until_a_person_arms_it(
    prepared: Prepare, fleet: SimulatedFleet
) -> None:
    service = prepared(mode=Mode.LIVE, armed_by="")
    console, text = text_console()
    stop = StopSignal()

    async def main() -> int:
        async with fleet:
            task = asyncio.create_task(
                run_service(service, RealClock(), hours=None, console=console, stop=stop)
            )
            while not service.journal.exists() or not decided():
                await asyncio.sleep(0.2)
            before = n_ascset(fleet)
            spool = RequestSpool(service.journal.parent / "requests")
            now = datetime.now(UTC)
            request = Request(
                request_id=new_request_id(),
                kind=RequestKind.ARM,
                person="Aoki",
                reason="first run",
                at=now,
                expires_at=now + timedelta(minutes=1),
            )
            spool.submit(request)
            while n_ascset(fleet) < 3:
                assert not task.done()
                await asyncio.sleep(0.2)
            stop.request()
            await task
            answer = spool.answer_of(request.request_id)
            assert answer is not None
            assert answer.accepted
            return before

    def decided() -> bool:
        with Journal(service.journal, read_only=True) as journal:
            return journal.count("decisions") > 0

    assert asyncio.run(asyncio.wait_for(main(), 60)) == 0
    # A few rigs first.
    assert n_ascset(fleet) == 3
    heartbeat = read_heartbeat(service.journal.parent / "heartbeat.json")
    assert heartbeat is not None
    assert (heartbeat.mode, heartbeat.lease_token) == ("live", 1)
    assert "stage" in text.getvalue()


def test_who_arms_a_site_has_a_name_and_a_live_site(prepared: Prepare) -> None:
    for mode, name in ((Mode.SHADOW, "Aoki"), (Mode.LIVE, " \n")):
        with pytest.raises(ServingError, match="--armed-by gives the name"):
            prepared(mode=mode, armed_by=name)


OPERATION = """
orders = "orders"
[stand_in]
safe_share = 0.25
[[stand_in.schedule]]
start = 06:00:00
share = 0.5
[[permissives]]
sensor = "leak"
high = 0.5
latches = true
[racks]
A = ["loop_a-001"]
"""


def test_an_operation_file_is_held_against_its_site(prepared: Prepare, tmp_path: Path) -> None:
    path = tmp_path / "operation.toml"
    path.write_text(OPERATION)
    operation = prepared(operation=path).operation
    assert operation.to_stand_in().share_at(time(12)) == 0.5
    assert [own.latches for own in operation.to_permissives()] == [True]
    assert operation.rack_of == {"loop_a-001": "A"}
    for old, new, why in (
        ('"loop_a-001"', '"x"', "racks.A: the rig list has no rig x"),
        ("high = 0.5", 'groups = ["z"]', "permissive leak: the site has no group z"),
        ("share = 0.5", "share = 50", "share"),
        ("high = 0.5", "low = 3.0\nhigh = 1.0", "3.0 to 1.0 is no range"),
        ("[racks]", "[rakcs]", "rakcs"),
    ):
        path.write_text(OPERATION.replace(old, new))
        with pytest.raises(ConfigError, match=why):
            prepared(operation=path)


def test_permissives_that_nobody_reads_let_nothing_start(
    prepared: Prepare, fleet: SimulatedFleet, tmp_path: Path
) -> None:
    path = tmp_path / "operation.toml"
    path.write_text('[[permissives]]\nsensor = "flow"\nlow = 20.0\n')
    service = prepared(operation=path)
    console, text = text_console()

    async def main() -> None:
        async with fleet:
            await run_service(service, RealClock(), hours=1 / 3600, console=console)

    asyncio.run(main())
    assert "no reader of the plant is configured" in text.getvalue()
    assert "plant allows no start, site: flow is missing" in text.getvalue()


def test_no_answer_leaves_nothing_behind(prepared: Prepare) -> None:
    service = prepared()

    with pytest.raises(ServingError, match=r"none of the 4 rigs answers \(nothing answers at"):
        asyncio.run(run_service(service, RealClock(), hours=None, console=Console(quiet=True)))

    assert not service.journal.parent.exists()


def test_a_journal_that_is_none_is_refused_and_kept(
    prepared: Prepare, fleet: SimulatedFleet
) -> None:
    service = prepared()
    service.journal.parent.mkdir()
    service.journal.write_bytes(b"my diary\n" * 100)

    async def main() -> None:
        async with fleet:
            await run_service(service, RealClock(), hours=1, console=Console(quiet=True))

    with pytest.raises(ServingError, match="is no gridhash journal"):
        asyncio.run(main())
    assert service.journal.read_bytes() == b"my diary\n" * 100


def test_prices_of_the_past_are_refused_without_a_replay(prepared: Prepare) -> None:
    with pytest.raises(DataError, match=r"now is 20.*try these prices with --replay-from 2018-"):
        prepared(replay_from=None)


def test_live_replay_is_for_loopback_rigs_alone(prepared: Prepare, tmp_path: Path) -> None:
    path = tmp_path / "rigs.csv"
    path.write_text(path.read_text().replace("127.", "10.", 1), encoding="utf-8")

    prepared(mode=Mode.SHADOW)
    with pytest.raises(ServingError, match=r"loop_a-001 is at 10\..*: run with --shadow"):
        prepared(mode=Mode.LIVE)


def test_who_commands_rigs_with_an_unproven_policy_must_say_so(
    prepared: Prepare, tmp_path: Path
) -> None:
    assert prepared(accept_unproven=False).unproven.startswith("it was never judged")
    with pytest.raises(BundleError, match=r"not deployable: it was never judged .*--shadow"):
        prepared(mode=Mode.LIVE, accept_unproven=False)

    assert "NOT DEPLOYABLE, accepted as it is" in prepared(mode=Mode.LIVE).note
    assert "NOT DEPLOYABLE" not in prepared().note

    path, key = tmp_path / "level.bundle", read_key(tmp_path / "key.pem")
    span = DataSpan(
        role="validate", source="own data", area="nl",
        start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    verdict = Verdict(
        deployable=False, reason="the best tuned rule earns 12 EUR more", site_sha256=64 * "0",
        judged_at=span.end, data=span, policy_profit=88.0, rule=RuleSpec(rule="look_ahead_rule"),
        rule_profits={"look_ahead_rule": 100.0}, over_rule=Gain(estimate=-12.0, low=-20, high=-4),
    )  # fmt: skip
    sign_again(path, tmp_path / "failed.bundle", key=key, verdict=verdict)
    passed = verdict.model_copy(update={"deployable": True, "over_rule": None})
    sign_again(path, tmp_path / "passed.bundle", key=key, verdict=passed)

    with pytest.raises(BundleError, match="the best tuned rule earns 12 EUR more"):
        prepared(mode=Mode.LIVE, accept_unproven=False, bundle=tmp_path / "failed.bundle")
    service = prepared(mode=Mode.LIVE, accept_unproven=False, bundle=tmp_path / "passed.bundle")
    assert service.unproven == ""


def test_a_scenario_is_served_by_name_with_its_tariff_and_programs(
    prepared: Prepare, tmp_path: Path, base_address: str
) -> None:
    pilot = load_scenario_config("JapanPilot").site
    bundle = write_bundle(
        tmp_path,
        RuleSpec(rule="level_rule"),
        name="pilot",
        site=pilot,
        key=read_key(tmp_path / "key.pem"),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        provenance=Provenance(),
    )
    fleet = make_fleet(pilot, FleetRequest(count=4, address=base_address), RealClock())
    write_rig_list(tmp_path / "pilot.csv", listed_rigs(fleet))
    given = {"request": "JapanPilot", "bundle": bundle, "rigs": tmp_path / "pilot.csv"}
    service = prepared(**given, replay_from="2023-07-11T15:00")
    assert service.site.n_rigs == 4
    assert service.site.programs.pause_orders is not None
    assert service.market.scenario.programs.has_pause
    with pytest.raises(
        DataError, match=r"can be decided on from 2023-04-02.*--replay-from is 2031-01-01"
    ):
        prepared(**given, replay_from="2031-01-01T00:00")


def test_a_key_that_did_not_sign_is_refused(prepared: Prepare, tmp_path: Path) -> None:
    generate_key(tmp_path / "other.pem")
    (tmp_path / "key.pub").write_bytes((tmp_path / "other.pub").read_bytes())

    with pytest.raises(BundleError, match="not trusted here"):
        prepared()


def test_on_a_terminal_the_state_leaves_room_for_the_echo_of_ctrl_c(
    prepared: Prepare, fleet: SimulatedFleet
) -> None:
    service = prepared()
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=True, color_system=None)

    async def main() -> None:
        async with fleet:
            await run_service(service, RealClock(), hours=1 / 3600, console=console)

    asyncio.run(main())
    state = [line for line in file.getvalue().splitlines() if "Ctrl-C ends in order" in line]
    assert state
    assert max(len(line) for line in state) < 100
    for words in ("4 run, 0 stand", "nothing: shadow", "CEST REPLAY 0.0751 EUR/kWh", "none"):
        assert words in file.getvalue()
