"""What the doctor says of passwords and of commissioning; no password is ever tried on a rig."""

from collections.abc import Iterable, Iterator, Sequence

from gridhash.serving.commissioning_record import CommissioningRecord
from gridhash.serving.doctor import Check, Grade
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import DEFAULTS, is_default
from gridhash.serving.rig_list import ListedRig
from gridhash.serving.roll_call import RigFate

N_NAMED = 3


def check_passwords(rigs: Iterable[ListedRig]) -> Iterator[Check]:
    """Yield which rigs are spoken to with the password that their firmware is sold with.

    From the rig list and its files alone: whether a rig still takes that password although another
    one is listed, nobody knows without trying, and that is not done.
    """
    default: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    open_rigs: list[str] = []
    n_own = 0
    for rig in rigs:
        firmware = "auto" if rig.firmware is None else str(rig.firmware)
        if rig.firmware is not None and rig.firmware not in DEFAULTS:
            open_rigs.append(rig.rig_id)
        elif _uses_default(rig):
            default.setdefault(firmware, []).append(rig.rig_id)
        elif rig.credentials is None:
            missing.setdefault(firmware, []).append(rig.rig_id)
        else:
            n_own += 1
    for firmware, own in default.items():
        yield Check(
            name="passwords",
            grade=Grade.WARN,
            found=f"{_named(own)} ({firmware}): spoken to with the password that every such rig is "
            "sold with",
            remedy="change it on the rigs, and name the new one in the column credentials",
        )
    for firmware, own in missing.items():
        yield Check(
            name="passwords",
            grade=Grade.WARN,
            found=f"{_named(own)} ({firmware}): no password is listed",
            remedy="fill in the column credentials, or they cannot be commanded",
        )
    if open_rigs:
        yield Check(
            name="passwords",
            grade=Grade.OK,
            found=f"{_named(open_rigs)}: their firmware asks for none, so whoever reaches them "
            "commands them; keep them in a network of their own",
        )
    if n_own:
        yield Check(name="passwords", grade=Grade.OK, found=f"{n_own} rigs have one of their own")


def check_commissioning(record: CommissioningRecord, fates: Sequence[RigFate]) -> Iterator[Check]:
    """Yield what was measured of the rigs that answer, and whether it still holds."""
    identities = {fate.rig_id: fate.identity for fate in fates if fate.identity is not None}
    if not record.kinds:
        yield Check(
            name="commissioning",
            grade=Grade.WARN,
            found="nothing was measured at this site: figures of rigs are those of their makers",
            remedy="gridhash commission shows what it would do",
        )
        return
    voided = record.voided_by(identities)
    for cause, rigs in voided.items():
        yield Check(
            name="commissioning",
            grade=Grade.WARN,
            found=f"void for {_named(rigs)}: they answer as {cause}",
            remedy="commission them again; until then work levels are locked",
        )
    for kind in record.kinds:
        if kind.competing_manager:
            yield Check(
                name="commissioning",
                grade=Grade.WARN,
                found=f"{kind.model}: something else changed rigs back on {kind.at:%Y-%m-%d}",
                remedy="find that manager and switch it off for these rigs",
            )
    never = [
        rig_id
        for rig_id, own in identities.items()
        if not any(kind.key[:2] == (own.capability.firmware, own.model) for kind in record.kinds)
    ]
    if never:
        yield Check(
            name="commissioning",
            grade=Grade.WARN,
            found=f"{_named(never)}: their model was never measured",
            remedy="gridhash commission shows what it would do",
        )
    if not voided and not never:
        oldest = min(kind.at for kind in record.kinds)
        found = f"{len(record.kinds)} kinds of rig, the oldest of {oldest:%Y-%m-%d}"
        yield Check(name="commissioning", grade=Grade.OK, found=found)


def _uses_default(rig: ListedRig) -> bool:
    if rig.credentials is None:
        return rig.allow_default_credentials and rig.firmware in DEFAULTS
    firmwares = list(FirmwareName) if rig.firmware is None else [rig.firmware]
    return any(is_default(rig.credentials, firmware) for firmware in firmwares)


def _named(rigs: Sequence[str]) -> str:
    more = f" and {len(rigs) - N_NAMED} more" if len(rigs) > N_NAMED else ""
    return ", ".join(rigs[:N_NAMED]) + more
