"""`gridhash simulate-rigs`: simulated rigs on real time, to try a controller on."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from gridhash.config import SiteConfig, load_site
from gridhash.errors import ConfigError, ServingError
from gridhash.serving.clock import Clock, RealClock
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.rig_list import LOOPBACK, ListedRig, check_may_write, write_rig_list
from gridhash.serving.simulated_campaign import load_campaign
from gridhash.serving.simulated_faults import FaultSchedule
from gridhash.serving.simulated_fleet import SimulatedFleet, share_among_groups
from gridhash.serving.simulated_log import WorldLog
from gridhash.serving.simulated_meter import METER_PORT, SimulatedMeter
from gridhash.serving.simulated_model import (
    AIR_1566,
    BRAIINS_S21,
    HYDRO_1566HA,
    LUXOS_S21,
    WHATSMINER_M63S,
    RigModel,
    WorkState,
)
from gridhash.serving.stop_signal import StopSignal

STATUS_S = 1.0
REMEMBER_S = 3600.0
"""What rigs that run alone remember: longer than any average that they report."""

MODELS = {
    "A1566HA": HYDRO_1566HA,
    "A1566": AIR_1566,
    "M63S": WHATSMINER_M63S,
    "S21-Braiins": BRAIINS_S21,
    "S21-LuxOS": LUXOS_S21,
}
"""What rigs can be, by the name that a command takes; watts are those of the site's groups."""


@dataclass(frozen=True, kw_only=True)
class FleetRequest:
    """Which rigs to simulate, where, and what goes wrong with them."""

    count: int
    address: str = "127.40.0.1"
    """Of the first rig; each takes the next."""
    port: int | None = None
    """In place of the firmware's port for commands."""
    model: str | None = None
    """One of `MODELS`; None for an Avalon that fits the site's cooling."""
    faults: Path | None = None
    rig_list: Path | None = None
    log: Path | None = None
    meter: bool = False
    """Whether a site meter and a plant answer too, at `address` and the meter's own port."""


def run_simulated_rigs(site: str, request: FleetRequest, console: Console) -> None:
    """Run simulated rigs of a site until Ctrl-C or SIGTERM.

    Raises
    ------
    ConfigError
        If there is no such site, or the campaign of faults is wrong.
    ServingError
        If the addresses are not loopback, one is taken, there is no such model, or the rig list
        or the log cannot be written.
    KeyboardInterrupt
        After an orderly end by Ctrl-C.
    """
    if asyncio.run(run_fleet_alone(load_site(site), request, console)):
        raise KeyboardInterrupt


async def run_fleet_alone(
    site: SiteConfig,
    request: FleetRequest,
    console: Console,
    *,
    clock: Clock | None = None,
    stop: StopSignal | None = None,
) -> bool:
    """Run simulated rigs until they are to stop; return whether Ctrl-C ended them.

    Raises
    ------
    ConfigError, ServingError
        See `run_simulated_rigs`.
    """
    clock = clock or RealClock()
    if request.rig_list is not None:
        check_may_write(request.rig_list)
    planned = make_fleet(site, request, clock)
    if request.faults is not None:
        schedule_of(request.faults, planned, clock)
    # What is wrong has shown before a file is begun.
    async with AsyncExitStack() as open_until_end:
        log = None
        if request.log is not None:
            log = open_until_end.enter_context(WorldLog(request.log, clock.now()))
        fleet = make_fleet(site, request, clock, log=log, remember_s=REMEMBER_S)
        stop = open_until_end.enter_context(stop or StopSignal())
        try:
            await open_until_end.enter_async_context(fleet)
        except ServingError:
            if log is not None:  # of a world that did not begin
                log.path.unlink()
            raise
        if request.meter:
            meter = SimulatedMeter(fleet, clock, address=request.address)
            await open_until_end.enter_async_context(meter)
        if request.rig_list is not None:
            write_rig_list(request.rig_list, listed_rigs(fleet))
        _announce(site, fleet, request, console)
        campaign = None
        if request.faults is not None:
            campaign = LiveCampaign(request.faults, fleet, clock, console)
            await open_until_end.enter_async_context(campaign)
        await _watch(fleet, campaign, log, clock, stop, console)
    console.print(f"the {len(fleet.rigs)} simulated rigs are gone")
    return stop.interrupted


def schedule_of(path: Path, fleet: SimulatedFleet, clock: Clock) -> FaultSchedule:
    """Return the schedule of a campaign's file.

    Raises
    ------
    ConfigError
        If the file is wrong, or asks for rigs that the fleet does not have.
    """
    return FaultSchedule(fleet, load_campaign(path), clock, origin=str(path))


class LiveCampaign:
    """A campaign that begins anew, the old one mended, whenever its file changes."""

    def __init__(self, path: Path, fleet: SimulatedFleet, clock: Clock, console: Console) -> None:
        """Read the file; see `schedule_of`."""
        self._path = path
        self._fleet = fleet
        self._clock = clock
        self._console = console
        self._read_at = self._changed_at()
        self.schedule = schedule_of(path, fleet, clock)

    async def __aenter__(self) -> Self:
        """Start the campaign."""
        await self.schedule.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the campaign."""
        await self.schedule.__aexit__(kind, error, trace)

    async def look(self) -> None:
        """Begin anew if the file has changed; a wrong file changes nothing and is named."""
        self.schedule.check()
        changed_at = self._changed_at()
        if changed_at in {self._read_at, None}:
            return
        self._read_at = changed_at
        try:
            schedule = schedule_of(self._path, self._fleet, self._clock)
        except ConfigError as err:
            text = Text(f"{err}; the faults go on as they were", style="red")
            self._console.print(text, soft_wrap=True)
            return
        await self.schedule.__aexit__(None, None, None)
        await self.schedule.mend()
        self.schedule = await schedule.__aenter__()
        self._console.print(Text(f"{self._path} has changed: its campaign begins"), soft_wrap=True)

    def _changed_at(self) -> float | None:
        try:
            return self._path.stat().st_mtime
        except OSError:
            return None


def make_fleet(
    site: SiteConfig,
    request: FleetRequest,
    clock: Clock,
    *,
    log: WorldLog | None = None,
    remember_s: float | None = None,
) -> SimulatedFleet:
    """Return the rigs, spread over the site's groups by size; nothing listens yet.

    What `log` and `remember_s` are, `SimulatedRig` says.

    Raises
    ------
    ServingError
        If an address would not be loopback, a group would have no rig, or there is no such model.
    """
    count, address = request.count, request.address
    try:
        first = IPv4Address(address)
    except AddressValueError as err:
        raise ServingError(f"{address!r} is no IPv4 address; write it like 127.40.0.1") from err
    if first not in LOOPBACK or int(first) + count > int(LOOPBACK.broadcast_address):
        raise ServingError(
            f"{count} rigs from {address} on do not lie within {LOOPBACK}: simulated rigs listen "
            "at loopback addresses only"
        )
    if 0 in share_among_groups(site.groups, count):
        raise ServingError(
            f"{count} rigs are too few for the {len(site.groups)} groups of {site.name}: each "
            "needs one; give a greater --count"
        )
    groups = [
        group.model_copy(update={"load_levels": site.levels_of(group)}) for group in site.groups
    ]
    return SimulatedFleet.of_groups(
        groups,
        clock,
        count=count,
        base_address=address,
        port=request.port,
        model=_model(site, request.model),
        log=log,
        remember_s=remember_s,
    )


def _model(site: SiteConfig, name: str | None) -> RigModel:
    if name is None:
        is_air = all(group.cooling.kind == "air" for group in site.groups)
        return AIR_1566 if is_air else HYDRO_1566HA
    by_name = {known.casefold(): model for known, model in MODELS.items()}
    if name.casefold() not in by_name:
        raise ServingError(f"no simulated rig is a {name!r}; choose one of {', '.join(MODELS)}")
    return by_name[name.casefold()]


def listed_rigs(fleet: SimulatedFleet) -> list[ListedRig]:
    """Return the fleet as rows of a rig list; simulated rigs have the passwords of the factory."""
    return [
        ListedRig(
            rig_id=rig.rig_id,
            group=rig.group.name,
            address=rig.address,
            port=fleet.port_of(rig),
            firmware=FirmwareName(rig.model.protocol),
            allow_default_credentials=rig.model.password != "",
        )
        for rig in fleet.rigs.values()
    ]


def places(site: SiteConfig, fleet: SimulatedFleet) -> Table:
    """Return where the rigs of each group listen, and what they say they are."""
    model = next(iter(fleet.rigs.values())).model
    title = f"simulated rigs of {site.name}, each a {model.product} ({model.protocol})"
    table = Table(title=Text(title), title_justify="left")
    for name in ("group", "power of", "rigs", "first", "last", "port"):
        table.add_column(name, justify="right" if name in ("rigs", "port") else "left")
    for group in site.groups:
        own = [rig for rig in fleet.rigs.values() if rig.group.name == group.name]
        table.add_row(
            Text(group.name),
            Text(f"{group.rig_model}, {group.rig_power_w:,.0f} W"),
            str(len(own)),
            own[0].address,
            own[-1].address,
            str(fleet.port_of(own[0])),
        )
    return table


def _announce(
    site: SiteConfig, fleet: SimulatedFleet, request: FleetRequest, console: Console
) -> None:
    console.print(places(site, fleet))
    meter = f"{request.address}:{METER_PORT}" if request.meter else None
    for words, place in (
        ("meter     {}  (Modbus TCP, with the plant's sensors)", meter),
        ("rig list  {}  (for gridhash serve --rigs)", request.rig_list),
        ("faults    {}  (begin anew when the file changes)", request.faults),
        ("log       {}  (of what truly happens)", request.log),
    ):
        if place is not None:
            console.print(Text(words.format(place)), soft_wrap=True)


async def _watch(
    fleet: SimulatedFleet,
    campaign: LiveCampaign | None,
    log: WorldLog | None,
    clock: Clock,
    stop: StopSignal,
    console: Console,
) -> None:
    """Show power and traffic until it is to end; without a terminal only what changes."""
    shown: tuple[int, int, int] | None = None
    with Status("", console=console, spinner="dots") as status:
        while not stop.requested:
            running = sum(rig.state is WorkState.WORK for rig in fleet.rigs.values())
            n_changes = sum(rig.n_changes for rig in fleet.rigs.values())
            n_faulty = campaign.schedule.n_active if campaign is not None else 0
            words = (
                f"{clock.now():%H:%M:%S} UTC  {fleet.true_power_kw():,.1f} kW truly drawn, "
                f"{running} of {len(fleet.rigs)} rigs hash, {n_faulty} have a fault, "
                f"{fleet.n_connections} connections, {n_changes} commands (Ctrl-C ends)"
            )
            if console.is_terminal:
                status.update(Text(words))
            elif shown != (running, n_changes, n_faulty):
                console.print(Text(words), soft_wrap=True)
            shown = (running, n_changes, n_faulty)
            if log is not None:
                log.flush()
            if campaign is not None:
                await campaign.look()
            await stop.sleep_until(clock, clock.now() + timedelta(seconds=STATUS_S))
