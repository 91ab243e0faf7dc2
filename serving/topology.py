"""Which circuits rigs hang on: feeders, PDUs, whatever has a fuse or one cause of failure.

A rig may hang on several, a PDU within a feeder. The cap of a circuit holds for what its rigs may
draw, as the site's own does: a rig that cannot be measured counts at full power.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridhash.serving.allocator import SAME_KW
from gridhash.serving.rig_status import RigStatus


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """Some rigs that hang on one thing."""

    name: str
    rigs: frozenset[str]
    cap_kw: float | None = None
    """Greatest power of its rigs; None for no cap."""


@dataclass(frozen=True, kw_only=True)
class OverCircuit:
    """A circuit whose rigs may draw more than its cap."""

    circuit: Circuit
    over_kw: float


class Topology:
    """The circuits of one site, and what they leave to its rigs."""

    def __init__(self, circuits: Sequence[Circuit] = ()) -> None:
        """Know the circuits."""
        self.circuits = tuple(circuits)
        self._capped = [own for own in circuits if own.cap_kw is not None]
        self._of: dict[str, list[Circuit]] = {}
        for circuit in self._capped:
            for rig_id in circuit.rigs:
                self._of.setdefault(rig_id, []).append(circuit)

    def room_kw(self, rigs: Iterable[RigStatus]) -> dict[str, float]:
        """Return what each circuit with a cap has left, by name [kW]; below 0 if it is over."""
        room = {own.name: own.cap_kw or 0.0 for own in self._capped}
        if room:
            for rig in rigs:
                for circuit in self._of.get(rig.rig_id, ()):
                    room[circuit.name] -= rig.potential_kw()
        return room

    def take(self, rig_id: str, more_kw: float, room: dict[str, float]) -> bool:
        """Take power for a rig from the room of its circuits; return False if one lacks it."""
        circuits = self._of.get(rig_id, ())
        if any(more_kw > room[own.name] + SAME_KW for own in circuits):
            return False
        for own in circuits:
            room[own.name] -= more_kw
        return True

    def barred(self, rigs: Sequence[RigStatus]) -> set[str]:
        """Return the standing rigs for which their circuits leave no room, so that others start.

        Of rigs that stand on one circuit those that were started least often come first, as in
        the allocator.
        """
        if not self._capped:
            return set()
        room = self.room_kw(rigs)
        standing = [rig for rig in rigs if rig.told_level is None and rig.potential_kw() == 0.0]
        standing.sort(key=lambda rig: (rig.n_starts, rig.rig_id))
        return {
            rig.rig_id
            for rig in standing
            if not self.take(rig.rig_id, rig.level_kw[rig.level] + rig.excess_kw, room)
        }

    def over(self, rigs: Sequence[RigStatus]) -> list[OverCircuit]:
        """Return the circuits that are over their caps."""
        room = self.room_kw(rigs)
        return [
            OverCircuit(circuit=own, over_kw=-room[own.name])
            for own in self._capped
            if room[own.name] < -SAME_KW
        ]
