"""What an Avalon's replies mean, in our units.

The rig packs it into text such as ``WALLPOWER[3731] GHSspd[199241.07]``; a parsed mapping comes in.
Fields as captured from an A1566, an A1346 in standby and an Avalon Q; see `simulated_avalon`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gridhash.serving.drivers.telemetry import Telemetry, scaled
from gridhash.serving.snapshot import RigReading

GHS_PER_THS = 1e3
MHS_PER_THS = 1e6
LONGEST_UPTIME_S = 1e9
ABSENT_SENSOR_C = -100.0
"""Sensors that are not there report -273."""


def reading_from(
    fields: Mapping[str, Any],
    *,
    rig_id: str,
    read_at: datetime,
    rig_clock_at: datetime | None,
    minute_hashrate_mhs: float | str | None = None,
) -> RigReading:
    """Return the reading of an ``MM ID0`` section.

    Power is WALLPOWER, or the last of seven PS values on firmware without it. The hash rate is
    GHSspd, the only one that falls to 0 in standby, or `minute_hashrate_mhs` on firmware without
    it; never GHSmm, GHSavg or MGHS.
    """
    telemetry = Telemetry(fields)
    power_w = telemetry.number("WALLPOWER")
    if power_w is None and "WALLPOWER" not in fields:
        power_w = telemetry.number("PS", 6)
    hashrate_ths = scaled(telemetry.number("GHSspd"), GHS_PER_THS)
    if hashrate_ths is None and "GHSspd" not in fields:
        hashrate_ths = scaled(telemetry.finite("MHS 1m", minute_hashrate_mhs), MHS_PER_THS)
    working = _working(telemetry.text("SYSTEMSTATU"))
    soft_off = telemetry.number("SoftOFF")
    level = telemetry.number("WORKLEVEL")
    chip_temp_c = _temp_c(telemetry, "TMax", "Tmax")
    if chip_temp_c == 0.0 and not working:
        chip_temp_c = None  # in standby the chips are not measured, and TMax reads 0
    return RigReading(
        rig_id=rig_id,
        read_at=read_at,
        rig_clock_at=rig_clock_at,
        power_w=power_w,
        hashrate_ths=hashrate_ths,
        chip_temp_c=chip_temp_c,
        inlet_temp_c=_temp_c(telemetry, "ITemp", "HBITemp", "Temp"),
        outlet_temp_c=_temp_c(telemetry, "HBOTemp"),
        working=working,
        soft_off=None if soft_off is None else soft_off != 0.0,
        work_level=None if level is None else int(level),
        uptime_s=_uptime_s(telemetry),
        not_numbers=tuple(telemetry.not_numbers),
    )


def _temp_c(telemetry: Telemetry, *names: str) -> float | None:
    """Return the first of these sensors that is there [°C]."""
    for name in names:
        value = telemetry.number(name)
        if value is not None and value > ABSENT_SENSOR_C:
            return value
    return None


def _uptime_s(telemetry: Telemetry) -> float | None:
    """Return the time since the rig booted [s]; None if no rig can be that old."""
    value = telemetry.number("Elapsed")
    if value is None or 0.0 <= value <= LONGEST_UPTIME_S:
        return value
    telemetry.not_numbers.append(f"Elapsed={value:g}")
    return None


def _working(state: str | None) -> bool | None:
    """Return whether ``Work: In Work, Hash Board: 4`` says that the rig hashes."""
    if state is None or "In " not in state:
        return None
    return "In Work" in state


def library_model(version: Mapping[str, Any]) -> str:
    """Return the name under which pyasic's table lists what a ``version`` reply describes."""
    product = str(version.get("PROD", "")).upper().split("-")[0]
    if product in {"AVALONNANO", "AVALON0O", "AVALONMINER 15"}:
        return f"AVALONMINER {str(version.get('MODEL', '')).upper()}"
    return product


def status_of(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the status section of a reply; empty if it has none."""
    status = reply.get("STATUS")
    first = status[0] if isinstance(status, list) and status else None
    return first if isinstance(first, dict) else {}


def rig_clock_of(reply: Mapping[str, Any]) -> datetime | None:
    """Return the rig's clock from a reply; without NTP it may count from 1970."""
    when = status_of(reply).get("When")
    if not isinstance(when, int | float):
        return None
    try:
        return datetime.fromtimestamp(when, UTC)
    except (OverflowError, OSError, ValueError):
        return None
