"""Values of a JSON document, each of the type that it must have."""

from typing import Any

import numpy as np
import numpy.typing as npt

from gridhash.data.readers.source_file import SourceFile
from gridhash.errors import FileFormatError


def is_object(value: Any, *keys: str) -> bool:
    """Return whether a value is a JSON object with these keys."""
    return isinstance(value, dict) and set(keys) <= set(value)


def rows_of(file: SourceFile, value: Any, where: str, *keys: str) -> list[dict[str, Any]]:
    """Return a list of at least one object with these keys; raise FileFormatError otherwise."""
    if not isinstance(value, list) or not value:
        raise FileFormatError(f"{file.path}, {where}: a list of values is expected")
    for i, row in enumerate(value):
        if not is_object(row, *keys):
            raise FileFormatError(
                f"{file.path}, {where}[{i}]: an object with {', '.join(keys)} is expected"
            )
    return value


def number_list(
    file: SourceFile, values: list[Any], where: str, *, may_lack: bool = False
) -> npt.NDArray[np.float64]:
    """Return numbers; null becomes NaN where values may lack.

    Raises
    ------
    FileFormatError
        If a value is anything else: text, true and false are no numbers.
    """
    for i, value in enumerate(values):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number and not (may_lack and value is None):
            raise FileFormatError(f"{file.path}, {where}[{i}], value {value!r}: not a number")
    try:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    except OverflowError as err:
        raise FileFormatError(f"{file.path}, {where}: a number is too large") from err


def whole_list(file: SourceFile, values: list[Any], where: str) -> npt.NDArray[np.int64]:
    """Return whole numbers, such as seconds since 1970; raise FileFormatError for others."""
    for i, value in enumerate(values):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
            raise FileFormatError(
                f"{file.path}, {where}[{i}], value {value!r}: not a whole number of seconds"
            )
    return np.array(values, np.int64)
