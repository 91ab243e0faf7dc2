"""What every block of a configuration file shares: strictness, sources of figures, fault texts."""

import math
import reprlib
import tomllib
from collections.abc import Mapping
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from gridhash.errors import ConfigError

LARGEST = 1e12
"""No number of a file is larger: beyond it lies a slip, or arithmetic that overflows."""
MAX_FAULTS = 15
"""Faults that are listed one by one."""

Mark = Literal["measured", "sourced", "assumed"]
"""How a figure of a preset is known."""


class Block(BaseModel):
    """Base of every block of a site file: immutable, unknown keys forbidden, nothing converted.

    A number in quotes, a number for a date or for true and false, and numbers beyond `LARGEST` are
    slips of the pen and refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        kinds = _scalars_of(cls)
        return {key: _refuse_slips(value, kinds.get(key)) for key, value in values.items()}


class Refused:
    """What stands in a file where nothing like it may: no field takes it, the fault shows it."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def __repr__(self) -> str:
        """Return what the file says, and whether it is beyond all bounds."""
        beyond = isinstance(self.item, int | float) and abs(self.item) > LARGEST
        return (f"beyond {LARGEST:g}: " if beyond else "") + reprlib.repr(self.item)


class SparseBlock(Block):
    """A block whose dumps leave out what is absent.

    A file that does not use a newer key keeps its hash, and reads back as the same block.
    """

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class FigureSource(Block):
    """Where a figure of the preset comes from."""

    figure: str = Field(description="key or keys that it speaks of")
    mark: Mark = Field(description="how the figure is known")
    source: str = Field(description="where it is from, or why it is assumed")


@cache
def _scalars_of(block: type[BaseModel]) -> dict[str, frozenset[Any]]:
    """Return by key which of number, date, time, true-or-false and text it may hold."""
    found = {}
    for name, field in block.model_fields.items():
        todo, kinds = [field.annotation], set()
        while todo:
            part = todo.pop()
            todo += get_args(part)
            if part in (int, float, date, time, bool, str):
                kinds.add(part)
            elif isinstance(part, int):  # one of the numbers that a key may be
                kinds.add(int)
        found[name] = frozenset(kinds)
    return found


def _refuse_slips(value: Any, kinds: frozenset[Any] | None) -> Any:
    """Return a value, or its items, with what would only fit after conversion refused."""
    if not kinds:
        return value
    if isinstance(value, list | tuple):
        return [_refuse_slips(item, kinds) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number:
        slip = bool in kinds or date in kinds or time in kinds or LARGEST < abs(value) < math.inf
    elif isinstance(value, bool):
        slip = bool not in kinds
    else:
        slip = isinstance(value, str) and not kinds & {str, date, time}
    return Refused(value) if slip else value


def read_toml(path: str | Path, *, missing: str) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises
    ------
    ConfigError
        If there is no such file, which `missing` explains, or it is no TOML in UTF-8.
    """
    try:
        return parse_toml(Path(path).read_text(encoding="utf-8-sig"), origin=str(path))
    except FileNotFoundError:
        raise ConfigError(missing) from None
    except (OSError, ValueError) as err:  # ValueError: no UTF-8, or no path at all
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {err}") from err


def parse_toml(text: str, *, origin: str) -> dict[str, Any]:
    """Return what a text in TOML holds; `origin` is named in errors.

    Raises
    ------
    ConfigError
        With the line that is no TOML.
    """
    try:
        return tomllib.loads(text)
    except ValueError as err:  # a number of thousands of digits is no TOMLDecodeError
        raise ConfigError(f"{origin}: not valid TOML: {err}") from err
    except RecursionError as err:
        raise ConfigError(f"{origin}: not valid TOML: nested too deep") from err


def describe_faults(err: ValidationError) -> str:
    """Return every fault of a validation as text: key, what is wrong, what was found."""
    faults = err.errors(include_url=False)
    # A list is also "too short" when one of its blocks is at fault; the block is what counts.
    inside = {fault["loc"][:n] for fault in faults for n in range(len(fault["loc"]))}
    lines = []
    for fault in faults:
        if fault["type"] == "too_short" and fault["loc"] in inside:
            continue
        key = ".".join(str(part) for part in fault["loc"]) or "file"
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key {key}: remove it or correct its spelling")
        elif fault["type"] == "missing":
            lines.append(f"missing key {key}: add it")
        elif fault["type"] == "value_error":
            lines.append(f"{key}: {fault['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"{key}: {fault['msg']}; found {reprlib.repr(fault.get('input'))}")
    if len(lines) == 1:
        return lines[0]
    more = [f"and {len(lines) - MAX_FAULTS} more"] if len(lines) > MAX_FAULTS else []
    return "\n  - ".join([f"{len(lines)} faults", *lines[:MAX_FAULTS], *more])
