"""Fields of a rig's answer as finite numbers; what is none is noted, never guessed."""

import math
from typing import Any

Step = str | int
"""One step into an answer: the key of a mapping or the index of a list."""


class Telemetry:
    """Parsed fields of one answer; remembers which were no numbers."""

    def __init__(self, fields: Any) -> None:
        """Wrap the parsed answer, a mapping as a rule."""
        self._fields = fields
        self.not_numbers: list[str] = []

    def at(self, *path: Step) -> Any:
        """Return what stands at a path; None if the answer has no such place."""
        found = self._fields
        for step in path:
            try:
                found = found[step]
            except (LookupError, TypeError):
                return None
        return found

    def number(self, *path: Step) -> float | None:
        """Return a field as a finite number; None if it is absent or none."""
        return self.finite(_name(path), self.at(*path))

    def text(self, *path: Step) -> str | None:
        """Return a field as text; None if it is absent or empty."""
        value = self.at(*path)
        return None if value is None or value == "" else str(value)

    def flag(self, *path: Step) -> bool | None:
        """Return a field that says yes or no, as a word of JSON or as text."""
        value = self.at(*path)
        if isinstance(value, bool):
            return value
        return {"true": True, "false": False}.get(str(value).casefold())

    def highest(self, *paths: tuple[Step, ...]) -> float | None:
        """Return the highest of several fields, lists of numbers included; zeros are absent."""
        numbers = [
            number
            for path in paths
            for value in _flat(self.at(*path))
            if (number := self.finite(_name(path), value)) is not None and number != 0.0
        ]
        return max(numbers, default=None)

    def finite(self, name: str, value: object) -> float | None:
        """Return the value if it is a finite number; else note it and return None."""
        if value is None:
            return None
        try:
            number = float(value) if isinstance(value, int | float) else float(str(value))
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
        # Python refuses to write integers of thousands of digits.
        shown = "an integer out of range" if isinstance(value, int) else f"{value!s:.40}"
        self.not_numbers.append(f"{name}={shown}")
        return None


def scaled(value: float | None, divisor: float) -> float | None:
    """Return a value in the unit that is `divisor` times as large; None stays None."""
    return None if value is None else value / divisor


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _name(path: tuple[Step, ...]) -> str:
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return name.removeprefix(".")
