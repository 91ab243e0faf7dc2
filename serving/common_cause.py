"""One alarm where many rigs fall silent by one cause: a PDU, a switch, a feeder, the whole site.

Rigs that stop answering are looked at together. Where every rig of a circuit is silent, one alarm
names the largest such circuit, and no rig of it raises its own. While half of a circuit fails to
answer, the alarms of its rigs wait a quarter of a minute for the others. When a circuit comes back
one alarm says so, and rigs that stay silent after that are named one by one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.topology import Circuit, Topology

LEAST_RIGS = 3
"""Fewer silent rigs are named one by one."""
WAIT = timedelta(seconds=15)
"""For so long a rig's alarm waits while half of its circuit does not answer."""
RECOVERY = timedelta(minutes=10)
"""After the first rig answers again until those that do not are named: probing backs off."""


@dataclass
class _Outage:
    """A circuit that is silent, or coming back since an instant."""

    circuit: Circuit
    back_since: datetime | None = None
    named: set[str] = field(default_factory=set)


class CommonCauses:
    """Merges the alarms of rigs that fell silent together."""

    @classmethod
    def of(cls, topology: Topology, rigs: Iterable[RigStatus]) -> Self:
        """Return those of a site's rigs."""
        groups: dict[str, list[str]] = {}
        for rig in rigs:
            groups.setdefault(rig.group.name, []).append(rig.rig_id)
        return cls(topology.circuits, groups)

    def __init__(self, circuits: Iterable[Circuit], groups: Mapping[str, Sequence[str]]) -> None:
        """Know the circuits; each group, and the site, is one too."""
        everything = frozenset(rig_id for rigs in groups.values() for rig_id in rigs)
        known = [
            Circuit(name="site", rigs=everything),
            *(Circuit(name=name, rigs=frozenset(rigs)) for name, rigs in groups.items()),
            *circuits,
        ]
        known = [own for own in known if len(own.rigs) >= LEAST_RIGS]
        # Largest first; of circuits with the same rigs the last named, which says most.
        self._circuits = sorted(reversed(known), key=lambda own: -len(own.rigs))
        self._outages: list[_Outage] = []
        self._waiting: dict[str, tuple[datetime, Finding]] = {}

    def merge(
        self, findings: Sequence[Finding], rigs: Mapping[str, RigStatus], now: datetime
    ) -> list[Finding]:
        """Return the findings of a tick, with one alarm for each cause that many rigs share."""
        if not (self._outages or self._waiting) and not any(
            _is(own, Alarm.UNREACHABLE) for own in findings
        ):
            return list(findings)
        silent = {rig_id for rig_id, rig in rigs.items() if not rig.contact.answers}
        doubtful = {rig_id for rig_id, rig in rigs.items() if rig.contact.doubtful}
        merged: list[Finding] = []
        for finding in findings:
            rig_id = getattr(finding, "rig_id", None)
            if rig_id is None or not _is_of_contact(finding):
                merged.append(finding)
            elif _is(finding, Alarm.REACHABLE):
                waited = self._waiting.pop(rig_id, None)
                if self._outage_of(rig_id) is None:
                    merged += [finding] if waited is None else [waited[1], finding]
            else:
                self._waiting[rig_id] = (now, finding)
        merged += self._named(silent, doubtful, now)
        return [*merged, *self._returns(rigs, now)]

    def _named(self, silent: set[str], doubtful: set[str], now: datetime) -> list[Finding]:
        """Return one alarm for each circuit that fell silent, and of rigs that need not wait."""
        found: list[Finding] = []
        for rig_id, (since, finding) in list(self._waiting.items()):
            circuit = self._largest(silent, rig_id)
            outage = self._outage_of(rig_id)
            if circuit is not None and (outage is None or circuit.rigs > outage.circuit.rigs):
                self._outages = [
                    own for own in self._outages if not own.circuit.rigs <= circuit.rigs
                ]
                self._outages.append(_Outage(circuit))
                found.append(_begun(circuit, now))
            elif outage is None:
                if now < since + WAIT and self._may_be_common(rig_id, doubtful):
                    continue
                found.append(finding)
            del self._waiting[rig_id]
        return found

    def _may_be_common(self, rig_id: str, doubtful: set[str]) -> bool:
        return any(
            2 * len(own.rigs & doubtful) >= len(own.rigs)
            for own in self._circuits
            if rig_id in own.rigs
        )

    def _largest(self, silent: set[str], rig_id: str) -> Circuit | None:
        return next((own for own in self._circuits if rig_id in own.rigs <= silent), None)

    def _outage_of(self, rig_id: str | None) -> _Outage | None:
        return next((own for own in self._outages if rig_id in own.circuit.rigs), None)

    def _returns(self, rigs: Mapping[str, RigStatus], now: datetime) -> list[Finding]:
        """Return that circuits answer again, and whom of them they leave silent."""
        found: list[Finding] = []
        for outage in list(self._outages):
            own = [rigs[rig_id] for rig_id in sorted(outage.circuit.rigs)]
            n_back = sum(rig.contact.answers for rig in own)
            if n_back and outage.back_since is None:
                outage.back_since = now
                text = f"{outage.circuit.name}: rigs answer again"
                found.append(AlarmRaised(at=now, kind=Alarm.CIRCUIT_BACK, text=text))
            over = outage.back_since is not None and now >= outage.back_since + RECOVERY
            if n_back < len(own) and not over:
                continue
            self._outages.remove(outage)
            found += [
                AlarmRaised(
                    at=now,
                    kind=Alarm.UNREACHABLE,
                    rig_id=rig.rig_id,
                    text=f"still does not answer, though {outage.circuit.name} does",
                )
                for rig in own
                if not rig.contact.answers
            ]
        return found


def _begun(circuit: Circuit, now: datetime) -> Finding:
    text = (
        f"{circuit.name}: none of its {len(circuit.rigs)} rigs answers, so look for one cause; "
        "they count as running at full power and nothing is claimed"
    )
    return AlarmRaised(at=now, kind=Alarm.CIRCUIT_SILENT, text=text)


def _is_of_contact(finding: Finding) -> bool:
    return _is(finding, Alarm.UNREACHABLE) or _is(finding, Alarm.REACHABLE)


def _is(finding: Finding, kind: Alarm) -> bool:
    return isinstance(finding, AlarmRaised) and finding.kind is kind
