"""What training and judging tell while they run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

CURVE_NAME = "training-curve.csv"
"""Training curve in a run folder."""
Show = Callable[[str, int, int], None]
"""Called with (what is done, steps done, steps in all)."""
Progress = Callable[[str, int, int, float | None], None]
"""Called with (phase, steps done, steps in all, profit on the validation span if just played)."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """One point of the training curve."""

    phase: str
    step: int
    values: dict[str, float] = field(default_factory=dict)


def silent(phase: str, done: int, total: int, profit: float | None) -> None:
    """Show nothing."""


def silent_show(what: str, done: int, total: int) -> None:
    """Show nothing."""


@contextmanager
def shown(console: Console) -> Iterator[Show]:
    """Show one bar for each thing that is done; they vanish at the end."""
    with Bar(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        yield show
