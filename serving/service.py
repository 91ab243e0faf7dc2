"""`gridhash serve`: a frozen policy drives the rigs of a list on real time."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from gridhash.agents.bundle import load_bundle
from gridhash.agents.bundle_files import MANIFEST
from gridhash.agents.bundle_manifest import Manifest, site_changes
from gridhash.agents.policy import Policy
from gridhash.agents.signing import read_public_key
from gridhash.config import SiteConfig
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.envs.scenario import build_scenario
from gridhash.errors import BundleError, ServingError
from gridhash.serving.canary import Arming
from gridhash.serving.clock import Clock, RealClock
from gridhash.serving.commissioning_record import CommissioningRecord
from gridhash.serving.controller import Controller
from gridhash.serving.journal import Journal
from gridhash.serving.known_rigs import known_macs
from gridhash.serving.lease import Lease
from gridhash.serving.live_market import newest
from gridhash.serving.market_now import MarketNow, market_now, replay_instant
from gridhash.serving.market_source import MarketSource
from gridhash.serving.operation import OperationConfig, load_operation, read_operation
from gridhash.serving.resident_memory import let_go_of_code, take_memory_from_the_system
from gridhash.serving.rig_list import ListedRig, drivers_of, read_rig_list, site_of_rigs
from gridhash.serving.roll_call import call_roll, check_roll
from gridhash.serving.sd_notify import sd_notify
from gridhash.serving.served import write_served
from gridhash.serving.service_links import links_of, live_market, live_scenario
from gridhash.serving.service_screen import ServiceScreen, banner, roll, summary
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_status import Mode
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.stop_signal import StopSignal

LONGEST_RUN_H = 24.0 * 366.0
JOURNAL_SUFFIXES = ("", "-wal", "-shm")


@dataclass(frozen=True, kw_only=True)
class Service:
    """Everything that was checked before the first rig is spoken to."""

    policy: Policy
    manifest: Manifest
    bundle_hash: str
    site: SiteConfig
    """With as many rigs as are listed."""
    site_changes: tuple[str, ...]
    market: MarketNow
    rigs: tuple[ListedRig, ...]
    rig_list: Path
    """Where they were read."""
    mode: Mode
    journal: Path
    unproven: str = ""
    """Why the policy is not deployable; empty if it is."""
    armed_by: str = ""
    """Who arms the site at its start; empty leaves that to `gridhash arm`."""
    operation: OperationConfig = field(default_factory=OperationConfig)
    operation_folder: Path = Path()
    """Where relative paths of the operation file begin."""
    live_market: MarketSource | None = None
    """Follows the store; None where prices were read once."""
    commissioned: CommissioningRecord | None = None
    """What was measured of the rigs of the list."""

    @property
    def all_loopback(self) -> bool:
        """Whether all rigs are at addresses of this machine, where only simulated ones listen."""
        return all(rig.is_loopback for rig in self.rigs)

    @property
    def note(self) -> str:
        """What the journal says of the run besides its own columns."""
        words = [f"prices of {self.market.scenario.trace.source}"]
        if self.market.shift is not None:
            words.append(f"REPLAY: real time is market time plus {self.market.shift}")
        if self.unproven and self.mode is Mode.LIVE:
            words.append(f"NOT DEPLOYABLE, accepted as it is: {self.unproven}")
        return "; ".join(words)


def serve_site(
    request: ScenarioRequest | str,
    *,
    bundle: Path,
    key: Path,
    rigs: Path,
    journal: Path,
    mode: Mode,
    hours: float | None,
    console: Console,
    replay_from: str | None = None,
    accept_unproven: bool = False,
    armed_by: str = "",
    operation: Path | None = None,
) -> None:
    """Check everything, then run the site until `hours` have passed, Ctrl-C or SIGTERM.

    `request` is a site and its prices, or the name of a scenario.

    Raises
    ------
    BundleError
        If the bundle is damaged, not signed by `key`, does not fit the site, or is to command rigs
        and not deployable, unless `accept_unproven`.
    DataError
        If no price holds now.
    ServingError
        If the rig list is wrong, no rig answers, or the journal cannot be opened.
    KeyboardInterrupt
        After an orderly end by Ctrl-C.
    """
    if hours is not None and not 0.0 < hours <= LONGEST_RUN_H:
        raise ServingError(
            f"--hours {hours:g} is no time to run for; give more than 0 and at most "
            f"{LONGEST_RUN_H:g}, or leave it out to run until Ctrl-C"
        )
    take_memory_from_the_system()
    clock = RealClock()
    service = prepare(
        request,
        bundle=bundle,
        key=key,
        rigs=rigs,
        journal=journal,
        mode=mode,
        clock=clock,
        replay_from=replay_from,
        accept_unproven=accept_unproven,
        armed_by=armed_by,
        operation=operation,
    )
    if asyncio.run(run_service(service, clock, hours=hours, console=console)):
        raise KeyboardInterrupt


def prepare(
    request: ScenarioRequest | str,
    *,
    bundle: Path,
    key: Path,
    rigs: Path,
    journal: Path,
    mode: Mode,
    clock: Clock,
    replay_from: str | None = None,
    accept_unproven: bool = False,
    armed_by: str = "",
    operation: Path | None = None,
) -> Service:
    """Read and check bundle, rig list and prices; nothing is sent or written.

    Raises
    ------
    GridhashError
        See `serve_site`.
    """
    if armed_by and (mode is not Mode.LIVE or not armed_by.strip() or not armed_by.isprintable()):
        raise ServingError("--armed-by gives the name of the person who arms a site with --live")
    prices, takes_orders = None, False
    if isinstance(request, str):
        scenario = open_named_scenario(request)
    else:
        takes_orders = operation is not None and read_operation(operation).orders is not None
        scenario, prices = live_scenario(request, takes_orders=takes_orders), request.prices
    listed = read_rig_list(rigs)
    site = site_of_rigs(scenario.site, listed, rigs)
    policy, manifest, _ = load_bundle(bundle, site=site, trusted_keys=[read_public_key(key)])
    unproven = why_unproven(manifest)
    if mode is Mode.LIVE and unproven and not accept_unproven:
        raise BundleError(
            f"{bundle} is not deployable: {unproven}. Serve what `gridhash train` names as "
            "deployable, judge it on the site's data with `gridhash bundle promote`, run with "
            "--shadow, or command rigs all the same with --accept-unproven"
        )
    # Years of prices that no decision looks back on are not kept in memory.
    begins_at = replay_instant(replay_from, scenario) if replay_from else clock.now()
    trace = newest(scenario.trace, begins_at, site)
    market = market_now(build_scenario(site, trace), clock.now(), replay_from=replay_from)
    if mode is Mode.LIVE and market.is_replay:
        for rig in listed:
            if not rig.is_loopback:
                raise ServingError(
                    f"--replay-from with --live commands rigs by prices of the past, so it is for "
                    f"simulated rigs at loopback addresses; {rig.rig_id} is at {rig.address}: run "
                    "with --shadow, or without --replay-from"
                )
    return Service(
        policy=policy,
        manifest=manifest,
        bundle_hash=hash_of_bundle(bundle),
        site=site,
        site_changes=site_changes(manifest, scenario.site),
        market=market,
        rigs=tuple(listed),
        rig_list=rigs,
        mode=mode,
        journal=journal,
        unproven=unproven,
        armed_by=armed_by.strip(),
        operation=operation_of(operation, site, {rig.rig_id: rig.group for rig in listed}),
        operation_folder=Path() if operation is None else operation.parent,
        live_market=live_market(prices, site, market, takes_orders=takes_orders),
    )


def operation_of(path: Path | None, site: SiteConfig, group_of: dict[str, str]) -> OperationConfig:
    """Return the operation file, or how a site is operated without one."""
    return OperationConfig() if path is None else load_operation(path, site, group_of)


def why_unproven(manifest: Manifest) -> str:
    """Return why a policy has not earned to command rigs; nothing if it has."""
    if manifest.verdict is None:
        return "it was never judged beside the rules of its site"
    return "" if manifest.deployable else manifest.verdict.reason


def hash_of_bundle(bundle: Path) -> str:
    """Return the SHA-256 of a bundle's manifest, under which runs name the bundle."""
    return hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest()


async def run_service(
    service: Service,
    clock: Clock,
    *,
    hours: float | None,
    console: Console,
    settings: ControllerSettings | None = None,
    stop: StopSignal | None = None,
) -> bool:
    """Run a prepared site; return whether Ctrl-C ended it.

    Raises
    ------
    ServingError
        If no rig answers or the journal cannot be opened; then no journal is left behind.
    """
    macs = known_macs(service.journal)
    record = service.commissioned
    levels = () if record is None else record.levels_of
    drivers = drivers_of(service.rigs, service.site, clock, macs=macs, levels=levels)
    with stop or StopSignal() as stop:
        console.print(f"identifying {len(service.rigs)} rigs …")
        placed = [(group, driver) for group, own in drivers.items() for driver in own]
        fates = await call_roll(placed)
        console.print(roll(fates))
        check_roll(
            fates,
            live=service.mode is Mode.LIVE,
            work_levels=service.site.use_work_levels,
        )
        if stop.requested:
            return stop.interrupted
        is_new = not service.journal.exists()
        service.journal.parent.mkdir(parents=True, exist_ok=True)
        with Journal(service.journal) as journal:
            links = SiteLinks()
            try:
                links = links_of(
                    service.operation,
                    service.operation_folder,
                    journal,
                    clock=clock,
                    market=service.live_market,
                    topology=service.operation.to_topology(
                        {rig.rig_id: rig.group for rig in service.rigs}
                    ),
                )
                links = replace(links, commissioned=service.commissioned)
                controller = Controller(
                    service.site,
                    service.market.scenario,
                    service.policy,
                    drivers,
                    clock,
                    journal,
                    mode=service.mode,
                    settings=settings or service.operation.to_settings(),
                    arming=Arming(service.mode, racks=service.operation.rack_of),
                    links=links,
                    bundle_hash=service.bundle_hash,
                    note=service.note,
                )
                await controller.start()
                let_go_of_code()
                write_served(StateFolder(service.journal.parent), service.site, service.rig_list)
            except ServingError:
                if links.lease is not None:
                    links.lease.release()
                journal.close()
                if is_new:
                    _remove(service.journal)
                raise
            async with kept(links.lease) as check_lease:
                await _run(
                    service,
                    controller,
                    journal,
                    clock,
                    check_lease,
                    hours=hours,
                    console=console,
                    stop=stop,
                )
        return stop.interrupted


@asynccontextmanager
async def kept(lease: Lease | None) -> AsyncIterator[Callable[[], None]]:
    """Renew a lease while the body runs, and give it back; the body asks whether it is lost.

    What is yielded raises `LeaseLost` once another controller took the lease over.
    """
    keeper = None if lease is None else asyncio.create_task(lease.keep())

    def check() -> None:
        if keeper is not None and keeper.done():
            keeper.result()

    try:
        yield check
    finally:
        if lease is not None and keeper is not None:
            keeper.cancel()
            lease.release()


async def _run(
    service: Service,
    controller: Controller,
    journal: Journal,
    clock: Clock,
    check_lease: Callable[[], None],
    *,
    hours: float | None,
    console: Console,
    stop: StopSignal,
) -> None:
    began_at = clock.now()
    until = None if hours is None else began_at + timedelta(hours=hours)
    console.print(
        banner(
            service.manifest,
            service.market,
            journal,
            mode=service.mode,
            now=began_at,
            changes=service.site_changes,
            unproven=service.unproven,
            all_loopback=service.all_loopback,
        )
    )
    if service.armed_by:
        # What is at loopback addresses is simulated: there is nothing to try on a few first.
        controller.arm(service.armed_by, all_at_once=service.all_loopback)
    sd_notify("READY=1")
    try:
        with ServiceScreen(console, controller, service.market, journal) as screen:
            while not stop.requested and (until is None or clock.now() < until):
                check_lease()
                next_at = await controller.tick()
                sd_notify("WATCHDOG=1")
                screen.show()
                await stop.sleep_until(clock, next_at if until is None else min(next_at, until))
    finally:
        sd_notify("STOPPING=1")
        await controller.finish()
        console.print(summary(controller, journal, began_at=began_at))


def _remove(journal: Path) -> None:
    for suffix in JOURNAL_SUFFIXES:
        journal.with_name(journal.name + suffix).unlink(missing_ok=True)
