"""Who is compared: baselines tuned on the training span, learned policies by bundle and seed."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from gridhash.agents.bundle import describe_bundle, distrust, load_bundle
from gridhash.agents.bundle_manifest import Manifest
from gridhash.agents.policy import Policy
from gridhash.agents.roster import PLANNERS, POLICIES, policy_names, tuned_policy
from gridhash.agents.rule_registry import RULES, build_rule, parameters_of
from gridhash.agents.signing import PublicKey
from gridhash.config import SiteConfig
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import Rows
from gridhash.envs.scenario import Scenario
from gridhash.errors import BundleError, ConfigError, PolicyError
from gridhash.training.played import Timing
from gridhash.training.transfer import (
    Transfer,
    TransferredPolicy,
    load_transferred,
    own_site,
    transfer_between,
)
from gridhash.units import SECONDS_PER_DAY

Kind = Literal["rule", "planner", "learned"]

ALWAYS_ON = "always_on"
RULE = "level_rule"
PLANNER = "day_ahead_dp"
REFERENCES = (ALWAYS_ON, RULE, PLANNER)
"""Played always: the others are measured against them."""
LEARNED = "learned"
_SEED = re.compile(r"(.+?)[-_]seed(\d+)")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A policy in a comparison; those of one name and several seeds are one policy."""

    name: str
    policy: Policy
    kind: Kind
    seed: int | None = None
    note: str = ""
    """What a reader must know of it."""
    folder: Path | None = None
    """Run folder that it came from."""
    build: Callable[[SiteConfig], Policy] | None = None
    """Makes the same policy for another site, its parameters kept; None if it reads no site."""
    transfer: Transfer | None = None
    """How it plays at a site that it does not fit; None where it fits."""

    @property
    def run_name(self) -> str:
        """Name of its play."""
        return self.name if self.seed is None else f"{self.name}-seed{self.seed}"

    def at(self, site: SiteConfig) -> "Contender":
        """Return the contender at another site."""
        return self if self.build is None else replace(self, policy=self.build(site))


def contender_of(policy: Policy) -> Contender:
    """Return a policy as a contender: a rule if the registry knows it, learned by its name."""
    if policy.name.startswith(LEARNED):
        return Contender(name=policy.name, policy=policy, kind="learned")
    kind: Kind = "rule" if policy.name in RULES else "planner"
    return Contender(name=policy.name, policy=policy, kind=kind, build=_rebuilder(policy))


def _rebuilder(policy: Policy) -> Callable[[SiteConfig], Policy] | None:
    name = policy.name
    if name in RULES:
        parameters = parameters_of(policy)
        return lambda site: build_rule(name, parameters, site=site)
    return POLICIES.get(name)


def baselines(
    scenario: Scenario,
    training_rows: Rows,
    names: Sequence[str] | None = None,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Contender]:
    """Return the baselines of a site, tuned where they have parameters; references come first.

    Parameters
    ----------
    names
        Which to take beside the references; all but the slow planners if None.
    progress
        Called with (what is tuned, baselines done, baselines in all).

    Raises
    ------
    PolicyError
        If a name is not that of a baseline of this site.
    """
    known = [*policy_names(scenario.site), *PLANNERS]
    for name in names or ():
        if name not in known:
            raise PolicyError(
                f"{scenario.site.name} has no baseline {name!r}; there are {', '.join(known)}"
            )
    chosen = policy_names(scenario.site) if names is None else names
    wanted = [name for name in known if name in chosen or name in REFERENCES]
    tuned: dict[str, Policy] = {}
    for k, name in enumerate(wanted):
        if progress is not None:
            progress("tune the baselines", k, len(wanted))
        tuned[name] = tuned_policy(name, scenario, training_rows, tuned=tuned)
    if progress is not None:
        progress("tune the baselines", len(wanted), len(wanted))
    order = dict.fromkeys((*REFERENCES, *tuned))
    return [contender_of(tuned[name]) for name in order]


def decision_times(scenario: Scenario, policy: Policy, rows: Rows, *, n: int = 200) -> Timing:
    """Measure `n` decisions on one observation, after a first one that is not counted."""
    days = (rows[1] - rows[0]) * scenario.trace.period_s / SECONDS_PER_DAY
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=days, rows=rows))
    sites.start_at(rows[0], running_frac=1.0)
    observation = sites.observe()
    policy.act(observation)
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        policy.act(observation)
        seconds.append(time.perf_counter() - start)
    median, p99 = np.quantile(seconds, [0.5, 0.99]) * 1e6
    return Timing(median_us=float(median), p99_us=float(p99))


def learned_contenders(
    bundles: Sequence[Path],
    scenario: Scenario,
    rows: Rows,
    keys: Sequence[PublicKey],
    *,
    sites: Sequence[SiteConfig] = (),
    zero_shot: bool = False,
) -> tuple[list[Contender], dict[str, str]]:
    """Return the policies of bundles that fit a scenario, and by path why the others do not.

    With `zero_shot` those too whose observation can be mapped (`gridhash.training.transfer`).

    Bundles whose names differ only by their seed are the seeds of one policy. A policy that was
    trained on other data or for another site plays zero-shot and says so; so does one that has
    seen a part of `rows`. Where several policies fit one of `sites`, all that are played in this
    evaluation, names tell them apart in every scenario; else the one that fits is `learned`.

    Raises
    ------
    BundleError
        If a bundle is damaged, unsigned or signed by a stranger: that is no matter of fit.
    """
    loaded, refused = [], {}
    for path in bundles:
        if misfits := _misfits(path, scenario.site, zero_shot):
            refused[str(path)] = "; ".join(misfits)
            continue
        told = describe_bundle(path, site=scenario.site)
        build = _loader(path, keys, mapped=bool(told.misfits))
        loaded.append((path, build, told.manifest))
    apart = any(_several_fit(bundles, site, zero_shot) for site in sites or [scenario.site])
    found = []
    for path, build, manifest in loaded:
        base, policy = _base(manifest.name), build(scenario.site)
        transfer = policy.transfer if isinstance(policy, TransferredPolicy) else None
        notes = [provenance_note(manifest, scenario, rows)]
        if transfer is not None:
            notes.append(transfer.note(scenario.site.currency))
        found.append(
            Contender(
                name=f"{LEARNED}_{base}" if apart else LEARNED,
                policy=policy,
                kind="learned",
                seed=_seed(manifest),
                note="; ".join(filter(None, notes)),
                folder=path.parent,
                build=build,
                transfer=transfer,
            )
        )
    return found, refused


def _misfits(path: Path, site: SiteConfig, zero_shot: bool) -> tuple[str, ...]:
    """Return why a bundle cannot play at a site, by way of a mapping too if `zero_shot`."""
    told = describe_bundle(path, site=site)
    if not (told.misfits and zero_shot):
        return told.misfits
    try:
        transfer_between(own_site(told.manifest), site, told.manifest.action.action_kind)
    except (ConfigError, PolicyError) as err:
        return (str(err),)
    return ()


def _several_fit(bundles: Sequence[Path], site: SiteConfig, zero_shot: bool) -> bool:
    fit = [path for path in bundles if not _misfits(path, site, zero_shot)]
    return len({_base(describe_bundle(path).manifest.name) for path in fit}) > 1


def require_a_place(
    path: Path,
    sites: Sequence[SiteConfig],
    keys: Sequence[PublicKey],
    *,
    zero_shot: bool = False,
) -> None:
    """Check that a bundle is intact and trusted and fits one of the sites, before any is played.

    Raises
    ------
    BundleError
        If it is not, with what differs from each site.
    """
    signer = describe_bundle(path, trusted_keys=keys).signer
    if signer not in keys:
        raise BundleError(f"{path}: {distrust(signer, keys)}")
    found = {site.name: _misfits(path, site, zero_shot) for site in sites}
    if all(found.values()):
        why = "; ".join(
            f"does not fit site {name}: {'; '.join(misfits)}" for name, misfits in found.items()
        )
        remedy = "" if zero_shot else ", or evaluate it by a mapped observation with --zero-shot"
        raise BundleError(f"{path} {why}. Train or export the policy for this site{remedy}")


def _loader(
    path: Path, keys: Sequence[PublicKey], *, mapped: bool
) -> Callable[[SiteConfig], Policy]:
    if mapped:
        return lambda site: load_transferred(path, site=site, trusted_keys=keys)
    return lambda site: load_bundle(path, site=site, trusted_keys=keys).policy


def _base(name: str) -> str:
    match = _SEED.fullmatch(name)
    return match[1] if match else name


def _seed(manifest: Manifest) -> int | None:
    match = _SEED.fullmatch(manifest.name)
    return int(match[2]) if match else manifest.provenance.seed


def provenance_note(manifest: Manifest, scenario: Scenario, rows: Rows) -> str:
    """Return what a reader must know of where a policy was trained; empty if all is as usual."""
    taught = next((span for span in manifest.provenance.data if span.role == "train"), None)
    here = (scenario.site.name, scenario.trace.area)
    there = (manifest.site_name, taught.area if taught else scenario.trace.area)
    notes = []
    if here != there:
        notes.append(
            f"zero-shot: trained for {there[0]} on {there[1]}, played at {here[0]} on {here[1]}"
        )
    start, end = (scenario.trace.starts[row] for row in (rows[0], rows[1] - 1))
    for span in manifest.provenance.data:
        if span.area == scenario.trace.area and span.start <= end and start < span.end:
            verb = "trained" if span.role == "train" else "chosen"
            notes.append(
                f"not held out: {verb} on data until {span.end:%Y-%m-%d}, which this span overlaps"
            )
    return "; ".join(notes)
