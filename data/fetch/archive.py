"""Unpack the data files of a publisher's ZIP archive beside it."""

import hashlib
import re
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

from gridhash.data.fetch.provenance import Provenance, put_in_place
from gridhash.data.fetch.request import Request


def unpack(
    request: Request, path: Path, provenance: Provenance, max_bytes: int
) -> tuple[Path, ...]:
    """Unpack the members that `request.members` matches by name; return where they are.

    Folders within the archive are left out, so that nothing is written elsewhere.

    Raises
    ------
    FetchError
        If no member matches, or one would be larger than `max_bytes`.
    """
    with zipfile.ZipFile(path) as archive:
        members = {
            PurePosixPath(member.filename.replace("\\", "/")).name: member
            for member in archive.infolist()
            if not member.is_dir()
        }
        wanted = [name for name in sorted(members) if re.fullmatch(request.members, name)]
        if not wanted:
            raise request.failure(
                f"the archive has no file that matches {request.members}; it has "
                f"{', '.join(sorted(members)) or 'none'}"
            )
        unpacked = []
        for name in wanted:
            with archive.open(members[name]) as member:
                content = member.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise request.failure(f"{name} in the archive is larger than {max_bytes} bytes")
            target = path.parent / name
            arrived = target.with_name(name + ".part")
            arrived.write_bytes(content)
            noted = replace(
                provenance,
                sha256=hashlib.sha256(content).hexdigest(),
                size_bytes=len(content),
                content_type="",
                etag="",
                last_modified="",
                archive=path.name,
            )
            put_in_place(arrived, target, noted)
            unpacked.append(target)
    return tuple(unpacked)
