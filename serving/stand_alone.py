"""`gridhash simulate-rigs`: simulated rigs on real time, to try a controller on."""

import asyncio
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from gridhash.config import SiteConfig, load_site
from gridhash.errors import ServingError
from gridhash.serving.clock import Clock, RealClock
from gridhash.serving.rig_list import LOOPBACK, ListedRig, check_may_write, write_rig_list
from gridhash.serving.simulated_fleet import SimulatedFleet, share_among_groups
from gridhash.serving.simulated_model import AIR_1566, HYDRO_1566HA, WorkState
from gridhash.serving.stop_signal import StopSignal

STATUS_S = 1.0


def run_simulated_rigs(
    site: str,
    count: int,
    address: str,
    port: int,
    console: Console,
    rig_list: Path | None = None,
) -> None:
    """Run `count` rigs of a site from `address` on until Ctrl-C or SIGTERM.

    Raises
    ------
    ConfigError
        If there is no such site.
    ServingError
        If the addresses are not loopback, one is taken, or `rig_list` cannot be written.
    KeyboardInterrupt
        After an orderly end by Ctrl-C.
    """
    if asyncio.run(run_fleet_alone(load_site(site), count, address, port, console, rig_list)):
        raise KeyboardInterrupt


async def run_fleet_alone(
    site: SiteConfig,
    count: int,
    address: str,
    port: int,
    console: Console,
    rig_list: Path | None = None,
    *,
    clock: Clock | None = None,
    stop: StopSignal | None = None,
) -> bool:
    """Run simulated rigs until they are to stop; return whether Ctrl-C ended them.

    Raises
    ------
    ServingError
        See `run_simulated_rigs`.
    """
    clock = clock or RealClock()
    fleet = make_fleet(site, count, address, port, clock)
    listed = listed_rigs(fleet)
    if rig_list is not None:
        check_may_write(rig_list)
    with stop or StopSignal() as stop:
        async with fleet:
            if rig_list is not None:
                write_rig_list(rig_list, listed)
            console.print(places(site, listed))
            if rig_list is not None:
                console.print(Text(f"rig list  {rig_list}  (for gridhash serve --rigs)"))
            await _watch(fleet, clock, stop, console)
        console.print(f"the {len(fleet.rigs)} simulated rigs are gone")
        return stop.interrupted


def make_fleet(
    site: SiteConfig, count: int, address: str, port: int, clock: Clock
) -> SimulatedFleet:
    """Return the rigs, spread over the site's groups by size; nothing listens yet.

    Raises
    ------
    ServingError
        If an address would not be loopback, or a group would have no rig.
    """
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
    is_air = all(group.cooling.kind == "air" for group in groups)
    return SimulatedFleet.of_groups(
        groups,
        clock,
        count=count,
        base_address=address,
        port=port,
        model=AIR_1566 if is_air else HYDRO_1566HA,
    )


def listed_rigs(fleet: SimulatedFleet) -> list[ListedRig]:
    """Return the fleet as rows of a rig list."""
    return [
        ListedRig(
            rig_id=rig.rig_id, group=rig.group.name, address=rig.address, port=fleet.port_of(rig)
        )
        for rig in fleet.rigs.values()
    ]


def places(site: SiteConfig, rigs: list[ListedRig]) -> Table:
    """Return where the rigs of each group listen."""
    table = Table(title=f"simulated rigs of {site.name}", title_justify="left")
    for name in ("group", "model of the site", "rigs", "first", "last", "port"):
        table.add_column(name, justify="right" if name in ("rigs", "port") else "left")
    for group in site.groups:
        own = [rig for rig in rigs if rig.group == group.name]
        table.add_row(
            Text(group.name),
            Text(f"{group.rig_model}, {group.rig_power_w:,.0f} W"),
            str(len(own)),
            own[0].address,
            own[-1].address,
            str(own[0].port),
        )
    return table


async def _watch(fleet: SimulatedFleet, clock: Clock, stop: StopSignal, console: Console) -> None:
    """Show power and traffic until it is to end; without a terminal only what changes."""
    n_commands = 0
    shown: tuple[int, int] | None = None
    with Status("", console=console, spinner="dots") as status:
        while not stop.requested:
            for rig in fleet.rigs.values():
                n_commands += sum(command.text.startswith("ascset") for command in rig.commands)
                rig.commands.clear()  # nobody looks at them here, and a day brings many
            running = sum(rig.state is WorkState.WORK for rig in fleet.rigs.values())
            words = (
                f"{clock.now():%H:%M:%S} UTC  {fleet.true_power_kw():,.1f} kW truly drawn, "
                f"{running} of {len(fleet.rigs)} rigs hash, {fleet.n_connections} connections, "
                f"{n_commands} commands (Ctrl-C ends)"
            )
            if console.is_terminal:
                status.update(Text(words))
            elif shown != (running, n_commands):
                console.print(Text(words), soft_wrap=True)
            shown = (running, n_commands)
            await stop.sleep_until(clock, clock.now() + timedelta(seconds=STATUS_S))
