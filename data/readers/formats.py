"""The formats that gridhash reads: how each is recognised by content, and its reader."""

from collections.abc import Callable
from dataclasses import dataclass

from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable


@dataclass(frozen=True)
class ReadOptions:
    """What a file may leave open and its reader then asks for.

    Attributes
    ----------
    area
        Area that the file's values belong to, where neither its content nor its name says so.
    currency
        ISO 4217 code, where the file does not say it.
    """

    area: str | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Format:
    """One official file format.

    Attributes
    ----------
    key, title
        Short name such as ``jepx-spot``, and what the file is called by people.
    publisher
        Key of `gridhash.data.publishers.PUBLISHERS`.
    sign
        Returns why the file is of this format, such as ``the header has 受渡日 and 時刻コード``,
        or None. It must be cheap, must never raise for foreign files, and must exclude others.
    read
        Returns the tables of the file, or raises DataError (FileFormatError, TimeGridError).
    """

    key: str
    title: str
    publisher: str
    sign: Callable[[SourceFile], str | None]
    read: Callable[[SourceFile, ReadOptions], tuple[SourceTable, ...]]
