"""A simulated rig that behaves as one did when it was commissioned: a transcript as a fixture."""

from dataclasses import replace

from gridhash.config import RigGroupConfig
from gridhash.serving.commissioning_record import CommissionedKind
from gridhash.serving.simulated_model import RigMismatch, RigModel


def simulated_as(
    kind: CommissionedKind, model: RigModel, group: RigGroupConfig
) -> tuple[RigModel, RigGroupConfig, RigMismatch]:
    """Return model, group and mismatch of simulated rigs with the measured behaviour.

    Parameters
    ----------
    model
        Of the same firmware: what nothing was measured of, such as boards and passwords.
    group
        Of the site; its nameplate, cooling and efficiency stay.
    """
    as_was = replace(
        model,
        product=kind.model,
        firmware=kind.version or model.firmware,
        sleeps_through_reboot=bool(kind.sleep_survives_reboot),
    )
    levels = [
        point.power_w.p50 / group.rig_power_w for point in kind.points if point.level is not None
    ]
    resume_s = kind.resume_s.p50 if kind.resume_s else group.boot_s
    measured = {
        "standby_w": kind.standby_w.p50 if kind.standby_w else group.standby_w,
        "boot_s": resume_s,
        "warm_up_s": max(kind.hash_s.p50 - resume_s, 0.0) if kind.hash_s else group.warm_up_s,
        "load_levels": tuple(sorted(levels)) or group.load_levels,
    }
    top_w = group.rig_power_w * (max(levels) if levels else group.load_levels[-1])
    return (
        as_was,
        group.model_copy(update=measured),
        RigMismatch(power_factor=kind.running_w.p50 / top_w),
    )
