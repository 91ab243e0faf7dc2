"""What commissioning measured of each model and firmware of a site, as `gridhash serve` reads it.

The file lies beside the rig list (``rigs.csv`` → ``rigs.commissioned.json``). It holds for the
firmware version that was measured and no other: a rig that answers with another one is run as if
nobody had ever measured it, and an alarm says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, Field, ValidationError

from gridhash.errors import ServingError
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.protocol import RigIdentity
from gridhash.serving.state_folder import Record, read_small, write_whole

LEAST_RIGS = 3
"""Rigs of a model and firmware on which a figure is measured before it counts."""


class Quantiles(Record):
    """How a figure is spread over rigs."""

    n: int = Field(ge=1)
    p10: float
    p50: float
    p90: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Quantiles | None":
        """Return the spread of the values that are there; None without any."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        p10, p50, p90 = (round(float(q), 3) for q in np.quantile(known, (0.1, 0.5, 0.9)))
        return cls(n=len(known), p10=p10, p50=p50, p90=p90, most=round(max(known), 3))


class PointFound(Record):
    """One work level, power or preset that every measured rig took, by its watts."""

    name: str
    """``level 1``, ``50% of its power`` or a preset's name."""
    level: int | None = None
    """Number of a work level; None for powers and presets."""
    power_w: Quantiles
    seconds: Quantiles
    """From the command until watts stood there."""


class CommissionedKind(Record):
    """What was measured of one model with one firmware version."""

    firmware: FirmwareName
    model: str
    version: str | None
    at: AwareDatetime
    person: str
    n_rigs: int = Field(ge=LEAST_RIGS)
    clock_skew_s: Quantiles | None
    running_w: Quantiles
    standby_w: Quantiles | None
    stop_s: Quantiles | None
    """From the command until watts showed standby."""
    resume_s: Quantiles | None
    """From the command until watts showed that it runs …"""
    hash_s: Quantiles | None
    """… and until it hashed as before."""
    points: tuple[PointFound, ...]
    sleep_survives_reboot: bool | None
    """None if not tried, or if rigs differ."""
    competing_manager: bool
    """Whether something else changed a rig back."""
    macs: tuple[str, ...]

    @property
    def key(self) -> tuple[FirmwareName, str, str | None]:
        """What it holds for."""
        return self.firmware, self.model, self.version

    @property
    def work_levels(self) -> tuple[int, ...]:
        """Work levels that exist."""
        return tuple(sorted(point.level for point in self.points if point.level is not None))


class CommissioningRecord(Record):
    """All kinds of a site that were measured."""

    format_version: Literal[1] = 1
    site: str
    kinds: tuple[CommissionedKind, ...] = ()

    def kind(
        self, firmware: FirmwareName, model: str, version: str | None
    ) -> CommissionedKind | None:
        """Return what was measured of exactly this firmware version; None if nothing was."""
        return next((own for own in self.kinds if own.key == (firmware, model, version)), None)

    def levels_of(self, firmware: FirmwareName, model: str, version: str | None) -> tuple[int, ...]:
        """Return the work levels that may be commanded; none for what was not measured."""
        found = self.kind(firmware, model, version)
        return found.work_levels if found else ()

    def with_kinds(self, kinds: Sequence[CommissionedKind]) -> "CommissioningRecord":
        """Return the record with newer measurements in the place of older ones."""
        newer = {kind.key for kind in kinds}
        kept = [kind for kind in self.kinds if kind.key not in newer]
        return self.model_copy(update={"kinds": (*kept, *kinds)})

    def voided_by(self, identities: Mapping[str, RigIdentity]) -> dict[str, tuple[str, ...]]:
        """Return why rigs are not what was commissioned, and which: once per cause.

        Models that were never commissioned are no cause: nothing was claimed of them.
        """
        causes: dict[str, list[str]] = {}
        for rig_id, identity in identities.items():
            firmware, model = identity.capability.firmware, identity.model
            measured = [own.version for own in self.kinds if own.key[:2] == (firmware, model)]
            if measured and identity.firmware not in measured:
                was = " or ".join(str(version) for version in measured)
                cause = f"{model} with {firmware} {identity.firmware}; measured was {was}"
                causes.setdefault(cause, []).append(rig_id)
        return {cause: tuple(rigs) for cause, rigs in causes.items()}


def record_beside(rig_list: Path) -> Path:
    """Return where the record of a rig list's rigs lies."""
    return rig_list.with_suffix(".commissioned.json")


def read_record(rig_list: Path, site: str) -> CommissioningRecord:
    """Return what was measured of the rigs of a list; an empty record if nothing was.

    Raises
    ------
    ServingError
        If there is a file that holds no record, or that of another site.
    """
    path = record_beside(rig_list)
    content = read_small(path)
    if content is None:
        return CommissioningRecord(site=site)
    try:
        record = CommissioningRecord.model_validate_json(content)
    except ValidationError as err:
        fault = err.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ServingError(
            f"{path}: {where}: {fault['msg']}; run gridhash commission again, or remove the file"
        ) from err
    if record.site != site:
        raise ServingError(
            f"{path} was measured at the site {record.site}, and this is {site}: remove it"
        )
    return record


def write_record(rig_list: Path, record: CommissioningRecord) -> None:
    """Write the record beside a rig list, whole or not at all.

    Raises
    ------
    ServingError
        If it cannot be written.
    """
    path = record_beside(rig_list)
    try:
        write_whole(path, (record.model_dump_json(indent=1) + "\n").encode())
    except OSError as err:
        raise ServingError(f"{path}: cannot be written: {err.strerror}") from err


def alarm_text(cause: str, rigs: Sequence[str]) -> str:
    """Return an alarm's words for rigs whose commissioning is void."""
    named = ", ".join(rigs[:3]) + (f" and {len(rigs) - 3} more" if len(rigs) > 3 else "")
    return (
        f"{named} answer as {cause}: their commissioning is void, work levels are locked; "
        "commission them again (gridhash commission)"
    )
