"""Alarms of the whole site: raised once when they begin, and again only after they have ended."""

from collections.abc import Mapping
from datetime import datetime

from gridhash.serving.findings import Alarm, AlarmRaised, Finding

AlarmKey = Alarm | tuple[Alarm, str]
"""An alarm, or one of several of its kind, as ``(Alarm.PLANT, "flow a")``."""


class StandingAlarms:
    """The alarms of the site that stand now."""

    def __init__(self) -> None:
        """None stands."""
        self._standing: set[AlarmKey] = set()

    def update(self, texts: Mapping[AlarmKey, str], now: datetime) -> list[Finding]:
        """Take in the causes, with an empty text where there is none; return those that begin."""
        begun = [key for key, text in texts.items() if text and key not in self._standing]
        self._standing = {key for key, text in texts.items() if text}
        return [AlarmRaised(at=now, kind=_kind(key), text=texts[key]) for key in begun]


def _kind(key: AlarmKey) -> Alarm:
    return key[0] if isinstance(key, tuple) else key
