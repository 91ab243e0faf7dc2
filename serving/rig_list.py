"""The CSV file that says which rigs a site has, and how each is spoken to.

``rig_id,group,address`` and, where they are needed, ``port``, ``firmware`` (``avalon`` if the
column is missing; ``auto`` to find out), ``credentials`` (``env:NAME`` or ``file:PATH``, never a
password), ``allow_default_credentials`` (``yes``) and ``mac`` (of the rig that belongs there).

Lines that begin with ``#`` are comments. Addresses are IPv4, loopback or private: a rig never
belongs on a public address, and a name that resolves elsewhere tomorrow is no address.
"""

import csv
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path

from gridhash.config import SiteConfig
from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials, CredentialsError, read_credentials
from gridhash.serving.drivers.driver import FirmwareDriver, LevelsOf
from gridhash.serving.drivers.firmware import mac_text
from gridhash.serving.drivers.registry import AUTO, KINDS, driver_for

COLUMNS = (
    "rig_id",
    "group",
    "address",
    "port",
    "firmware",
    "credentials",
    "allow_default_credentials",
    "mac",
)
REQUIRED = COLUMNS[:3]
WRITTEN = (*COLUMNS[:5], "allow_default_credentials")
"""Columns of a list of simulated rigs, which have no secrets."""
YES, NO = "yes", "no"
LONGEST_RIG_ID = 64
LOOPBACK = IPv4Network("127.0.0.0/8")
ALLOWED = (
    LOOPBACK,
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
)
SIMULATED_MARK = "# rigs of gridhash simulate-rigs"
"""First line of a list that may be written over, because no person wrote it."""


class RigListError(ServingError):
    """The rig list is wrong; the message names file, row, column, value and what to do."""


@dataclass(frozen=True, kw_only=True)
class ListedRig:
    """One row of a rig list."""

    rig_id: str
    group: str
    address: str
    port: int | None = None
    """None for the firmware's own."""
    firmware: FirmwareName | None = FirmwareName.AVALON
    """None to find out."""
    credentials: Credentials | None = None
    allow_default_credentials: bool = False
    mac: str | None = None
    """Of the rig that belongs at the address; None if nobody wrote it down."""
    row: int = 0
    """Line of the file, counted from 1."""

    @property
    def is_loopback(self) -> bool:
        """Whether the address is one of this machine, where only simulated rigs listen."""
        return IPv4Address(self.address) in LOOPBACK


def read_rig_list(path: Path) -> list[ListedRig]:
    """Read a rig list.

    Raises
    ------
    RigListError
        If the file cannot be read, a column is missing or unknown, a value is wrong, or two rows
        have the same rig_id or the same address and port.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as err:
        raise RigListError(f"{path}: the rig list cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise RigListError(f"{path}: not UTF-8 text ({err}); save it as UTF-8") from err
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]
    if not lines:
        raise RigListError(f"{path} is empty; expected the header {_header()} and a row per rig")
    try:
        cells = [next(csv.reader([line], strict=True)) for _, line in lines]
    except csv.Error as err:
        raise RigListError(f"{path}: no CSV: {err}") from err
    names = [name.strip() for name in cells[0]]
    _check_header(path, names)
    rigs = [
        _rig(path, number, names, values)
        for (number, _), values in zip(lines[1:], cells[1:], strict=True)
    ]
    if not rigs:
        raise RigListError(f"{path} lists no rig; add a row per rig below the header")
    _check_unique(path, rigs)
    return rigs


def write_rig_list(path: Path, rigs: Iterable[ListedRig]) -> None:
    """Write the list of simulated rigs, whole or not at all; see `check_may_write`."""
    check_may_write(path)
    rows = [",".join(_cells(rig)) for rig in rigs]
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        scratch.write_text("\n".join([SIMULATED_MARK, ",".join(WRITTEN), *rows]) + "\n", "utf-8")
        os.replace(scratch, path)
    except OSError as err:
        scratch.unlink(missing_ok=True)
        raise RigListError(f"{path}: cannot be written: {err.strerror}") from err


def check_may_write(path: Path) -> None:
    """Refuse to write over a list that a person wrote.

    Raises
    ------
    RigListError
        If there is another file, or no folder to write to.
    """
    if not path.parent.is_dir():
        raise RigListError(f"there is no folder {path.parent} for the rig list: create it")
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = file.readline().startswith(SIMULATED_MARK)
    except OSError as err:
        raise RigListError(f"{path}: cannot be written: {err.strerror}") from err
    if not ours:
        raise RigListError(
            f"{path} exists and is no list of simulated rigs; it is not overwritten: choose "
            "another name"
        )


def site_of_rigs(site: SiteConfig, rigs: Sequence[ListedRig], path: Path) -> SiteConfig:
    """Return the site with as many rigs in each group as are listed.

    Raises
    ------
    RigListError
        If a row names a group that the site does not have, or a group has no row.
    """
    names = [group.name for group in site.groups]
    for rig in rigs:
        if rig.group not in names:
            raise RigListError(
                f"{path}, row {rig.row}, column group: the site {site.name} has no group "
                f"{rig.group!r}; it has {', '.join(names)}"
            )
    counts = Counter(rig.group for rig in rigs)
    if empty := [name for name in names if not counts[name]]:
        raise RigListError(
            f"{path} lists no rig of {', '.join(empty)}; the site {site.name} needs at least one "
            "in each group: add rows, or remove the group from the site file"
        )
    if all(counts[group.name] == group.n_rigs for group in site.groups):
        return site
    return site.scaled_to(counts)


def drivers_of(
    rigs: Sequence[ListedRig],
    site: SiteConfig,
    clock: Clock,
    *,
    macs: Mapping[str, str] | None = None,
    levels: tuple[int, ...] | LevelsOf = (),
) -> dict[str, list[FirmwareDriver]]:
    """Return the drivers of each group, in the order of the list; nothing is sent.

    Parameters
    ----------
    macs
        Of the rigs as they were last seen, by name; the list's own count more.
    levels
        Work levels that commissioning found.

    Raises
    ------
    ServingError
        If pyasic is not installed.
    """
    return {
        group.name: [
            driver_for(
                rig.rig_id,
                rig.address,
                clock,
                firmware=rig.firmware,
                port=rig.port,
                credentials=rig.credentials,
                allow_default_credentials=rig.allow_default_credentials,
                mac=rig.mac or (macs or {}).get(rig.rig_id),
                commissioned_levels=levels,
            )
            for rig in rigs
            if rig.group == group.name
        ]
        for group in site.groups
    }


def _header() -> str:
    return f"{','.join(REQUIRED)}[,{','.join(COLUMNS[3:])}]"


def _cells(rig: ListedRig) -> tuple[str, ...]:
    return (
        rig.rig_id,
        rig.group,
        rig.address,
        "" if rig.port is None else str(rig.port),
        AUTO if rig.firmware is None else str(rig.firmware),
        YES if rig.allow_default_credentials else "",
    )


def _check_header(path: Path, names: list[str]) -> None:
    for name in REQUIRED:
        if name not in names:
            raise RigListError(
                f"{path}: the column {name} is missing; the header must be {_header()}, found "
                f"{','.join(names)[:80]!r}"
            )
    for name, count in Counter(names).items():
        if name not in COLUMNS:
            raise RigListError(f"{path}: unknown column {name!r}; the header must be {_header()}")
        if count > 1:
            raise RigListError(f"{path}: the column {name} occurs twice; keep one of them")


def _rig(path: Path, row: int, names: list[str], values: list[str]) -> ListedRig:
    if len(values) != len(names):
        raise RigListError(
            f"{path}, row {row}: {len(values)} values under {len(names)} columns; correct the row"
        )
    given = {name: value.strip() for name, value in zip(names, values, strict=True)}

    def fail(column: str, problem: str) -> RigListError:
        return RigListError(f"{path}, row {row}, column {column}: {problem}")

    for name in REQUIRED:
        if not given[name]:
            raise fail(name, "the value is missing; fill it in")
    rig_id = given["rig_id"]
    if len(rig_id) > LONGEST_RIG_ID or not rig_id.isprintable():
        raise fail("rig_id", f"{rig_id[:LONGEST_RIG_ID]!r} is no name of at most 64 characters")
    try:
        address = IPv4Address(given["address"])
    except AddressValueError as err:
        raise fail(
            "address", f"{given['address'][:80]!r} is no IPv4 address; write it like 10.0.0.17"
        ) from err
    if not any(address in network for network in ALLOWED):
        raise fail(
            "address",
            f"{address} is neither loopback nor private (10.x, 172.16–31.x, 192.168.x): rigs are "
            "never spoken to over a public network; correct the address",
        )
    port = given.get("port")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise fail(
            "port", f"{port[:20]!r} is no port, 1 … 65535; leave it out for the firmware's own"
        )
    firmware = given.get("firmware") or str(FirmwareName.AVALON)
    if firmware not in (AUTO, *FirmwareName):
        raise fail(
            "firmware",
            f"no driver is called {firmware[:40]!r}; there are {AUTO}, {', '.join(FirmwareName)}",
        )
    allow = given.get("allow_default_credentials") or NO
    if allow not in {YES, NO}:
        raise fail("allow_default_credentials", f"write {YES} or {NO}, not {allow[:20]!r}")
    mac = given.get("mac")
    if mac and mac_text(mac) is None:
        raise fail("mac", f"{mac[:40]!r} is no MAC; write it like E0:E1:A9:3E:2C:7D")
    try:
        reference = given.get("credentials")
        own = read_credentials(reference, folder=path.parent) if reference else None
    except CredentialsError as err:
        raise fail("credentials", str(err)) from None
    return ListedRig(
        rig_id=rig_id,
        group=given["group"],
        address=str(address),
        port=int(port) if port else None,
        firmware=None if firmware == AUTO else FirmwareName(firmware),
        credentials=own,
        allow_default_credentials=allow == YES,
        mac=mac_text(mac) if mac else None,
        row=row,
    )


def _check_unique(path: Path, rigs: Sequence[ListedRig]) -> None:
    by_id: dict[str, int] = {}
    by_place: dict[tuple[str, int | None], int] = {}
    for rig in rigs:
        if (first := by_id.setdefault(rig.rig_id, rig.row)) != rig.row:
            raise RigListError(
                f"{path}, row {rig.row}, column rig_id: {rig.rig_id!r} is already in row {first}; "
                "each rig has one row"
            )
        own_port = None if rig.firmware is None else KINDS[rig.firmware].port
        place = (rig.address, rig.port or own_port)
        if (first := by_place.setdefault(place, rig.row)) != rig.row:
            raise RigListError(
                f"{path}, row {rig.row}, column address: {place[0]}:{place[1] or AUTO} is already "
                f"in row {first}; correct one of them"
            )
