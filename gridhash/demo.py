"""`gridhash demo`: the whole path once, from a price file to verified rigs."""

import asyncio
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from gridhash.agents.bundle import load_bundle
from gridhash.agents.bundle_manifest import Verdict
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.signing import read_public_key
from gridhash.config import SiteConfig
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ServingError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.drivers.avalon_pyasic import AvalonPyasicDriver
from gridhash.serving.history import RunCheck, check_run, rig_fates, transitions
from gridhash.serving.journal import Journal
from gridhash.serving.replay import Replay, replay
from gridhash.serving.service import hash_of_bundle
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.simulated_cgminer import CGMINER_PORT
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import RigFaults, RigMismatch
from gridhash.serving.simulated_run import run_simulated
from gridhash.serving.site_status import Mode
from gridhash.training.config import TrainingConfig
from gridhash.training.evaluate_command import REPORT_NAME, RESULTS_NAME, compare
from gridhash.training.play import PolicyRun
from gridhash.training.report import write_report
from gridhash.training.results import results_of, scenario_entry, write_results
from gridhash.training.runtime import POLICY_NAME
from gridhash.training.spans import spans_by_date
from gridhash.training.tables import score_table
from gridhash.training.train import TrainingResult, train_on

MARKER = "gridhash-demo.json"
"""Says that a folder was made by this command and may be made anew by it."""
WANTED_TRANSITIONS = 6
HISTORY_DAYS = 3
MISMATCH = RigMismatch(power_lag_s=8.0, power_factor=1.03, efficiency_factor=1.02)
SETTINGS = ControllerSettings(settled_supervision_s=30.0)


@dataclass(frozen=True, kw_only=True)
class MarketDay:
    """24 hours of the held-out span and how often the fleet turns on or off in them."""

    start: datetime
    n_transitions: int
    """Of at least half of the fleet; the stop of a fleet that is found running counts."""


@dataclass(frozen=True, kw_only=True)
class DayResult:
    """What the controller did on the day and what the checker found."""

    check: RunCheck
    replay: Replay
    fates: pd.DataFrame
    transitions: pd.DataFrame
    faults: Mapping[str, str]
    """What was wrong with a rig, by rig."""
    simulated_s: float
    wall_s: float
    journal: Path


def run_demo(
    request: ScenarioRequest, out: Path, config: TrainingConfig, n_rigs: int, console: Console
) -> None:
    """Train, judge, and run the liveliest 24 held-out hours on simulated rigs.

    Raises
    ------
    ServingError
        If `out` exists and is not a folder of an earlier demo, or the day broke an invariant.
    """
    started = time.perf_counter()
    scenario = open_scenario(request)
    spans = spans_by_date(scenario)
    rigs_per_group = max(2, n_rigs // len(scenario.site.groups))
    site = scenario.site.scaled_to(rigs_per_group)
    asyncio.run(_check_addresses(site))
    _clear(out)
    console.rule("1 of 3: train")
    training = train_on(scenario, spans, config, out / "training", resume=False, console=console)
    console.rule("2 of 3: judge on months the policy never saw")
    # Tuned once, for the gate and for the table alike.
    baselines = [*training.release.rules.values(), DayAheadDP(scenario.site)]
    evaluation = compare(scenario, spans, [training.policy], console, others=baselines)
    write_results(results_of([scenario_entry(evaluation)]), out / RESULTS_NAME)
    write_report(
        evaluation,
        out / REPORT_NAME,
        title=f"{scenario.site.name} on {scenario.trace.area}",
        training_curve=training.curve,
    )
    console.print(score_table(evaluation))
    console.rule("3 of 3: run one market day on simulated rigs")
    verdict = training.release.verdict
    decider = POLICY_NAME if verdict.deployable else verdict.rule.rule
    console.print(f"{decider} decides: {_why(verdict)}", highlight=False)
    day = liveliest_day(scenario, evaluation.run(decider))
    if day.n_transitions < WANTED_TRANSITIONS:
        console.print(
            f"On no 24 held-out hours does {decider} turn the fleet {WANTED_TRANSITIONS} times; "
            f"the liveliest have {day.n_transitions} transitions."
        )
    result = asyncio.run(_run_day(scenario, site, training, day, out, config.seed, console))
    console.print(_summary(scenario, day, result, site.n_rigs))
    console.print(
        f"report   {out / REPORT_NAME}\nresults  {out / RESULTS_NAME}\n"
        f"bundle   {training.release.deployable}\n"
        f"journal  {result.journal}\nwall time {time.perf_counter() - started:.0f} s",
        highlight=False,
    )
    if result.check.violations:
        raise ServingError(
            f"the day broke {len(result.check.violations)} invariants:\n  "
            + "\n  ".join(result.check.violations[:10])
        )


def _why(verdict: Verdict) -> str:
    """Return why the policy or the rule runs the rigs, as `gridhash serve --live` would have it."""
    if verdict.deployable:
        return f"on validation {verdict.reason}"
    return f"the learned policy is not deployable: on validation {verdict.reason}"


async def _check_addresses(site: SiteConfig) -> None:
    """Raise PortInUse now, rather than after minutes of training."""
    async with SimulatedFleet.of_groups(site.groups, SimulatedClock(datetime.now(UTC))):
        pass


def _clear(out: Path) -> None:
    """Make the folder anew if an earlier demo made it."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise ServingError(
                f"{out} holds files that no demo made: name another folder with --out"
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).write_text(json.dumps({"made_at": datetime.now(UTC).isoformat()}) + "\n")


def liveliest_day(scenario: Scenario, run: PolicyRun) -> MarketDay:
    """Return the 24 hours in which the fleet turns on or off most often; the first of equals.

    They begin on a full hour. The simulated rigs run when the controller finds them, so that a
    policy that wants them off begins with a transition.
    """
    frame, site = run.frame, scenario.site
    on = frame["rig_kw"].to_numpy() > 0.5 * site.max_rig_kw
    turns = np.concatenate([[False], on[1:] != on[:-1]]).cumsum()
    per_day = 86400 // site.dispatch_interval_s
    index = pd.DatetimeIndex(frame.index)
    # A day is left after the last window: its prices are published while the window runs.
    starts = np.flatnonzero(index[: len(index) - 2 * per_day].minute == 0)
    counts = turns[starts + per_day - 1] - turns[starts] + ~on[starts]
    best = int(np.argmax(counts))
    start = index[starts[best]].tz_convert(site.timezone)
    return MarketDay(start=start.to_pydatetime(), n_transitions=int(counts[best]))


def faulty_rigs(
    group_names: list[str], hand_restart_at: datetime
) -> dict[str, tuple[RigFaults, str]]:
    """Return the demo's four faulty rigs, one in each of the first groups, with their story."""
    story = (
        (RigFaults(unreachable="refused"), "unreachable"),
        (RigFaults(lies=True), "lies: says yes, does nothing"),
        (RigFaults(clock_skew_s=-3600.0), "its clock is an hour behind"),
        (RigFaults(restarted_at=hand_restart_at), "restarted by hand"),
    )
    return {
        f"{group_names[k % len(group_names)]}-{1 + k // len(group_names):03d}": fault
        for k, fault in enumerate(story)
    }


def off_instant(run: PolicyRun, site: SiteConfig, day: MarketDay) -> datetime:
    """Return the middle of the day's longest pause: when a restart by hand is most unwelcome."""
    frame = run.frame.loc[day.start : day.start + timedelta(days=1)]
    off = (frame["setpoint_kw"] < 0.05 * site.max_rig_kw).to_numpy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], off, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return day.start + timedelta(hours=12)
    longest = int(np.argmax(ends - starts))
    middle = frame.index[int(starts[longest] + ends[longest]) // 2]
    return pd.Timestamp(middle).to_pydatetime() + timedelta(seconds=97)


async def _run_day(
    scenario: Scenario,
    site: SiteConfig,
    training: TrainingResult,
    day: MarketDay,
    out: Path,
    seed: int,
    console: Console,
) -> DayResult:
    trusted = [read_public_key(training.public_key)]
    bundle = training.release.deployable
    policy = load_bundle(bundle, site=site, trusted_keys=trusted).policy
    # What a site would hold: some days of history and what is published; the observation never
    # reads further, and the trace ends soon after the day.
    start, end = pd.Timestamp(day.start), pd.Timestamp(day.start) + pd.Timedelta(days=1)
    local = scenario.trace.between(
        max(start - pd.Timedelta(days=HISTORY_DAYS), scenario.trace.start),
        min(end + pd.Timedelta(days=2), scenario.trace.end),
    )
    market = build_scenario(site, local)
    clock = SimulatedClock(day.start.astimezone(UTC))
    faults = faulty_rigs(
        [group.name for group in site.groups],
        off_instant(_policy_day(scenario, policy, day), scenario.site, day),
    )
    fleet = SimulatedFleet.of_groups(
        site.groups,
        clock,
        mismatch=MISMATCH,
        faults={rig_id: fault for rig_id, (fault, _) in faults.items()},
        seed=seed,
    )
    drivers = {
        group.name: [
            AvalonPyasicDriver(rig.rig_id, rig.address, clock, port=CGMINER_PORT)
            for rig in fleet.rigs.values()
            if rig.group.name == group.name
        ]
        for group in site.groups
    }
    wall = time.perf_counter()
    path = out / "journal.sqlite"
    with Journal(path) as journal:
        controller = Controller(
            site,
            market,
            policy,
            drivers,
            clock,
            journal,
            mode=Mode.LIVE,
            settings=SETTINGS,
            bundle_hash=hash_of_bundle(bundle),
            note="demo: simulated rigs, simulated clock",
        )
        with Bar(
            TextColumn("{task.fields[now]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
        ) as bar:
            task = bar.add_task("day", total=86400.0, now="", note="")

            def show(controller: Controller) -> None:
                now = clock.now()
                bar.update(
                    task,
                    completed=(now - day.start).total_seconds(),
                    now=f"{now.astimezone(day.start.tzinfo):%a %d %b %H:%M}",
                    note=f"{fleet.true_power_kw():5.0f} kW drawn",
                )

            async with fleet:
                until = (day.start + timedelta(days=1)).astimezone(UTC)
                await run_simulated(controller, clock, until, after_tick=show)
        return DayResult(
            check=check_run(journal, fleet),
            replay=replay(journal, policy),
            fates=rig_fates(journal, fleet),
            transitions=transitions(journal, fleet),
            faults={rig_id: text for rig_id, (_, text) in faults.items()},
            simulated_s=(clock.now() - day.start).total_seconds(),
            wall_s=time.perf_counter() - wall,
            journal=path,
        )


def _policy_day(scenario: Scenario, policy: Policy, day: MarketDay) -> PolicyRun:
    from gridhash.training.play import play

    row = scenario.row_at(pd.Timestamp(day.start))
    per_day = round(86400 / scenario.trace.period_s)
    return play(scenario, policy, (row, row + per_day))


def _summary(scenario: Scenario, day: MarketDay, result: DayResult, n_rigs: int) -> Group:
    """Return the closing tables and the banner that says what is real."""
    check = result.check
    steps = Table(
        title=f"24 hours from {day.start:%A %d %B %Y %H:%M}: every change of the fleet",
        title_justify="left",
    )
    for name in ("time", "command", "rigs", "kW told", "kW verified in 60 s", "median s"):
        steps.add_column(name, justify="left" if name in ("time", "command") else "right")
    zone = day.start.tzinfo
    for row in result.transitions.to_dict("records"):
        steps.add_row(
            f"{row['at'].astimezone(zone):%H:%M:%S}",
            str(row["command"]),
            str(row["n_rigs"]),
            f"{row['commanded_kw']:.0f}",
            f"{row['verified_kw']:.0f}",
            f"{row['median_s']:.0f}" if np.isfinite(row["median_s"]) else "never",
        )
    fates = Table(title="Rigs that were not well, and one that was", title_justify="left")
    for name in ("rig", "what was wrong", "alarms raised", "kWh claimed", "kWh truly reduced"):
        fates.add_column(name, justify="right" if name.startswith("kWh") else "left")
    well = next(rig for rig in result.fates.rig_id if rig not in result.faults)
    shown = result.fates[result.fates.rig_id.isin([*result.faults, well])]
    for row in shown.to_dict("records"):
        fates.add_row(
            row["rig_id"],
            result.faults.get(row["rig_id"], "nothing"),
            row["alarms"] or "none",
            f"{row['claimed_kwh']:.1f}",
            f"{row['truly_reduced_kwh']:.1f}",
        )
    figures = Table(title="The day in figures", title_justify="left", show_header=False)
    figures.add_column("what")
    figures.add_column("figure", justify="right")
    for what, figure in (
        ("transitions of at least half of the fleet", f"{day.n_transitions}"),
        (
            "commands / without a prior durable intent",
            f"{check.n_commands} / {check.n_without_intent}",
        ),
        ("setpoints / outside the limits", f"{check.n_setpoints} / {check.n_setpoints_outside}"),
        ("power of obeying rigs verified within 60 s", f"{check.verified_frac:.1%}"),
        ("command to verified, median / p95", f"{check.median_s:.0f} / {check.p95_s:.0f} s"),
        ("claimed of what was truly reduced", f"{check.claimed_frac:.1%}"),
        ("claimed from rigs that do not obey", f"{check.claimed_from_faulty_kwh:.1f} kWh"),
        (
            "decisions replayed to the same bits",
            f"{result.replay.equal} of {result.replay.n_decisions}",
        ),
        ("simulated / wall time", f"{result.simulated_s / 3600:.0f} h / {result.wall_s:.0f} s"),
        ("speed-up", f"{result.simulated_s / result.wall_s:,.0f} x"),
    ):
        figures.add_row(what, figure)
    site = scenario.site
    assumed = ", ".join(f.figure for f in site.figures if f.mark == "assumed")
    source = scenario.trace.source
    banner = Panel(
        f"Prices: {source} ({scenario.trace.area}).\n"
        f"Simulated: {n_rigs} rigs over real sockets with the unmodified pyasic; their clock, "
        f"power, heat and hash rate ({MISMATCH.power_factor - 1:+.0%} power, "
        f"{MISMATCH.efficiency_factor - 1:+.0%} J/TH and {MISMATCH.power_lag_s:.0f} s of lag "
        "against the model).\n"
        f"Assumed: {assumed}.\n"
        "Verified means: read back from the rig's own power reading (self-reported; there is no "
        "site meter here).",
        title="What is real and what is not",
        title_align="left",
    )
    return Group(steps, fates, figures, banner)
