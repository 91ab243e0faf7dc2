"""One file as given, opened once: its bytes, and its text or JSON where it is that."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gridhash.data.readers.text_file import TextFile, decode_text
from gridhash.data.source_table import Origin
from gridhash.errors import DataError, FileFormatError


@dataclass(frozen=True)
class SourceFile:
    """The content of one file; recognisers and readers share what is decoded."""

    path: Path
    content: bytes

    @classmethod
    def load(cls, path: str | Path) -> "SourceFile":
        """Read a file; raise DataError if it cannot be opened."""
        path = Path(path)
        try:
            return cls(path, path.read_bytes())
        except OSError as err:
            raise DataError(f"{path}: cannot be read: {err.strerror}; check the path") from err

    @cached_property
    def sha256(self) -> str:
        """Hash of the content."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def text_problem(self) -> str:
        """Why this is no text file; empty if it is one."""
        return "" if isinstance(self._text, TextFile) else str(self._text)

    @property
    def text(self) -> TextFile | None:
        """The decoded text, or None if this is no text file (`text_problem` says why)."""
        return self._text if isinstance(self._text, TextFile) else None

    @cached_property
    def _text(self) -> TextFile | FileFormatError:
        try:
            return decode_text(self.path, self.content)
        except FileFormatError as err:
            return err

    @cached_property
    def json(self) -> Any:
        """The parsed JSON, or None if the text is none; NaN and doubled keys are refused.

        Raises
        ------
        FileFormatError
            If it begins like JSON but is broken or cut off.
        """
        file = self.text
        if file is None or not file.text.lstrip().startswith(("{", "[")):
            return None
        try:
            return json.loads(
                file.text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant
            )
        except ValueError as err:
            raise FileFormatError(
                f"{self.path}: broken JSON ({err}): the file may be cut off; download it again"
            ) from err
        except RecursionError as err:
            raise FileFormatError(f"{self.path}: JSON nested too deeply to be data") from err

    def origin(self, publisher: str) -> Origin:
        """Return the origin of what is read from here."""
        return Origin(publisher, self.path.name, self.sha256)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key occurs twice")
    return keys


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
