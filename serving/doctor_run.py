"""Everything that `gridhash doctor` looks at, in order."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from gridhash.config import SiteConfig, load_site
from gridhash.errors import ConfigError, GridhashError, ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.commissioning_record import read_record
from gridhash.serving.doctor import (
    Check,
    Grade,
    check_bundle,
    check_guard,
    check_host,
    check_link_key,
    check_meter,
    check_processes,
    check_rigs,
    check_secrets,
)
from gridhash.serving.doctor_rigs import check_commissioning, check_passwords
from gridhash.serving.heartbeat_push import GuardAddress
from gridhash.serving.rig_list import drivers_of, read_rig_list, site_of_rigs
from gridhash.serving.roll_call import call_roll
from gridhash.serving.served import read_served
from gridhash.serving.site_meter import SiteMeter
from gridhash.serving.site_view import view_site
from gridhash.serving.state_folder import StateFolder


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is looked at; None for what is not given."""

    folder: StateFolder
    site: str | None = None
    """Preset or file; what is served in the folder if not given."""
    rigs: Path | None = None
    bundle: Path | None = None
    bundle_key: Path | None = None
    link_key: Path | None = None
    guards: tuple[GuardAddress, ...] = ()
    secrets: tuple[Path, ...] = ()
    meter: SiteMeter | None = None


async def examine(patient: Patient, clock: Clock) -> AsyncIterator[Check]:
    """Yield every check as it is done; rigs are asked who they are, and told nothing.

    Raises
    ------
    ConfigError
        If a bundle or a guard is given without the key that goes with it.
    """
    if (patient.bundle is None) != (patient.bundle_key is None):
        raise ConfigError("--bundle needs --trust KEY.pub, and --trust needs --bundle")
    if patient.guards and patient.link_key is None:
        raise ConfigError("--guard needs --heartbeat-key FILE")
    for check in check_host(patient.folder):
        yield check
    for check in check_processes(view_site(patient.folder, clock.now())):
        yield check
    for check in check_secrets(patient.secrets):
        yield check
    if patient.link_key is not None:
        yield check_link_key(patient.link_key)
        for address in patient.guards:
            yield await check_guard(address, patient.link_key)
    yield await check_meter(patient.meter)
    try:
        site, rigs = site_and_rigs(patient.folder, patient.site, patient.rigs)
    except GridhashError as err:
        yield Check(name="site file", grade=Grade.FAIL, found=str(err), remedy="see the message")
        return
    yield Check(
        name="site file",
        grade=Grade.OK,
        found=f"{site.name}: {site.n_rigs} rigs, {site.max_rig_kw:.0f} kW, at most "
        f"{site.limits.contract_power_kw:.0f} kW",
    )
    if patient.bundle is not None and patient.bundle_key is not None:
        yield check_bundle(patient.bundle, patient.bundle_key, site)
    if rigs is None:
        return
    try:
        listed = read_rig_list(rigs)
        drivers = drivers_of(listed, site, clock)
        record = read_record(rigs, site.name)
    except ServingError as err:
        yield Check(name="rigs", grade=Grade.FAIL, found=str(err), remedy="see the message")
        return
    placed = [(name, driver) for name, own in drivers.items() for driver in own]
    fates = await call_roll(placed)
    for check in (
        *check_rigs(fates),
        *check_passwords(listed),
        *check_commissioning(record, fates),
    ):
        yield check


def site_and_rigs(
    folder: StateFolder, site: str | None, rigs: Path | None
) -> tuple[SiteConfig, Path | None]:
    """Return the site, with as many rigs as are listed, and the rig list, as given or as served.

    Raises
    ------
    GridhashError
        If a file is wrong, or none is given and nothing is served here.
    """
    if site is None:
        served = read_served(folder)
        config, rigs = served.config, rigs or served.rigs
    else:
        config = load_site(site)
    if rigs is None:
        return config, None
    return site_of_rigs(config, read_rig_list(rigs), rigs), rigs
