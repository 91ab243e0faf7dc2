"""Controller, guard, operator and rigs as real processes, killed and brought back; and the page.

    python scripts/guard_run.py

`gridhash simulate-rigs`, `serve --live` and `guard` run side by side; what rigs do is read from the
rigs themselves, by drivers of this script's own. Minimum times are a minute and the guard's limits
shorter than usual, so that a run takes minutes. Writes docs/results/guard_run.json and .md.
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
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console

from gridhash.agents.bundle import write_bundle
from gridhash.agents.bundle_manifest import Provenance, RuleSpec
from gridhash.agents.signing import generate_key
from gridhash.config import load_site
from gridhash.serving.clock import RealClock
from gridhash.serving.drivers.concurrency import read_rigs
from gridhash.serving.drivers.protocol import RigDriver
from gridhash.serving.journal import Journal
from gridhash.serving.rig_list import drivers_of, read_rig_list
from gridhash.serving.state_folder import StateFolder

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
ADDRESS, CHEAP = "127.79.0.1", "2018-10-28T01:00"
"""Of the first rig; a market time at which every rig is to run."""
RUNS_ABOVE_W = 1000.0
LIMIT_S, HOLD_S = 30.0, 20.0
GUARD = f"heartbeat_limit_s = {LIMIT_S}\nhold_s = {HOLD_S}\nretry_s = 10.0\n"
PATIENCE_S = 240.0


@dataclass
class Site:
    """The processes of one site, and what they were seen to do."""

    folder: Path
    bundle: Path = Path()
    drivers: list[RigDriver] = field(default_factory=list)
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state(self) -> StateFolder:
        """Where controller and guard meet."""
        return StateFolder(self.folder / "state")

    def start(self, *arguments: object) -> "subprocess.Popen[bytes]":
        """Start a command of gridhash; what it says is appended to a file of its name."""
        words = [str(argument) for argument in arguments]
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            command = [sys.executable, "-m", "gridhash", *words]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def serve(self) -> "subprocess.Popen[bytes]":
        """Start a controller."""
        return self.start(
            "serve", "--live", "--accept-unproven", "--armed-by", "Ada", "--site",
            self.folder / "site.toml", "--bundle", self.bundle, "--key",
            self.folder / "key.pub", "--rigs", self.folder / "rigs.csv", "--replay-from", CHEAP,
            "--journal", self.state.journal,
        )  # fmt: skip

    def command(self, *words: object) -> float:
        """Run an operator's command to its end; return how long it took [s].

        Raises
        ------
        SystemExit
            If it was not accepted.
        """
        began_s = time.monotonic()
        code = self.start(*words, "--state", self.state.path).wait(PATIENCE_S)
        if code:
            raise SystemExit(f"gridhash {words[0]} ended with {code}: see {self.folder}")
        return time.monotonic() - began_s

    def n_running(self) -> int:
        """Return how many rigs draw power, by their own watts."""
        readings = asyncio.run(read_rigs(self.drivers, RealClock()))
        return sum(
            own is not None and (own.power_w or 0.0) > RUNS_ABOVE_W for own in readings.values()
        )

    def guard_state(self) -> str:
        """Return what the guard says that it does; empty before it says anything."""
        path = self.state.path / "guard.json"
        return str(json.loads(path.read_bytes())["state"]) if path.exists() else ""

    def until(self, what: str, is_so: Callable[[], bool], since_s: float | None = None) -> None:
        """Wait for something and note how long it took, from now or an earlier instant on.

        Raises
        ------
        SystemExit
            If it never comes.
        """
        began_s = time.monotonic()
        while not is_so():
            if time.monotonic() - began_s > PATIENCE_S or self.running[0].poll() is not None:
                raise SystemExit(f"{what}: not within {PATIENCE_S:g} s, see {self.folder}")
            time.sleep(0.2)
        took_s = time.monotonic() - (began_s if since_s is None else since_s)
        self.note(what, took_s)

    def note(self, what: str, took_s: float | None = None, **more: object) -> None:
        """Put a step on the list."""
        step = {"what": what, "s": None if took_s is None else round(took_s, 1), **more}
        self.steps.append(step)
        print(step, file=sys.stderr, flush=True)

    def end(self) -> None:
        """End what still runs, the last started first."""
        for process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def prepare(site: Site, n_rigs: int) -> None:
    """Write site, bundle and settings, and start the rigs."""
    preset = (files("gridhash.presets") / "europe_sample.toml").read_text("utf-8")
    for name, usual in (("min_up_s", "1800.0"), ("min_down_s", "1200.0")):
        preset = preset.replace(f"{name} = {usual}", f"{name} = 60.0")
    (site.folder / "site.toml").write_text(preset, "utf-8")
    (site.folder / "guard.toml").write_text(GUARD, "utf-8")
    config, key = load_site(site.folder / "site.toml"), generate_key(site.folder / "key.pem")
    site.bundle = write_bundle(
        site.folder, RuleSpec(rule="level_rule"), name="level", site=config, key=key,
        created_at=datetime.now(UTC), provenance=Provenance(),
    )  # fmt: skip
    rigs = site.folder / "rigs.csv"
    site.start("simulate-rigs", "--site", site.folder / "site.toml", "--count", n_rigs,
               "--address", ADDRESS, "--rig-list", rigs)  # fmt: skip
    site.until("simulated rigs listen", rigs.exists)
    own = drivers_of(read_rig_list(rigs), config, RealClock())
    site.drivers = [driver for drivers in own.values() for driver in drivers]


def play(site: Site, n_rigs: int) -> None:
    """Go through holds, stop-all, a second controller, a kill and a return."""
    first = site.serve()
    site.until("a controller lives", site.state.heartbeat.exists)
    site.start("guard", site.folder / "site.toml", "--rigs", site.folder / "rigs.csv", "--state",
               site.state.path, "--settings", site.folder / "guard.toml")  # fmt: skip
    site.until("the guard watches", lambda: site.guard_state() == "watching")
    site.note("`status`", site.command("status", "--json"))

    config = load_site(site.folder / "site.toml")
    share = 0.5 * n_rigs / config.n_rigs
    half_kw = share * sum(config.max_group_kw(group) for group in config.groups)
    began_s = time.monotonic()
    site.command("hold", "--setpoint-kw", half_kw, "--for", "20m", "--person", "Ada")
    half = n_rigs // 2
    site.until("`hold` at half power: half of the rigs stand", lambda: site.n_running() <= half,
               began_s)  # fmt: skip
    began_s = time.monotonic()
    site.command("release", "--person", "Ada")
    site.until("`release`: all run again", lambda: site.n_running() == n_rigs, began_s)

    began_s = time.monotonic()
    site.command("stop-all", "--person", "Ada", "--reason", "drill")
    site.until("`stop-all`: all stand", lambda: site.n_running() == 0, began_s)
    began_s = time.monotonic()
    site.command("release", "--stop-all", "--person", "Ada")
    site.until("`release --stop-all`: all run again", lambda: site.n_running() == n_rigs, began_s)

    before = n_rows(site, "runs")
    began_s = time.monotonic()
    code = site.serve().wait(PATIENCE_S)
    site.note(
        "a second controller is refused the lease",
        time.monotonic() - began_s,
        refused=code != 0 and n_rows(site, "runs") == before,
    )

    first.send_signal(signal.SIGKILL)
    killed_s = time.monotonic()
    site.until("kill -9: the guard goes to failsafe", lambda: site.guard_state() == "failsafe",
               killed_s)  # fmt: skip
    site.until("all rigs stand by the guard", lambda: site.n_running() == 0, killed_s)
    returned_s = time.monotonic()
    site.serve()
    handed = most_running_until(site, "watching")
    site.note("a controller returns: handed back", time.monotonic() - returned_s,
              most_running_before=handed)  # fmt: skip
    site.until("all run again", lambda: site.n_running() == n_rigs, returned_s)


def most_running_until(site: Site, state: str) -> int:
    """Wait for a state of the guard; return the most rigs that ran before it."""
    most, give_up_s = 0, time.monotonic() + PATIENCE_S
    while site.guard_state() != state:
        most = max(most, site.n_running())
        if time.monotonic() > give_up_s:
            raise SystemExit(f"the guard is not {state} after {PATIENCE_S:g} s: see {site.folder}")
        time.sleep(0.5)
    return most


def n_rows(site: Site, table: str) -> int:
    """Return how many rows a table of the journal has."""
    with Journal(site.state.journal, read_only=True) as journal:
        return journal.count(table)


def what_is_on_record(site: Site) -> dict[str, Any]:
    """Return what journal and guard wrote of the run."""
    with Journal(site.state.journal, read_only=True) as journal:
        leases = [tuple(row) for row in journal.rows("SELECT token, event FROM leases ORDER BY id")]
        unplanned = journal.rows(
            "SELECT count(*) FROM results WHERE intent_id NOT IN (SELECT id FROM intents)"
        )[0][0]
        n_intents = journal.count("intents")
    lines = (site.state.path / "guard.jsonl").read_text("utf-8").splitlines()
    states = [line["state"] for line in map(json.loads, lines) if line["kind"] == "state"]
    return {
        "guard_states": states,
        "leases": leases,
        "commands": n_intents,
        "results_without_intent": unplanned,
    }


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    rows = [
        f"| {step['what']} | {'–' if step['s'] is None else step['s']} | "
        + ", ".join(
            f"{k.replace('_', ' ')}: {v}" for k, v in step.items() if k not in ("what", "s")
        )
        + " |"
        for step in found["steps"]
    ]
    return "\n".join([
        "# Controller, guard and operator, as processes",
        "",
        f"Made by `python scripts/guard_run.py`, {found['made_at']}: `gridhash serve --live`, "
        f"`gridhash guard` and {found['n_rigs']} simulated rigs over loopback, load average "
        f"{found['load_average']} on {found['n_cores']} cores. The guard's limit is {LIMIT_S:g} s, "
        f"its hold time {HOLD_S:g} s; rigs are told to start 16 at a time and boot. Whether a rig "
        "runs is read from the rig. Seconds count from the command or event before; those of "
        "commands include the start of their own process.",
        "",
        "| step | s | |",
        "|---|---|---|",
        *rows,
        "",
        f"The guard was {', then '.join(found['guard_states'])}. The lease: "
        + "; ".join(f"{token} {event}" for token, event in found["leases"])
        + f". {found['commands']} intents, {found['results_without_intent']} results without "
        "one.",
        "",
    ])  # fmt: skip


def main() -> int:
    """Run it all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=60)
    n_rigs = parser.parse_args().rigs
    with tempfile.TemporaryDirectory() as name, ExitStack() as at_end:
        site = Site(Path(name))
        at_end.callback(site.end)
        prepare(site, n_rigs)
        play(site, n_rigs)
        found = {
            "made_at": f"{datetime.now(UTC):%Y-%m-%d}",
            "n_rigs": n_rigs,
            "n_cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[2], 1),
            "steps": site.steps,
            **what_is_on_record(site),
        }
    (RESULTS / "guard_run.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (RESULTS / "guard_run.md").write_text(page(found), "utf-8")
    Console(stderr=True).print(f"wrote {RESULTS / 'guard_run.md'}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
