"""Makes result cells: opens the scenario, tunes or trains the policy, plays what judges.

Everything that takes long is kept on the way in a folder of its own per cell: tuned parameters,
training checkpoints, decisions (`RecordedPolicy`) and finished parts. A kill at any time costs at
most a minute of work; the same call goes on from there. What is kept belongs to the cell's key and
is thrown away when that changes.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from gridhash.agents.bound import Bound, perfect_foresight_bound
from gridhash.agents.policy import Policy
from gridhash.agents.roster import policy_names, tuned_policy
from gridhash.agents.rule_registry import RULES, build_rule, parameters_of
from gridhash.data.fetch.folder_lock import locked
from gridhash.data.store.files import sole_writer
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.errors import TrainingError
from gridhash.training import checkpoint
from gridhash.training.cell_keys import (
    Keys,
    is_current,
    keys_of,
    named,
    rules_key,
    training_settings,
)
from gridhash.training.cells import (
    BOUND,
    LEARNED,
    Cell,
    CellId,
    CellPart,
    Role,
    part_of,
    path_of,
    read_cell,
    write_cell,
)
from gridhash.training.config import TrainingConfig
from gridhash.training.json_file import write_json
from gridhash.training.learn import found_start, learn, variants_of
from gridhash.training.metrics import metrics_of
from gridhash.training.opened import open_for_training
from gridhash.training.play import play
from gridhash.training.played import Played, Timing
from gridhash.training.recorded_policy import RecordedPolicy
from gridhash.training.spans import Rows
from gridhash.training.stopwatch import Stopwatch
from gridhash.training.tuned_rules import BestRule
from gridhash.training.worth_learning import learn_by_worths
from gridhash.training.worth_settings import worth_settings_of

LOCKS = "locks"
STARTS = "starts"
"""Tuned rules of scenarios, which the learned cells of all seeds share."""
STARTS_WAIT_S = 3600.0
"""How long another process may take to tune them."""
Progress = Callable[[str, int, int], None]
"""Called with (what is done, steps done, steps in all)."""


class CellMaker:
    """Makes cells of one scenario, which is opened once.

    Parameters
    ----------
    scenario
        Name of a scenario, or of one of `PLAIN_CASES`.
    folder
        Where cells are kept; tuned parameters of rules are taken from those that are current.
    work
        Where unfinished cells are kept.
    """

    def __init__(self, scenario: str, *, folder: Path, work: Path, console: Console) -> None:
        """Open the scenario."""
        self.scenario = scenario
        self.folder = folder
        self.work = work
        self.console = console
        self.opened = open_for_training(named(scenario))

    def make(self, cell_id: CellId, *, progress: Progress | None = None) -> Cell:
        """Make a cell, going on where an earlier call was cut off, and write it.

        Raises
        ------
        GridhashError
            If another process makes it, and as tuning, training, playing and the bound do.
        """
        busy = TrainingError(f"{cell_id.stem} is being made by another process")
        with locked(self.work / LOCKS / cell_id.stem, busy=busy):
            return self._make(cell_id, progress)

    def _make(self, cell_id: CellId, progress: Progress | None) -> Cell:
        keys = keys_of(cell_id)
        work = self._work_folder(cell_id, keys)
        if cell_id.policy == BOUND:
            parameters: dict[str, float] = {}
            settings: dict[str, Any] = {}
            made_in_s = 0.0
            parts = [self._bound_part(rows, k, work, progress) for k, rows in self._test_parts()]
        else:
            policy, settings, made_in_s = self._policy(cell_id, work)
            parameters = parameters_of(policy) if cell_id.policy in RULES else {}
            plays: list[tuple[Role, int, Rows]] = [("validate", 0, self.opened.spans.validate)]
            plays += [("test", k, rows) for k, rows in self._test_parts()]
            parts = [self._part(policy, *one, work, progress) for one in plays]
        opened = self.opened
        cell = Cell(
            id=cell_id,
            key=keys.key,
            code=keys.code,
            currency=opened.scenario.site.currency,
            source=opened.scenario.trace.source,
            synthetic=opened.synthetic,
            exploratory=opened.config is not None and opened.config.spans.exploratory,
            spans={
                name: (self._day(rows[0]), self._day(rows[1] - 1))
                for name, rows in (
                    ("train", opened.spans.train),
                    ("validate", opened.spans.validate),
                    ("test", opened.spans.test),
                )
            },
            parameters=parameters,
            settings=settings,
            made_in_s=round(made_in_s, 1),
            parts=tuple(parts),
        )
        write_cell(cell, self.folder)
        shutil.rmtree(work)
        return cell

    def _work_folder(self, cell_id: CellId, keys: Keys) -> Path:
        """Return the cell's folder, empty where what it holds belongs to another key."""
        work = self.work / cell_id.stem
        marker = work / "key"
        if work.exists() and (not marker.exists() or marker.read_text("utf-8") != keys.key):
            shutil.rmtree(work)
        work.mkdir(parents=True, exist_ok=True)
        marker.write_text(keys.key, "utf-8")
        return work

    def _policy(self, cell_id: CellId, work: Path) -> tuple[Policy, dict[str, Any], float]:
        """Return the policy, the settings of its training, and how long it took to make [s]."""
        if cell_id.policy == LEARNED:
            return self._learned(cell_id, work)
        kept = work / "tuned.json"
        if kept.exists():
            values = json.loads(kept.read_text("utf-8"))
            site = self.opened.scenario.site
            policy = build_rule(cell_id.policy, values["parameters"], site=site)
            return policy, {}, values["seconds"]
        started = time.perf_counter()
        spans = self.opened.spans
        policy = tuned_policy(
            cell_id.policy, self.opened.taught, spans.train, tuned=self._tuned_already()
        )
        if cell_id.policy in RULES:
            policy = self._better(policy, cell_id.policy)
        seconds = time.perf_counter() - started
        if cell_id.policy in RULES:
            write_json({"parameters": parameters_of(policy), "seconds": seconds}, kept)
        return policy, {}, seconds

    def _better(self, policy: Policy, name: str) -> Policy:
        """Return a tuned rule, or as learning may begin at it if that earns more on validation.

        A rule is tuned on the whole span that teaches here and on its newest year where learning
        begins. The span that chooses decides, so that neither side wins by the search alone.
        """
        start = self._newest(training_settings(CellId(scenario=self.scenario, policy=LEARNED)))
        if start is None or parameters_of(start.rules[name]) == parameters_of(policy):
            return policy
        scenario, rows = self.opened.scenario, self.opened.spans.validate
        return max((policy, start.rules[name]), key=lambda one: play(scenario, one, rows).profit)

    def _tuned_already(self) -> dict[str, Policy]:
        """Return the scenario's rules with the parameters of their current cells."""
        site = self.opened.scenario.site
        found: dict[str, Policy] = {}
        for name in policy_names(site):
            cell_id = CellId(scenario=self.scenario, policy=name)
            if name in RULES and is_current(cell_id, self.folder):
                parameters = read_cell(path_of(cell_id, self.folder)).parameters
                found[name] = build_rule(name, parameters, site=site)
        return found

    def _learned(self, cell_id: CellId, work: Path) -> tuple[Policy, dict[str, Any], float]:
        folder, settings = work / "training", training_settings(cell_id)
        start = self._start(settings)
        watch = Stopwatch(work / "attempts.json", folder / checkpoint.FILE_NAME)
        worths = worth_settings_of(self.scenario)
        if worths is not None:
            learned = learn_by_worths(
                self.opened.scenario,
                self.opened.spans,
                settings,
                worths,
                folder,
                resume=True,
                console=self.console,
                start=start,
            )
            used = settings.model_dump(mode="json") | {"worths": worths.model_dump(mode="json")}
            return learned.policy, used, watch.total_s()
        learned = learn(
            self.opened.scenario,
            self.opened.spans,
            settings,
            folder,
            resume=(folder / checkpoint.FILE_NAME).exists(),
            console=self.console,
            variants=variants_of(self.opened, settings),
            start=start,
        )
        return learned.policy, settings.model_dump(mode="json"), watch.total_s()

    def _start(self, settings: TrainingConfig) -> BestRule | None:
        """Return where learning begins: the best on validation of rules as their cells have them.

        Rules without a current cell stand as tuned on the newest year of the span that teaches.
        """
        newest = self._newest(settings)
        if newest is None:
            return None
        rules = dict(newest.rules)
        best, profit = newest.rule, newest.profit
        for name, rule in self._tuned_already().items():
            cell = read_cell(path_of(CellId(scenario=self.scenario, policy=name), self.folder))
            earned = sum(part.profit for part in cell.parts if part.role == "validate")
            rules[name] = rule
            if earned > profit:
                best, profit = rule, earned
        return BestRule(rule=best, profit=profit, rules=rules)

    def _newest(self, settings: TrainingConfig) -> BestRule | None:
        """Return the rules as tuned on the newest year; they are kept for all cells and seeds.

        None where learning does not begin at a rule.
        """
        if settings.begin_at != "best_rule":
            return None
        folder = self.work / STARTS
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.scenario}-{rules_key(self.scenario)}"
        with sole_writer(folder / f"{name}.lock", wait_s=STARTS_WAIT_S):
            return found_start(
                self.opened.scenario,
                self.opened.spans,
                settings,
                folder / f"{name}.json",
                console=self.console,
            )

    def _test_parts(self) -> list[tuple[int, Rows]]:
        return list(enumerate(self.opened.spans.test_parts))

    def _part(
        self,
        policy: Policy,
        role: Role,
        number: int,
        rows: Rows,
        work: Path,
        progress: Progress | None,
    ) -> CellPart:
        """Play one part, or return it as it was kept."""
        kept = work / f"{role}{number}.json"
        if kept.exists():
            return part_of(json.loads(kept.read_text("utf-8")))
        recorded = RecordedPolicy(policy, work / f"{role}{number}.npz")

        def show(done: int, total: int) -> None:
            if progress is not None:
                progress(f"{policy.name}, {self._day(rows[0])}", done, total)

        try:
            run = play(self.opened.scenario, recorded, rows, progress=show)
        except KeyboardInterrupt:
            recorded.save()
            raise
        seconds = np.array(recorded.seconds)
        timing = Timing(
            median_us=float(np.median(seconds) * 1e6),
            p99_us=float(np.quantile(seconds, 0.99) * 1e6),
        )
        played = Played(scenario=self.opened.scenario, run=run, timing=timing)
        frame = run.frame
        ledger = {name: round(float(frame[name].sum()), 2) for name in LEDGER_NAMES}
        part = CellPart(
            role=role,
            start=self._instant(rows[0]),
            end=self._instant(rows[1]),
            profit=round(run.profit, 2),
            daily_profit=tuple(round(day, 4) for day in played.daily.tolist()),
            ledger={name: amount for name, amount in ledger.items() if amount},
            metrics={
                name: None if value is None else float(f"{value:.6g}")
                for name, value in metrics_of(played).items()
            },
            seconds=round(float(seconds.sum()), 2),
        )
        write_json(asdict(part), kept)
        return part

    def _bound_part(
        self, rows: Rows, number: int, work: Path, progress: Progress | None
    ) -> CellPart:
        """Return the bound of one part; days share their window's value evenly."""
        kept = work / f"bound{number}.json"
        if kept.exists():
            return part_of(json.loads(kept.read_text("utf-8")))

        def show(done: int, total: int) -> None:
            if progress is not None:
                progress(f"bound, {self._day(rows[0])}", done, total)

        started = time.perf_counter()
        bound = perfect_foresight_bound(
            self.opened.scenario, rows, opens_accounts=True, progress=show
        )
        part = CellPart(
            role="test",
            start=self._instant(rows[0]),
            end=self._instant(rows[1]),
            profit=round(bound.value, 2),
            daily_profit=tuple(round(day, 4) for day in self._days_of(bound)),
            seconds=round(time.perf_counter() - started, 2),
        )
        write_json(asdict(part), kept)
        return part

    def _days_of(self, bound: Bound) -> list[float]:
        """Return the value of each local day, a window's spread evenly over its periods."""
        first, last = bound.rows
        by_row = np.concatenate(
            [
                np.full(w.rows[1] - w.rows[0], w.value / (w.rows[1] - w.rows[0]))
                for w in bound.windows
            ]
        )
        starts = self.opened.scenario.trace.starts[first:last]
        local = starts.tz_convert(self.opened.scenario.site.timezone)
        daily: list[float] = pd.Series(by_row, index=starts).groupby(local.date).sum().tolist()
        return daily

    def _instant(self, row: int) -> str:
        trace = self.opened.scenario.trace
        instant = trace.starts[row] if row < trace.n_rows else trace.end
        return str(instant.tz_convert(self.opened.scenario.site.timezone).isoformat())

    def _day(self, row: int) -> str:
        return self._instant(row)[:10]
