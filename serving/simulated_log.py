"""The simulated world's own log: what truly happened, for checking a controller against it.

JSON lines, append-only, one change a line and no samples: 1,000 rigs that stop and start twice a
day for 30 days write 482,000 lines, 54 MB, in 7 s of CPU time with all that the rigs do. Every line
has ``at_us`` (microseconds since 1970, UTC) and ``kind``; times do not rise from line to line,
because a rig is brought up to date only when it is looked at.

=========== ========================================================================================
kind        further fields
=========== ========================================================================================
world       format (1), start: the first line
rig         rig, address, mac, group, model, state: one line per rig
power       rig, from_w, to_w, lag_s, hashrate_ths: from here on power is
            ``to_w + (from_w - to_w) * exp(-seconds / lag_s)``, at once ``to_w`` if lag_s is 0
state       rig, state (In Work, In Init, In Idle)
command     rig, text, change (stop, start, level, power_limit, reboot), fate (obeyed, feigned,
            refused, silent, rebooted), replied; questions are not logged
reboot      rig
by_hand     rig, change: by a person or another manager, not through the wire
fault       rig, faults: those that are not at their default from here on
address     rig, address: from here on
=========== ========================================================================================
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.simulated_physics import RigSegment

FORMAT = 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class WorldLog:
    """Writes the log: ``with WorldLog(path, clock.now()) as log:``."""

    def __init__(self, path: Path, start: datetime) -> None:
        """Begin a log at an instant.

        Raises
        ------
        ServingError
            If there is already such a file, or it cannot be written.
        """
        self.path = path
        try:
            self._file = path.open("x", encoding="utf-8")
        except FileExistsError as err:
            raise ServingError(
                f"{path} exists and is not overwritten: choose another name for the world's log"
            ) from err
        except OSError as err:
            raise ServingError(
                f"{path}: the world's log cannot be written: {err.strerror}"
            ) from err
        self.write("world", start, format=FORMAT, start=start.isoformat())

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def write(self, kind: str, at: datetime, **fields: object) -> None:
        """Append one line; it reaches the file with the next `flush`."""
        line = {"at_us": (at - EPOCH) // MICROSECOND, "kind": kind, **fields}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RigLog:
    """What one rig writes to the world's log, if there is one."""

    def __init__(self, log: WorldLog | None, rig_id: str, clock: Clock) -> None:
        """Write for a rig."""
        self._log = log
        self._rig_id = rig_id
        self._clock = clock

    def note(self, kind: str, at: datetime | None = None, **fields: object) -> None:
        """Write a line, of now if no instant is given."""
        if self._log is not None:
            self._log.write(kind, at or self._clock.now(), rig=self._rig_id, **fields)

    def power(self, segment: RigSegment) -> None:
        """Write how power and hash rate go on from a segment's start."""
        self.note(
            "power",
            segment.start_at,
            from_w=segment.start_w,
            to_w=segment.target_w,
            lag_s=segment.lag_s,
            hashrate_ths=segment.hashrate_ths,
        )


def read_world_log(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines in the order of the file, each with `at` as an aware datetime.

    Raises
    ------
    ServingError
        If the file is no world's log of this format, or a line is broken; the message names it.
    """
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                line = json.loads(text)
                line["at"] = EPOCH + line.pop("at_us") * MICROSECOND
            except (ValueError, KeyError, TypeError, AttributeError) as err:
                raise ServingError(
                    f"{path}, line {number}: no line of a world's log ({err}); if the simulation "
                    "was killed, remove the broken last line"
                ) from err
            if number == 1 and (line.get("kind"), line.get("format")) != ("world", FORMAT):
                raise ServingError(f"{path} is no world's log of format {FORMAT}")
            yield line
