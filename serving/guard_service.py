"""What `gridhash guard` starts from: site, rigs, settings, where heartbeats come from."""

import asyncio
from pathlib import Path

from rich.console import Console
from rich.text import Text

from gridhash.agents.signing import read_key, read_public_key
from gridhash.config import load_site
from gridhash.errors import ConfigError, ServingError
from gridhash.serving.clock import Clock, RealClock
from gridhash.serving.guard import Guard, GuardEars
from gridhash.serving.guard_link import read_link_key
from gridhash.serving.guard_lowering import guarded_rigs
from gridhash.serving.guard_settings import (
    GuardSettings,
    load_guard_settings,
    sign_guard_settings,
)
from gridhash.serving.heartbeat_push import GuardAddress
from gridhash.serving.rig_list import drivers_of, read_rig_list, site_of_rigs
from gridhash.serving.site_meter import ModbusMeter, SiteMeter
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.stop_signal import StopSignal


def sign_settings(settings: Path | None, key: Path, console: Console) -> None:
    """Sign a guard's settings; see `sign_guard_settings`."""
    if settings is None:
        raise ConfigError("--sign signs a settings file: give --settings FILE too")
    signature = sign_guard_settings(settings, read_key(key))
    console.print(Text(f"{signature} signs {settings}"), soft_wrap=True)


def parse_guard_address(text: str) -> GuardAddress:
    """Return an address written as ``host:port``.

    Raises
    ------
    ConfigError
        If it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"{text!r} is no address; write it like 10.0.0.5:7417")
    return GuardAddress(host.strip("[]"), int(port))


def guard_site(
    site: str,
    *,
    rigs: Path,
    state: Path,
    settings: Path | None,
    trusted: Path | None,
    listen: str | None,
    key: Path | None,
    console: Console,
    meter: SiteMeter | None = None,
) -> None:
    """Guard a site until Ctrl-C or SIGTERM.

    Raises
    ------
    GridhashError
        If a file is wrong, the address is taken, or another guard runs on the folder.
    KeyboardInterrupt
        After an orderly end by Ctrl-C.
    """
    if trusted is not None and settings is None:
        raise ConfigError("--trust checks the settings' signature: give --settings FILE too")
    own = GuardSettings()
    if settings is not None:
        own = load_guard_settings(
            settings, trusted=None if trusted is None else read_public_key(trusted)
        )
    if (listen is None) != (key is None):
        raise ConfigError("--listen needs --key FILE, and --key needs --listen HOST:PORT")
    ears = None
    if listen is not None and key is not None:
        ears = GuardEars(address=parse_guard_address(listen), key=read_link_key(key))
    clock = RealClock()
    guard = make_guard(site, rigs, state, own, clock, ears=ears, meter=meter)
    console.print(Text(banner(guard, site, ears)), soft_wrap=True)
    if asyncio.run(_run(guard)):
        raise KeyboardInterrupt


def make_guard(
    site: str,
    rigs: Path,
    state: Path,
    settings: GuardSettings,
    clock: Clock,
    *,
    ears: GuardEars | None = None,
    meter: SiteMeter | None = None,
) -> Guard:
    """Return a guard of a site; nothing is sent. `meter` stands in for that of the settings.

    Raises
    ------
    GridhashError
        If site or rig list is wrong, or another guard runs on the folder.
    """
    listed = read_rig_list(rigs)
    config = site_of_rigs(load_site(site), listed, rigs)
    drivers = drivers_of(listed, config, clock)
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ServingError(f"{state}: no place for the guard's record: {err.strerror}") from err
    if meter is None and settings.meter is not None:
        meter = ModbusMeter(settings.meter, clock)
    return Guard(
        StateFolder(state),
        settings,
        guarded_rigs(config, lambda group: drivers[group]),
        clock,
        max_site_kw=config.limits.contract_power_kw,
        ears=ears,
        meter=meter,
    )


def banner(guard: Guard, site: str, ears: GuardEars | None) -> str:
    """Return in words what a guard watches and what it will do."""
    own = guard.settings
    heard = f", and at {ears.address}" if ears else ""
    return (
        f"guarding {len(guard.lowering.rigs)} rigs of {site}: heartbeats in "
        f"{guard.folder.heartbeat}{heard}; after {own.heartbeat_limit_s:g} s without one rigs are "
        f"stopped down to {own.safe_profile.max_rig_kw:g} kW. Now {guard.watch.state}. "
        f"Record: {guard.folder.guard_record} (Ctrl-C ends; the rigs stay as they are)"
    )


async def _run(guard: Guard) -> bool:
    with StopSignal() as stop:
        await guard.run(stop)
        return stop.interrupted
