"""Whether a file of a secret is for its owner's eyes alone."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path


def others_may_read(path: Path, mode: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a file with this mode is open to others than its owner.

    A credential that systemd hands to a service is private whatever its mode says: an access list
    for the service's user shows there as rights of the group.
    """
    given = environ.get("CREDENTIALS_DIRECTORY")
    if given and path.resolve().is_relative_to(Path(given).resolve()):
        return False
    return bool(stat.S_IMODE(mode) & 0o077)
