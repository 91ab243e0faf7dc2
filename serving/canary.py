"""Who armed the site, and how far: a few rigs first, then a rack, then 5 % of the power, then all.

Rigs are commanded only in live mode, after a named person armed it. A stage is left for the next
one when watts have verified a command to each of its rigs that takes commands, none of them missed
one since the stage began, and it lasted `STAGE_S`. Arming and stage are in the journal, so that a
controller that is started again goes on where it was; disarming ends both.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import zip_longest

from gridhash.serving.findings import Alarm, AlarmRaised, Finding, Verdict, Verified
from gridhash.serving.journal import Journal
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.site_status import Mode

FIRST_RIGS = 3
RACK_RIGS = 12
"""Rigs of a rack where the site does not say which rig stands in which."""

SHARE = 0.05
STAGE_S = 600.0


class Stage(IntEnum):
    """How many rigs are commanded."""

    RIGS = 1
    RACK = 2
    SHARE = 3
    ALL = 4

    @property
    def words(self) -> str:
        """Return it as people say it."""
        return ("a few rigs", "a rack", f"{100 * SHARE:g} % of the power", "all rigs")[self - 1]


def stage_rigs(
    groups: Sequence[Sequence[RigStatus]], stage: Stage, racks: Mapping[str, str] | None = None
) -> set[str]:
    """Return the rigs that a stage commands; each stage holds those of the one before.

    `racks` names the rack of each rig; without it the first rigs of the first group are one.
    """
    if stage is Stage.ALL:
        return {rig.rig_id for rigs in groups for rig in rigs}
    turns = [rig for turn in zip_longest(*groups) for rig in turn if rig is not None]
    answering = [rig for rig in turns if rig.measured] or turns
    chosen = {rig.rig_id for rig in answering[:FIRST_RIGS]}
    if stage >= Stage.RACK:
        own = racks.get(answering[0].rig_id) if racks else None
        if racks and own is not None:
            chosen |= {rig.rig_id for rig in turns if racks.get(rig.rig_id) == own}
        else:
            chosen |= {rig.rig_id for rig in groups[0][:RACK_RIGS]}
    if stage >= Stage.SHARE:
        left_kw = SHARE * sum(rig.level_kw[-1] for rig in turns)
        left_kw -= sum(rig.level_kw[-1] for rig in turns if rig.rig_id in chosen)
        for rig in turns:
            if rig.rig_id not in chosen and rig.level_kw[-1] <= left_kw:
                chosen.add(rig.rig_id)
                left_kw -= rig.level_kw[-1]
    return chosen


class Arming:
    """Whether rigs are commanded, and which."""

    def __init__(self, permitted: Mode, *, racks: Mapping[str, str] | None = None) -> None:
        """Nothing is armed; `permitted` is what the controller was started for."""
        self.permitted = permitted
        self.person = ""
        """Who armed the site; empty while it is not."""
        self.stage = Stage.RIGS
        self._racks = racks
        self._groups: Sequence[Sequence[RigStatus]] = ()
        self._began_at: datetime | None = None
        self._verified: set[str] = set()
        self._failed: set[str] = set()

    @classmethod
    def full(cls, permitted: Mode) -> "Arming":
        """Return one that was armed for all rigs from the start, for simulated rigs."""
        arming = cls(permitted)
        arming.person, arming.stage = "the caller", Stage.ALL
        return arming

    @property
    def mode(self) -> Mode:
        """What the controller does now: shadow while it may be live and is not armed."""
        unarmed = self.permitted is Mode.LIVE and not self.person
        return Mode.SHADOW if unarmed else self.permitted

    @property
    def words(self) -> str:
        """Return it as people say it; empty where there is nothing to arm."""
        if self.permitted is not Mode.LIVE:
            return ""
        if not self.person:
            return "not armed: nothing is commanded but lockouts and stop-all"
        return f"armed by {self.person}, {self.stage.words}"

    def govern(self, groups: Sequence[Sequence[RigStatus]]) -> None:
        """Take the rigs of the site, and enable those of the stage."""
        self._groups = groups
        self._enable()

    def restore(self, journal: Journal) -> None:
        """Go on as an earlier run left it, if this one may command at all."""
        if self.permitted is not Mode.LIVE:
            return
        kinds = (Alarm.ARMED, Alarm.DISARMED, Alarm.STAGE)
        rows = journal.rows(
            "SELECT kind, text FROM alarms WHERE kind IN (?, ?, ?) ORDER BY id", *map(str, kinds)
        )
        for row in rows:
            if row["kind"] == Alarm.ARMED:
                self.person, self.stage = row["text"].removeprefix("by "), Stage.RIGS
            elif row["kind"] == Alarm.DISARMED:
                self.person = ""
            else:
                self.stage = Stage(int(row["text"].split(":")[0]))

    def arm(self, person: str, now: datetime, *, all_at_once: bool = False) -> list[Finding]:
        """Command the rigs of the first stage, or all where they are simulated."""
        self.person, self.stage = person, Stage.ALL if all_at_once else Stage.RIGS
        self._begin(now)
        return [AlarmRaised(at=now, kind=Alarm.ARMED, text=f"by {person}"), self._staged(now)]

    def disarm(self, person: str, now: datetime) -> list[Finding]:
        """Command nothing any more; rigs stay as they are."""
        self.person = ""
        self._enable()
        return [AlarmRaised(at=now, kind=Alarm.DISARMED, text=f"by {person}")]

    def note(self, findings: Iterable[Finding]) -> None:
        """Take in what became of commands."""
        for finding in findings:
            if isinstance(finding, Verified):
                if finding.verdict in {Verdict.VERIFIED, Verdict.LATE}:
                    self._verified.add(finding.rig_id)
                elif finding.verdict in {Verdict.MISSED, Verdict.NOT_SENT}:
                    self._failed.add(finding.rig_id)

    def advance(self, now: datetime) -> list[Finding]:
        """Go to the next stage that holds more rigs, if this one is verified."""
        if not self.person or self.stage is Stage.ALL:
            return []
        if self._began_at is None:
            self._begin(now)
        assert self._began_at is not None
        own = [rig for rigs in self._groups for rig in rigs if rig.enabled]
        able = {rig.rig_id for rig in own if rig.measured and not rig.lockout}
        lasted = now - self._began_at >= timedelta(seconds=STAGE_S)
        proven = len(able) >= min(FIRST_RIGS, len(own)) and able <= self._verified
        if not lasted or not proven or self._failed or any(rig.flag for rig in own):
            return []
        while self.stage is not Stage.ALL:
            self.stage = Stage(self.stage + 1)
            if len(stage_rigs(self._groups, self.stage, self._racks)) > len(own):
                break
        self._begin(now)
        return [self._staged(now)]

    def retry(self, rig_id: str) -> None:
        """Forget that a rig failed in this stage: a person has cleared it."""
        self._failed.discard(rig_id)

    def clock_set(self, by: timedelta) -> None:
        """Let a stage last as long whatever the host's clock is set to."""
        if self._began_at is not None:
            self._began_at += by

    def _begin(self, now: datetime) -> None:
        self._began_at, self._verified, self._failed = now, set(), set()
        self._enable()

    def _enable(self) -> None:
        """Enable the rigs of the stage; all of them while nothing is armed, to decide for all."""
        stage = self.stage if self.person else Stage.ALL
        chosen = stage_rigs(self._groups, stage, self._racks) if self._groups else set()
        for rigs in self._groups:
            for rig in rigs:
                rig.enabled = rig.rig_id in chosen

    def _staged(self, now: datetime) -> AlarmRaised:
        n_rigs = sum(rig.enabled for rigs in self._groups for rig in rigs)
        text = f"{int(self.stage)}: {self.stage.words}, {n_rigs} commanded"
        return AlarmRaised(at=now, kind=Alarm.STAGE, text=text)
