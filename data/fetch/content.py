"""Tell whether the right kind of file came, and say what came instead."""

import codecs
import html
import json
import re
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

from gridhash.data.fetch.request import Content

_HEAD_BYTES = 65_536
_BOM = b"\xef\xbb\xbf"
_WEB_PAGE = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)
_BINARY = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
)


def wrong_content(path: Path, expected: Content, content_type: str) -> str | None:
    """Return what came in place of the expected content, or None if that is what came.

    The bytes decide, not the declared type: publishers send CSV as anything. Encodings are left to
    the readers.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).removeprefix(_BOM).lstrip()
    if not head:
        return "the answer is empty"
    if _WEB_PAGE.match(head) or (expected != "xml" and _WEB_PAGE.search(head[:1000])):
        return f"a web page came instead of {expected.upper()}: {describe(head, content_type)}"
    checks = {"csv": _no_csv, "json": _no_json, "zip": _no_zip, "xml": _no_xml}
    return checks[expected](path, head)


def _no_csv(path: Path, head: bytes) -> str | None:
    for start, name in _BINARY:
        if head.startswith(start):
            return f"{name} came instead of CSV"
    if head.startswith((b"{", b"[", b"<")):
        return f"no CSV came but {describe(head, '')}"
    if not re.search(rb"[,;\t]", head):
        return f"no CSV came but one column of text: {describe(head, '')}"
    return None


def _no_json(path: Path, head: bytes) -> str | None:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError) as err:
        return f"no JSON came, or only a part of it ({err}): {describe(head, '')}"
    return None


def _no_zip(path: Path, head: bytes) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as err:
        return f"no ZIP archive came, or only a part of it ({err})"
    return f"the archive came damaged at {damaged}" if damaged else None


def _no_xml(path: Path, head: bytes) -> str | None:
    try:
        ElementTree.parse(path)
    except (ElementTree.ParseError, LookupError, ValueError) as err:
        return f"no XML came, or only a part of it ({err}): {describe(head, '')}"
    return None


def describe(head: bytes, content_type: str) -> str:
    """Return the title of a web page, the reason in a JSON error, or the first words of a text."""
    text = _decode(head, content_type)
    title = _TITLE.search(text)
    if title is not None:
        return f"“{_short(html.unescape(title[1]))}”"
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        for key in ("reason", "message", "error", "errors", "detail"):
            if isinstance(answer.get(key), (str, dict, list)):
                return f"“{_short(str(answer[key]))}”"
    return f"“{_short(re.sub('<[^>]*>', ' ', text))}”"


def _decode(head: bytes, content_type: str) -> str:
    declared = _CHARSET.search(content_type) or _CHARSET.search(head[:2000].decode("latin-1"))
    for encoding in (declared[1] if declared else "utf-8", "utf-8", "cp932"):
        try:
            # Not final: the head may end within a letter.
            return codecs.getincrementaldecoder(encoding)().decode(head)
        except (UnicodeDecodeError, LookupError):
            continue
    return head.decode("utf-8", errors="replace")


def _short(text: str) -> str:
    text = " ".join(text.split())
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= 120 else text[:119] + "…"
