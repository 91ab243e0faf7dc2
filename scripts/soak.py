"""Endurance of a controller: a month on a stepped clock, half an hour on real time, and the page.

    make soak
    python scripts/soak.py --part month --days 30
    python scripts/soak.py --part real --minutes 30
    python scripts/soak.py --page-only

*month* is a live controller over four simulated Avalons that speak their real protocol, read every
ten seconds, under a price that starts and stops them. *real* is `gridhash serve --live` in a
process of its own over 537 rigs on real time. Memory is what is resident; it is compared after a
first tenth in which caches fill. Writes docs/results/soak/*.json and docs/results/soak.md.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from campaign_cases import START, site_of_rigs
from rich.console import Console
from rich.status import Status

from gridhash.agents.bundle import write_bundle
from gridhash.agents.bundle_manifest import Provenance, RuleSpec
from gridhash.agents.signing import generate_key
from gridhash.config import load_site
from gridhash.data.trace import Trace
from gridhash.envs.scenario import build_scenario
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.registry import driver_for
from gridhash.serving.journal import Journal
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_run import run_simulated
from gridhash.serving.site_status import Mode

ROOT = Path(__file__).resolve().parent.parent
CELLS = ROOT / "docs" / "results" / "soak"
PAGE = ROOT / "docs" / "results" / "soak.md"
BASE_ADDRESS, REAL_ADDRESS = "127.94.0.1", "127.93.0.1"
SITE, REPLAY = "europe_sample", "2018-10-24T18:00"
WARM_SHARE = 0.1
MOST_DRIFT = 0.02
SUPERVISION_S = 10.0
MEMORY = Path("/dev/shm")
LABELS = {
    "days": "simulated days",
    "minutes": "minutes of real time",
    "n_rigs": "rigs",
    "took_s": "took [s]",
    "n_dispatch": "dispatch ticks",
    "n_dispatch_due": "due",
    "n_supervision": "supervision ticks",
    "n_supervision_due": "due by the clock",
    "longest_gap_s": "longest time between two ticks [s]",
    "n_pauses": "times that the controller found that it had stood still",
    "n_commands": "commands",
    "n_alarms": "alarms",
    "journal_mb": "journal [MB]",
    "resident_mb_first": "resident memory, first fifth [MB]",
    "resident_mb_last": "last fifth [MB]",
    "resident_mb_highest": "highest [MB]",
    "open_files_first": "open files, first fifth",
    "open_files_last": "open files, last fifth",
    "load_average": "load average of the machine",
    "made_at": "made",
}
"""Figures of the page in their order."""


@dataclass
class Samples:
    """Resident memory [MB] and open files of a process, as time goes on."""

    resident_mb: list[float] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)

    def take(self, pid: int | str = "self") -> None:
        """Look at a process."""
        status = Path(f"/proc/{pid}/status").read_text()
        kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        self.resident_mb.append(int(kb) / 1024.0)
        self.open_files.append(len(os.listdir(f"/proc/{pid}/fd")))

    def figures(self) -> dict[str, float]:
        """Return how both moved after the warm-up: medians of its first and last fifth."""
        warm = int(len(self.resident_mb) * WARM_SHARE)
        memory, files = np.array(self.resident_mb[warm:]), np.array(self.open_files[warm:])
        part = max(len(memory) // 5, 1)
        first, last = float(np.median(memory[:part])), float(np.median(memory[-part:]))
        return {
            "resident_mb_first": round(first, 1),
            "resident_mb_last": round(last, 1),
            "resident_mb_highest": round(float(memory.max()), 1),
            "resident_drift_frac": round(last / first - 1.0, 4),
            "open_files_first": int(np.median(files[:part])),
            "open_files_last": int(np.median(files[-part:])),
        }


def month(days: float, status: Status) -> dict[str, Any]:
    """Run a controller on a stepped clock for some days and return its figures."""
    site = site_of_rigs(4)
    clock = SimulatedClock(START)
    n_periods = int((days + 2) * 48)
    starts = pd.date_range(START - timedelta(days=1), periods=n_periods, freq="30min", unit="s")
    trace = Trace.from_prices(
        starts,
        9.0 + 12.0 * np.sin(np.arange(n_periods) / 2.2),
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="soak",
    )
    fleet = SimulatedFleet.of_groups(
        site.groups, clock, base_address=BASE_ADDRESS, remember_s=2 * 3600.0
    )
    drivers = {
        group.name: [
            driver_for(rig.rig_id, rig.address, clock, firmware=FirmwareName.AVALON)
            for rig in fleet.rigs.values()
            if rig.group.name == group.name
        ]
        for group in site.groups
    }
    folder = str(MEMORY) if os.access(MEMORY, os.W_OK) else None
    samples, n_ticks, gaps_s = Samples(), 0, [0.0]
    last = START
    until = START + timedelta(days=days)
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(dir=folder) as name,
        Journal(Path(name) / "journal.sqlite") as journal,
    ):
        settings = ControllerSettings(supervision_s=SUPERVISION_S, policy_deadline_s=30.0)
        controller = Controller(
            site, build_scenario(site, trace), None, drivers, clock, journal, mode=Mode.LIVE,
            settings=settings,
        )  # fmt: skip

        def after_tick(_: Controller) -> None:
            nonlocal n_ticks, last
            n_ticks += 1
            gaps_s[0] = max(gaps_s[0], (clock.now() - last).total_seconds())
            last = clock.now()
            if n_ticks % 500 == 0:
                samples.take()
                share = (last - START) / (until - START)
                left_s = (time.perf_counter() - began) * (1.0 / share - 1.0)
                status.update(f"day {share * days:.2f} of {days:g}, {left_s / 60.0:.0f} min left")

        async def run() -> None:
            async with fleet:
                await run_simulated(controller, clock, until, after_tick=after_tick)

        asyncio.run(run())
        run_id = controller.run_id
        n_decisions = journal.rows("SELECT count(*) FROM decisions WHERE run_id = ?", run_id)[0][0]
        n_checks = journal.rows("SELECT count(*) FROM supervisions WHERE run_id = ?", run_id)[0][0]
        journal_mb = (Path(name) / "journal.sqlite").stat().st_size / 1e6
        n_commands = journal.rows("SELECT count(*) FROM intents WHERE run_id = ?", run_id)[0][0]
        alarms = journal.frame("alarms", run_id)
    return {
        "part": "month",
        "days": days,
        "n_rigs": len(fleet.rigs),
        "took_s": round(time.perf_counter() - began),
        "n_dispatch": int(n_decisions),
        "n_dispatch_due": round(days * 86400 / site.dispatch_interval_s),
        "n_supervision": int(n_checks),
        "n_supervision_due": round(days * 86400 / SUPERVISION_S),
        "longest_gap_s": gaps_s[0],
        "n_commands": int(n_commands),
        "n_alarms": len(alarms),
        "journal_mb": round(journal_mb),
        **samples.figures(),
    }


def real(minutes: float, n_rigs: int, status: Status) -> dict[str, Any]:
    """Run `gridhash serve --live` on real time for some minutes and return its figures."""
    command = [sys.executable, "-m", "gridhash"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rig_list, journal_path = folder / "rigs.csv", folder / "state" / "journal.sqlite"
        key = generate_key(folder / "key.pem")
        bundle = write_bundle(
            folder, RuleSpec(rule="level_rule"), name="level", site=load_site(SITE), key=key,
            created_at=datetime(2026, 1, 1, tzinfo=UTC), provenance=Provenance(),
        )  # fmt: skip
        rigs = subprocess.Popen(
            [*command, "simulate-rigs", "--site", SITE, "--count", str(n_rigs), "--address",
             REAL_ADDRESS, "--rig-list", str(rig_list)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not rig_list.exists() and rigs.poll() is None:
                time.sleep(0.2)
            service = subprocess.Popen(
                [*command, "serve", "--live", "--accept-unproven", "--armed-by", "soak",
                 "--bundle", str(bundle), "--key", str(folder / "key.pub"), "--rigs",
                 str(rig_list), "--site", SITE, "--replay-from", REPLAY, "--journal",
                 str(journal_path)],
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            samples = Samples()
            end_s = time.monotonic() + 60.0 * minutes
            while time.monotonic() < end_s:
                if service.poll() is not None:
                    raise SystemExit(f"gridhash serve ended with {service.returncode}")
                time.sleep(5.0)
                if journal_path.exists():
                    samples.take(service.pid)
                status.update(f"{(end_s - time.monotonic()) / 60.0:.1f} min left")
            service.send_signal(signal.SIGTERM)
            service.wait(120)
        finally:
            rigs.terminate()
            rigs.wait(60)
        with Journal(journal_path, read_only=True) as journal:
            run_id = journal.last_run_id()
            at = pd.DatetimeIndex(journal.frame("supervisions", run_id)["at"])
            decided = journal.frame("decisions", run_id)
            paused = journal.frame("alarms", run_id)
    gaps_s = pd.Series(at).diff().dropna().dt.total_seconds()
    return {
        "part": "real",
        "minutes": minutes,
        "n_rigs": n_rigs,
        "load_average": round(os.getloadavg()[2], 1),
        "n_dispatch": len(decided),
        "n_dispatch_due": int(minutes * 60 // load_site(SITE).dispatch_interval_s),
        "n_supervision": len(at),
        "n_supervision_due": int(minutes * 60 // SUPERVISION_S),
        "longest_gap_s": round(float(gaps_s.max()), 1),
        "n_pauses": int((paused.kind == "stood still").sum()),
        **samples.figures(),
    }


def page() -> str:
    """Return the page of the parts that there are."""
    lines = [
        "# Endurance of a controller",
        "",
        "Made by `make soak` (`python scripts/soak.py`). *month* is a live controller over four "
        "simulated Avalons in one process with it, on a stepped clock, read every ten seconds; "
        "*real* is `gridhash serve --live` in a process of its own over rigs on real time, half an "
        "hour. Memory is what is resident, compared over the first and the last fifth after a "
        "tenth of warm-up; asked is a drift below 2 %, no missed tick and constant open files.",
        "",
        "| figure | month | real |",
        "|---|---|---|",
    ]
    cells = [read(part) for part in PARTS]
    for name, label in LABELS.items():
        values = [cell.get(name, "") for cell in cells]
        shown = [f"{own:,}" if isinstance(own, int | float) else str(own) for own in values]
        lines.append(f"| {label} | {' | '.join(shown)} |")
    lines += ["", *(f"- {line}" for cell in cells for line in verdicts(cell)), ""]
    return "\n".join(lines)


def verdicts(cell: dict[str, Any]) -> list[str]:
    """Return what of the goals was met, in words."""
    if not cell:
        return []
    part = cell["part"]
    missed = cell["n_dispatch_due"] - cell["n_dispatch"]
    drift = cell["resident_drift_frac"]
    files = cell["open_files_last"] - cell["open_files_first"]
    return [
        f"{part}: {max(missed, 0)} dispatch ticks missed, longest time between two ticks "
        f"{cell['longest_gap_s']:g} s",
        f"{part}: resident memory {drift:+.1%} ({'met' if abs(drift) < MOST_DRIFT else 'MISSED'})",
        f"{part}: open files {files:+d} ({'met' if not files else 'MISSED'})",
    ]


def read(part: str) -> dict[str, Any]:
    """Return the figures of a part; empty if it was not run."""
    path = CELLS / f"{part}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


PARTS = ("month", "real")


def main() -> int:
    """Run what was asked for, then write the page."""
    parser = argparse.ArgumentParser(description="Endurance of a controller.")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: both")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rigs", type=int, default=537)
    parser.add_argument("--page-only", action="store_true", help="run nothing")
    options = parser.parse_args()
    console = Console(stderr=True)
    for part in [] if options.page_only else options.part or PARTS:
        with console.status(part) as status:
            if part == "month":
                found = month(options.days, status)
            else:
                found = real(options.minutes, options.rigs, status)
        CELLS.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found | {"made_at": f"{datetime.now(UTC):%Y-%m-%d}"}, indent=1) + "\n"
        (CELLS / f"{part}.json").write_text(text, "utf-8")
        console.print("\n".join(verdicts(found)), highlight=False)
    PAGE.write_text(page(), "utf-8")
    console.print(f"wrote {PAGE}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
