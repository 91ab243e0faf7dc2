"""What a Braiins OS+ rig says at TCP 4028: BOSminer's API, which only answers questions.

pyasic 0.79.0 identifies the rig here and reads hash rate, uptime and whether it mines.
"""

from gridhash.serving.simulated_cgminer import CgminerWire, Reads, Section, number, status_of
from gridhash.serving.simulated_model import WorkState
from gridhash.serving.simulated_rig import SimulatedRig

DESCRIPTION = "BOSer boser-buildroot 0.1.0-26ba61b9"


def _status(rig: SimulatedRig, code: int, message: str) -> Section:
    return status_of(rig, DESCRIPTION, "S", code, message)


def _version(rig: SimulatedRig) -> Section:
    version = {"API": "3.7", "BOSer": "boser-buildroot 0.1.0-26ba61b9"}
    return {**_status(rig, 22, "BOSer versions"), "VERSION": [version]}


def _devdetails(rig: SimulatedRig) -> Section:
    boards = [
        {
            "DEVDETAILS": board,
            "ID": board,
            "Name": "",
            "Driver": "",
            "Model": f"Bitmain {rig.model.product}",
            "Chips": rig.model.chips_per_board,
        }
        for board in range(rig.model.n_boards)
    ]
    return {**_status(rig, 69, "Device Details"), "DEVDETAILS": boards}


def _devs(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    n_boards = rig.model.n_boards
    devices = [
        {
            "ASC": board,
            "ID": board,
            "Enabled": "Y",
            "Status": "Alive",
            "MHS 5s": number(seen.mean_hashrate_ths(5.0) * 1e6 / n_boards),
            "MHS 1m": number(seen.mean_hashrate_ths(60.0) * 1e6 / n_boards),
        }
        for board in range(n_boards)
    ]
    return {**_status(rig, 9, f"{n_boards} ASC(s)"), "DEVS": devices}


def _summary(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    summary = {
        "Elapsed": int(seen.uptime_s),
        "MHS 5s": number(seen.mean_hashrate_ths(5.0) * 1e6),
        "MHS 1m": number(seen.mean_hashrate_ths(60.0) * 1e6),
        "MHS av": number(seen.mean_hashrate_ths(seen.uptime_s) * 1e6),
        "Accepted": 148,
        "Rejected": 1,
        "Hardware Errors": 0,
    }
    return {**_status(rig, 11, "Summary"), "SUMMARY": [summary]}


def _tunerstatus(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    chains = [
        {"HashchainIndex": board, "Status": "Stable", "TunerRunning": False}
        for board in range(1, rig.model.n_boards + 1)
    ]
    tuner = {
        "TunerMode": "PowerLimit",
        "PowerLimit": round(seen.level_power_w),
        "ApproximateMinerPowerConsumption": number(seen.power_w, 0),
        "TunerChainStatus": chains,
    }
    return {**_status(rig, 204, "Tuner Status"), "TUNERSTATUS": [tuner]}


def _pools(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    pool = {
        "POOL": 0,
        "URL": "stratum+tcp://pool.example:3333",
        "Status": "Alive" if seen.pool_alive else "Dead",
        "User": f"site.{rig.rig_id}",
        "Stratum Active": seen.state is WorkState.WORK,
    }
    return {**_status(rig, 7, "1 Pool(s)"), "POOLS": [pool]}


READS: Reads = {
    "version": _version,
    "devdetails": _devdetails,
    "devs": _devs,
    "summary": _summary,
    "tunerstatus": _tunerstatus,
    "pools": _pools,
}


class BosminerWire(CgminerWire):
    """What the rig can be asked at 4028."""

    description = DESCRIPTION
    reads = READS

    def change(self, command: str, parameter: str) -> Section | None:
        """Know no command."""
        return None
