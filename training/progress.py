"""What training tells while it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field

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
