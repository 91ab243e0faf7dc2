"""`gridhash doctor`: whether a host and a site are fit to be served; it commands nothing."""

import asyncio
import ctypes
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from gridhash.agents.bundle import load_bundle
from gridhash.agents.signing import read_public_key
from gridhash.config import SiteConfig
from gridhash.errors import GridhashError, ServingError
from gridhash.serving.guard_link import TO_CONTROLLER, GuardFrame, read_frame, read_link_key
from gridhash.serving.heartbeat_push import GuardAddress
from gridhash.serving.journal import Journal
from gridhash.serving.private_file import others_may_read
from gridhash.serving.roll_call import Fate, RigFate
from gridhash.serving.site_meter import SiteMeter
from gridhash.serving.site_view import Severity, SiteView
from gridhash.serving.state_folder import StateFolder

TIME_ERROR = 5
"""What adjtimex(2) returns for a clock that nothing keeps right."""

US_PER_S = 1e6
LARGEST_CLOCK_ERROR_S = 1.0
SLOW_FSYNC_S = 0.1
GUARD_WITHIN_S = 5.0
LEAST_FREE_BYTES, LITTLE_FREE_BYTES = 200e6, 2e9
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "sshfs", "fuse.sshfs"})
VOLATILE_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})


class Grade(IntEnum):
    """How a check went; the worst is the exit code."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line."""

    name: str
    grade: Grade
    found: str
    remedy: str = ""
    """What to do; empty if all is well."""


def check_host(folder: StateFolder) -> Iterator[Check]:
    """Yield what does not need the site: clock, disk, journal."""
    yield check_clock()
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        yield Check(
            name="state folder",
            grade=Grade.FAIL,
            found=f"{folder.path}: {err.strerror}",
            remedy="make it, owned by the user that serves",
        )
        return
    yield check_file_system(folder.path)
    yield check_disk(folder.path)
    yield check_fsync(folder.path)
    yield check_journal(folder.journal)


def check_clock() -> Check:
    """Check that the host's clock is kept right (adjtimex(2))."""
    buffer = ctypes.create_string_buffer(1024)  # struct timex, larger than on any system
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except AttributeError:
        return Check(
            name="clock",
            grade=Grade.WARN,
            found="this system does not say whether its clock is kept right",
            remedy="see to it that an NTP service runs",
        )
    # struct timex begins: unsigned modes; long offset, freq, maxerror …
    error_s = ctypes.c_long.from_buffer(buffer, 3 * ctypes.sizeof(ctypes.c_long)).value / US_PER_S
    if state in (-1, TIME_ERROR):
        return Check(
            name="clock",
            grade=Grade.WARN,
            found="nothing keeps the host's clock right",
            remedy="run an NTP service (systemctl enable --now systemd-timesyncd, or chrony)",
        )
    good = error_s <= LARGEST_CLOCK_ERROR_S
    return Check(
        name="clock",
        grade=Grade.OK if good else Grade.WARN,
        found=f"kept right, at most {error_s:.3f} s wrong",
        remedy="" if good else "look why the NTP service is so far off",
    )


def check_file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> Check:
    """Check that the state folder lies on a local disk: the lease needs one host's locks."""
    kind = file_system_of(path, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        return Check(
            name="file system",
            grade=Grade.FAIL,
            found=f"{path} lies on {kind}, a network file system",
            remedy="use a local disk: a lease and a journal on a network folder protect nothing",
        )
    if kind in VOLATILE_FILE_SYSTEMS:
        return Check(
            name="file system",
            grade=Grade.WARN,
            found=f"{path} lies on {kind}: a restart of the host loses the journal",
            remedy="use a disk",
        )
    return Check(name="file system", grade=Grade.OK, found=kind or "unknown")


def file_system_of(path: Path, mounts: Path) -> str:
    """Return the type of the file system that holds a path; empty if the system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    real = path.resolve()
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        if len(fields) >= 3 and real.is_relative_to(fields[1]) and len(fields[1]) >= len(best):
            best, kind = fields[1], fields[2]
    return kind


def check_disk(path: Path) -> Check:
    """Check that there is room for the journal."""
    free = shutil.disk_usage(path).free
    grade = Grade.OK
    if free < LITTLE_FREE_BYTES:
        grade = Grade.FAIL if free < LEAST_FREE_BYTES else Grade.WARN
    return Check(
        name="disk",
        grade=grade,
        found=f"{free / 1e9:.1f} GB free",
        remedy="" if grade is Grade.OK else "free space: without a journal no rig is started",
    )


def check_fsync(path: Path) -> Check:
    """Check that a write is on the disk soon: each intent waits for it."""
    began_s = time.perf_counter()
    try:
        with tempfile.NamedTemporaryFile(dir=path, prefix=".doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took_s = time.perf_counter() - began_s
    except OSError as err:
        return Check(
            name="writing",
            grade=Grade.FAIL,
            found=f"{path} cannot be written: {err.strerror}",
            remedy="give the user that serves the right to write there, or free space",
        )
    good = took_s <= SLOW_FSYNC_S
    return Check(
        name="writing",
        grade=Grade.OK if good else Grade.WARN,
        found=f"a write is on the disk after {took_s * 1000:.1f} ms",
        remedy="" if good else "use a faster disk: each command waits so long for its intent",
    )


def check_journal(path: Path) -> Check:
    """Check that the journal can be read, and written by who serves."""
    if not path.exists():
        return Check(name="journal", grade=Grade.OK, found=f"none yet; it will be {path}")
    try:
        with Journal(path, read_only=True) as journal:
            n_runs = journal.count("runs")
    except ServingError as err:
        return Check(name="journal", grade=Grade.FAIL, found=str(err), remedy="see the message")
    if not os.access(path, os.W_OK):
        return Check(
            name="journal",
            grade=Grade.FAIL,
            found=f"{path} may not be written by this user",
            remedy="ask as the user that serves, or correct the owner",
        )
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    return Check(name="journal", grade=Grade.OK, found=f"{n_runs} runs, {size / 1e6:.0f} MB")


def check_processes(view: SiteView) -> Iterator[Check]:
    """Yield how controller, lease and guard stand, as `gridhash status` sees it."""
    for problem in view.problems:
        # What was never started here is no fault before the first start.
        grade = Grade.FAIL if problem.severity is Severity.CRITICAL else Grade.WARN
        yield Check(name="site", grade=grade, found=problem.text, remedy="see gridhash status")
    if view.lease is not None and not view.lease.released:
        found = f"lease {view.lease.token} of {view.lease.holder}"
        yield Check(name="lease", grade=Grade.OK, found=found)
    if view.supervision is not None and view.supervision.at > view.at:
        ahead_s = -view.age_s(view.supervision.at)
        yield Check(
            name="clock",
            grade=Grade.FAIL,
            found=f"the journal's newest row is {ahead_s:.0f} s ahead of the clock",
            remedy="set the clock before serving",
        )


def check_secrets(paths: Iterable[Path]) -> Iterator[Check]:
    """Yield whether files of keys and passwords are for their owner's eyes alone."""
    for path in paths:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as err:
            yield Check(
                name="secret",
                grade=Grade.FAIL,
                found=f"{path}: {err.strerror}",
                remedy="correct the path, or make the file",
            )
            continue
        private = not others_may_read(path, mode)
        yield Check(
            name="secret",
            grade=Grade.OK if private else Grade.FAIL,
            found=f"{path} has mode {mode:04o}",
            remedy="" if private else f"chmod 600 {path}",
        )


def check_link_key(path: Path) -> Check:
    """Check the key that controller and guards share."""
    try:
        read_link_key(path)
    except ServingError as err:
        return Check(name="heartbeat key", grade=Grade.FAIL, found=str(err), remedy="see there")
    return Check(name="heartbeat key", grade=Grade.OK, found=f"{path} holds one")


def check_bundle(bundle: Path, key: Path, site: SiteConfig) -> Check:
    """Check that the bundle is whole, signed by the key, and fits the site."""
    try:
        policy, manifest, _ = load_bundle(bundle, site=site, trusted_keys=[read_public_key(key)])
    except (GridhashError, OSError) as err:
        return Check(name="bundle", grade=Grade.FAIL, found=str(err), remedy="export it again")
    unproven = manifest.verdict is None or not manifest.deployable
    return Check(
        name="bundle",
        grade=Grade.WARN if unproven else Grade.OK,
        found=f"{policy.name}, signed and fit for the site"
        + (", not proven better than the site's rules" if unproven else ""),
        remedy="judge it with gridhash bundle promote" if unproven else "",
    )


def check_rigs(fates: Iterable[RigFate]) -> Iterator[Check]:
    """Yield what answers at the addresses of the rig list, a line per fate."""
    by_fate: dict[Fate, list[RigFate]] = {}
    for fate in fates:
        by_fate.setdefault(fate.fate, []).append(fate)
    for kind, own in by_fate.items():
        good = kind is Fate.IDENTIFIED
        names = ", ".join(f"{fate.rig_id} ({fate.address})" for fate in own[:3])
        more = f" and {len(own) - 3} more" if len(own) > 3 else ""
        yield Check(
            name="rigs",
            grade=Grade.OK if good else Grade.WARN,
            found=f"{len(own)} {kind}: {names}{more}",
            remedy="" if good else "check power, network and the rig list",
        )
    if Fate.IDENTIFIED not in by_fate:
        yield Check(
            name="rigs",
            grade=Grade.FAIL,
            found="no rig can be commanded",
            remedy="check power, network and the rig list",
        )


async def check_meter(meter: SiteMeter | None) -> Check:
    """Check the site's meter, read once; None if the site has none."""
    if meter is None:
        return Check(
            name="meter",
            grade=Grade.WARN,
            found="no meter: reductions are self-reported by rigs, 5 to 20 % off",
            remedy="connect the site's meter where a program pays by it",
        )
    try:
        reading = await meter.read()
    except ServingError as err:
        return Check(name="meter", grade=Grade.FAIL, found=str(err), remedy="check its line")
    return Check(name="meter", grade=Grade.OK, found=f"{reading.power_kw:.1f} kW")


async def check_guard(address: GuardAddress, key: Path) -> Check:
    """Check that a guard listens at an address and has our key; nothing is told to it."""
    name = "guard"
    try:
        async with asyncio.timeout(GUARD_WITHIN_S):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                greeting, _ = await read_frame(
                    reader, read_link_key(key), TO_CONTROLLER, GuardFrame
                )
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ServingError) as err:
        return Check(
            name=name,
            grade=Grade.FAIL,
            found=f"{address}: {err or 'no answer'}",
            remedy="start the guard there, give it the same key, let the port through",
        )
    notice = greeting.notice
    return Check(name=name, grade=Grade.OK, found=f"{notice.guard} at {address}: {notice.state}")
