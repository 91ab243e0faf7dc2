"""A machine that took a rig's address while nobody looked is not taken for that rig."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridhash.config import load_site
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.protocol import Why
from gridhash.serving.journal import Journal
from gridhash.serving.known_rigs import known_macs
from gridhash.serving.rig_list import ListedRig, drivers_of
from gridhash.serving.roll_call import Fate, call_roll
from gridhash.serving.simulated_fleet import SimulatedFleet

START = datetime(2024, 4, 1, tzinfo=UTC)
SITE = load_site("europe_sample")


def seen(journal: Journal, run_id: int, rig_id: str, mac: str | None) -> None:
    journal.append(
        "rigs",
        run_id=run_id,
        at=START,
        rig_id=rig_id,
        group_name="loop_a",
        address="127.0.0.1",
        mac=mac,
        note="",
    )


def test_the_last_mac_that_a_rig_told_in_any_run_is_known(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    assert known_macs(path) == {}
    with Journal(path) as journal:
        for run_id, mac in ((1, "AA:00:00:00:00:01"), (2, "AA:00:00:00:00:02"), (3, None)):
            seen(journal, run_id, "r1", mac)
        seen(journal, 3, "r2", None)

    assert known_macs(path) == {"r1": "AA:00:00:00:00:02"}


@pytest.mark.parametrize("listed", [None, "right"])
def test_rigs_whose_addresses_were_swapped_between_runs_are_not_commanded_unless_listed(
    base_address: str, listed: str | None
) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        fleet = SimulatedFleet.of_groups(SITE.groups, clock, count=4, base_address=base_address)
        async with fleet:
            rigs = list(fleet.rigs.values())
            known = {rig.rig_id: _mac(rig.mac) for rig in rigs}
            await fleet.swap_addresses(rigs[0].rig_id, rigs[1].rig_id)
            addresses = {rig.rig_id: rig.address for rig in rigs}
            one, two = rigs[0].rig_id, rigs[1].rig_id
            addresses[one], addresses[two] = addresses[two], addresses[one]
            right = {one: known[two], two: known[one]} if listed else {}
            rows = [
                ListedRig(
                    rig_id=rig.rig_id,
                    group=rig.group.name,
                    address=addresses[rig.rig_id],
                    mac=right.get(rig.rig_id),
                )
                for rig in rigs
            ]
            drivers = drivers_of(rows, SITE, clock, macs=known)
            placed = [(group, driver) for group, own in drivers.items() for driver in own]

            fates = {fate.rig_id: fate.fate for fate in await call_roll(placed)}

            swapped = Fate.IDENTIFIED if listed else Fate.OTHER_MACHINE
            assert (fates[one], fates[two]) == (swapped, swapped)
            assert list(fates.values()).count(Fate.IDENTIFIED) == (4 if listed else 2)
            result = await next(own for _, own in placed if own.rig_id == one).resume()
            assert result.why is (Why.NOTHING if listed else Why.OTHER_RIG)

    asyncio.run(run())


def _mac(digits: str) -> str:
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2)).upper()
