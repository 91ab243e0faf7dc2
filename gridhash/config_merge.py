"""How a table of a configuration file is laid over another."""

from collections.abc import Mapping
from typing import Any

from gridhash.rig_models import RIG_COOLING_KEYS, RIG_KEYS


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with another merged over it, at every depth.

    A table over a list of tables is merged into each of them, so that ``[overrides.groups]``
    changes every group alike; anything else replaces what was there. Changes that name another
    `rig` leave nothing of the old one: what the catalogue supplies is taken out of the base.

    >>> merged({"a": {"b": 1, "c": 2}, "d": [{"e": 1}, {"e": 2}]}, {"a": {"b": 3}, "d": {"f": 0}})
    {'a': {'b': 3, 'c': 2}, 'd': [{'e': 1, 'f': 0}, {'e': 2, 'f': 0}]}
    """
    result = _without_rig(base) if isinstance(changes.get("rig"), str) else dict(base)
    for key, change in changes.items():
        present = result.get(key)
        if isinstance(change, Mapping) and isinstance(present, Mapping):
            result[key] = merged(present, change)
        elif (
            isinstance(change, Mapping)
            and isinstance(present, list | tuple)
            and all(isinstance(item, Mapping) for item in present)
        ):
            result[key] = [merged(item, change) for item in present]
        else:
            result[key] = change
    return result


def _without_rig(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group's keys without those that a rig model of the package supplies."""
    kept = {key: value for key, value in group.items() if key not in RIG_KEYS}
    if isinstance(cooling := kept.get("cooling"), Mapping):
        kept["cooling"] = {k: v for k, v in cooling.items() if k not in RIG_COOLING_KEYS}
    return kept
