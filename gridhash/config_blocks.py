"""What every block of a configuration file shares: strictness, sources of figures, fault texts."""

import reprlib
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

Mark = Literal["measured", "sourced", "assumed"]
"""How a figure of a preset is known."""


class Block(BaseModel):
    """Base of every block of a site file: immutable, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


def describe_faults(err: ValidationError) -> str:
    """Return every fault of a validation as text: key, what is wrong, what was found."""
    faults = err.errors(include_url=False)
    # A list is also "too short" when one of its blocks is at fault; the block is what counts.
    inside = {fault["loc"][:n] for fault in faults for n in range(len(fault["loc"]))}
    lines = []
    for fault in faults:
        if fault["type"] == "too_short" and fault["loc"] in inside:
            continue
        key = ".".join(str(part) for part in fault["loc"]) or "site"
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key {key}: remove it or correct its spelling")
        elif fault["type"] == "missing":
            lines.append(f"missing key {key}: add it")
        elif fault["type"] == "value_error":
            lines.append(f"{key}: {fault['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"{key}: {fault['msg']}; found {reprlib.repr(fault.get('input'))}")
    return lines[0] if len(lines) == 1 else "\n  - ".join([f"{len(lines)} faults", *lines])
