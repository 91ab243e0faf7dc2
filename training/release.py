"""What a training run hands out: its policy's bundle, judged, and one that may command rigs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console

from gridhash.agents.bundle import describe_bundle, write_bundle
from gridhash.agents.bundle_files import SUFFIX
from gridhash.agents.bundle_manifest import Provenance, Verdict
from gridhash.agents.policy import Policy
from gridhash.agents.signing import SigningKey
from gridhash.envs.scenario import Scenario
from gridhash.errors import BundleError
from gridhash.training.progress import shown
from gridhash.training.promotion import judge
from gridhash.training.runtime import LearnedPolicy
from gridhash.training.spans import Spans

RULE_FOLDER = "rule"


@dataclass(frozen=True, kw_only=True)
class Release:
    """The bundles of a run."""

    bundle: Path
    """Of the trained policy, deployable or not."""
    deployable: Path
    """What may command rigs: the same bundle, or that of the best tuned rule."""
    verdict: Verdict
    """Of the trained policy."""
    rules: Mapping[str, Policy]
    """The tuned rules that it was compared with; none if the run was released before."""

    @property
    def words(self) -> str:
        """Whether the trained policy may be deployed, why, and what may be else."""
        if self.verdict.deployable:
            return f"Deployable: {self.verdict.reason}"
        return f"Not deployable: {self.verdict.reason}. Deployable is that rule: {self.deployable}"


def release(
    scenario: Scenario,
    spans: Spans,
    policy: LearnedPolicy,
    folder: Path,
    *,
    name: str,
    key: SigningKey,
    created_at: datetime,
    provenance: Provenance,
    console: Console,
    rules: Mapping[str, Policy] | None = None,
) -> Release:
    """Judge a trained policy and write its bundle; of a run released before, return what it wrote.

    `rules` are the tuned ones, if they are known already. Where the policy is not deployable, the
    best tuned rule is written to the sub-folder `rule`.

    Raises
    ------
    BundleError
        If a bundle cannot be written, or one of an earlier release was changed.
    """
    bundle = folder / f"{name}{SUFFIX}"
    if bundle.exists():
        console.print(f"This run had finished before; its bundle is kept: {bundle}")
        return _released(bundle)
    with shown(console) as show:
        judgement = judge(scenario, spans, policy, judged_at=created_at, rules=rules, progress=show)
    deployable = bundle
    if not judgement.verdict.deployable:
        # Before the policy's own, which says that the release is whole.
        rule_name = f"{name.rpartition('-')[0]}-{judgement.rule.rule}"
        deployable = folder / RULE_FOLDER / f"{rule_name}{SUFFIX}"
        if not deployable.exists():
            write_bundle(
                folder / RULE_FOLDER,
                judgement.rule,
                name=rule_name,
                site=scenario.site,
                key=key,
                created_at=created_at,
                provenance=Provenance(data=provenance.data, git_commit=provenance.git_commit),
                verdict=judgement.verdict_of_rule,
            )
    write_bundle(
        folder,
        policy,
        name=name,
        site=scenario.site,
        key=key,
        created_at=created_at,
        provenance=provenance,
        verdict=judgement.verdict,
    )
    return Release(
        bundle=bundle, deployable=deployable, verdict=judgement.verdict, rules=judgement.rules
    )


def _released(bundle: Path) -> Release:
    verdict = describe_bundle(bundle).manifest.verdict
    if verdict is None:
        raise BundleError(
            f"{bundle} was never judged: move it away and resume, or judge it with `gridhash "
            "bundle promote`"
        )
    rules = sorted((bundle.parent / RULE_FOLDER).glob(f"*{SUFFIX}"))
    if not verdict.deployable and not rules:
        raise BundleError(
            f"{bundle.parent / RULE_FOLDER} holds no bundle, but {bundle.name} is not deployable: "
            "move that away and resume"
        )
    return Release(
        bundle=bundle,
        deployable=bundle if verdict.deployable else rules[0],
        verdict=verdict,
        rules={},
    )
