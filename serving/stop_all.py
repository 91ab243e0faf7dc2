"""The order that everything shall stand: a file that outlives every process until it is lifted.

While it is there the controller stops all rigs and starts none, whatever else is asked. A file that
cannot be understood counts as the order.
"""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError

from gridhash.errors import ServingError
from gridhash.serving.state_folder import Record, read_small, write_whole


class StopAllOrder(Record):
    """Who ordered it, when and why."""

    person: str = Field(max_length=128)
    reason: str = Field(max_length=500)
    at: AwareDatetime


def order_stop_all(path: Path, order: StopAllOrder) -> None:
    """Write the order; raises OSError if it cannot be written."""
    write_whole(path, order.to_bytes())


def read_stop_all(path: Path) -> StopAllOrder | None:
    """Return the order in force; None if there is none. It never raises: doubt means stop."""
    try:
        content = read_small(path)
        return None if content is None else StopAllOrder.model_validate_json(content)
    except (ServingError, ValidationError) as err:
        return StopAllOrder(
            person="unknown",
            reason=f"{path} cannot be understood, so it counts: {err}"[:500],
            at=datetime.fromtimestamp(0, UTC),
        )


def lift_stop_all(path: Path) -> None:
    """Remove the order; raises OSError if it cannot be removed. For the controller alone."""
    path.unlink(missing_ok=True)
