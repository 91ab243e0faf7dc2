"""Making the decisions of a journal again: the same bits, or the differences.

Exact on the same machine and versions; a matrix product may differ in its last bit elsewhere.
"""

import json
from dataclasses import dataclass
from typing import Any

from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig
from gridhash.envs.observation import table_hash
from gridhash.errors import ServingError
from gridhash.serving.decide import decide, policy_name
from gridhash.serving.journal import Journal
from gridhash.serving.meter_replay import different_trims
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_state import SiteSnapshot, hash_of


@dataclass(frozen=True, kw_only=True)
class Replay:
    """How many decisions came out as they are written."""

    equal: int
    different: int
    differences: tuple[str, ...] = ()
    """Of each that differs: its id, instant and fields; the first ten."""

    @property
    def n_decisions(self) -> int:
        """Decisions that were made again."""
        return self.equal + self.different


def replay(journal: Journal, policy: Policy | None, *, run_id: int | None = None) -> Replay:
    """Make every decision of a run again from its snapshot; the newest run if None.

    Raises
    ------
    ServingError
        If the run was decided by another policy or on another observation table.
    """
    run_id = run_id or journal.last_run_id()
    run = journal.rows("SELECT * FROM runs WHERE id = ?", run_id)
    if not run:
        raise ServingError(f"{journal.path} holds no run {run_id}")
    if run[0]["policy_name"] != policy_name(policy):
        raise ServingError(
            f"run {run_id} of {journal.path} was decided by {run[0]['policy_name']}, not by "
            f"{policy_name(policy)}: give the policy of the run"
        )
    site = SiteConfig.model_validate_json(run[0]["site_json"])
    if run[0]["observation_hash"] != table_hash(site):
        raise ServingError(
            f"run {run_id} of {journal.path} was decided on another observation table, by "
            f"versions {run[0]['versions']}: replay it with those"
        )
    model = SiteModel.of(site)
    found = journal.rows(
        "SELECT d.id, d.text AS decided, d.input_hash, s.text AS seen FROM decisions d "
        "JOIN snapshots s ON s.id = d.snapshot_id WHERE d.run_id = ? ORDER BY d.id",
        run_id,
    )
    equal, differences = 0, different_trims(journal, run_id)
    for row in found:
        written = json.loads(row["decided"])
        snapshot = SiteSnapshot.from_text(row["seen"])
        again = decide(snapshot, model, policy, was_late=written["late"])
        if again.to_text() == row["decided"] and hash_of(row["seen"]) == row["input_hash"]:
            equal += 1
        else:
            fields = _differing_fields(written, json.loads(again.to_text()))
            differences.append(f"decision {row['id']} of {written['at']}: {', '.join(fields)}")
    return Replay(equal=equal, different=len(differences), differences=tuple(differences[:10]))


def _differing_fields(written: dict[str, Any], again: dict[str, Any]) -> list[str]:
    names = [name for name in again if written.get(name) != again[name]]
    return names or ["the snapshot's text does not have its hash"]
