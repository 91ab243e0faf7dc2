"""What a policy bundle says of itself, and how that is compared with a site."""

import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from gridhash.agents.bundle_files import FORECAST_FILE, MAX_FORECAST_FILES, WEIGHTS
from gridhash.agents.numpy_policy import ACTION_HIGH, OutputKind
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind, action_hash
from gridhash.envs.observation import observation_table, table_hash

FORMAT_VERSION = 3
"""Version 1 knew no tables, forecasters, verdicts and earlier keys, version 2 no networks that act
by levels; they are read as without any."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PRICE_COLUMN = "price_ratio_"
N_NAMED = 3
"""How many of many differing features a message names."""


class Entry(BaseModel):
    """Base of every part of a manifest: immutable, unknown keys forbidden, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FeatureEntry(Entry):
    """One number of the observation, as `gridhash.envs.observation.Feature` has it."""

    name: str
    unit: str
    low: float
    high: float
    meaning: str


class ObservationTable(Entry):
    """Everything that the policy reads, in order."""

    features: tuple[FeatureEntry, ...] = Field(min_length=1, max_length=10_000)
    sha256: Sha256

    @field_validator("features")
    @classmethod
    def _check_names(cls, features: tuple[FeatureEntry, ...]) -> tuple[FeatureEntry, ...]:
        names = [feature.name for feature in features]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"features are named twice: {sorted(twice)}")
        return features


class ActionTable(Entry):
    """What the policy says: one number per group; of ``levels`` the index of one, off being 0."""

    kind: Literal["shadow_price", "power", "levels"]
    low: float
    high: float
    sha256: Sha256

    @property
    def action_kind(self) -> ActionKind:
        """The kind as the environment knows it."""
        return ActionKind[self.kind.upper()]


class MlpSpec(Entry):
    """A network whose weights lie in ``policy.safetensors``."""

    kind: Literal["mlp"] = "mlp"
    n_features: int = Field(gt=0, le=10_000)
    hidden: tuple[Annotated[int, Field(gt=0, le=8192)], ...] = Field(max_length=16)
    n_groups: int = Field(gt=0, le=16)
    activation: Literal["relu"] = "relu"
    output: OutputKind
    clip: float = Field(gt=0, description="normalised inputs are cut off at ± this")
    added_to: "RuleSpec | None" = None
    """The rule that the network moves (`gridhash.agents.relative_policy`); else it stands alone."""


class LevelMlpSpec(Entry):
    """A network that chooses a work level per group (`gridhash.agents.level_policy`).

    Its weights lie in ``policy.safetensors``; it has one output per level, off included, group
    after group.
    """

    kind: Literal["level_mlp"] = "level_mlp"
    n_features: int = Field(gt=0, le=10_000)
    hidden: tuple[Annotated[int, Field(gt=0, le=8192)], ...] = Field(max_length=16)
    level_counts: tuple[Annotated[int, Field(gt=1, le=256)], ...] = Field(
        min_length=1, max_length=16
    )
    activation: Literal["relu"] = "relu"
    clip: float = Field(gt=0, description="normalised inputs are cut off at ± this")

    @property
    def n_groups(self) -> int:
        """Groups that it chooses for."""
        return len(self.level_counts)


class RuleSpec(Entry):
    """A rule by name with its parameters; no weights."""

    kind: Literal["rule"] = "rule"
    rule: Name
    parameters: dict[str, float] = {}


class TableSpec(Entry):
    """A table policy by name; its arrays lie in ``policy.safetensors``."""

    kind: Literal["table"] = "table"
    table: Name


PolicySpec = Annotated[MlpSpec | LevelMlpSpec | RuleSpec | TableSpec, Field(discriminator="kind")]


class DataSpan(Entry):
    """Data that the policy was trained, chosen or scored on."""

    role: Literal["train", "validate", "test"]
    source: str
    area: str
    start: AwareDatetime
    end: AwareDatetime


class Provenance(Entry):
    """How the policy came about; `scores` are by name, in the site's currency or fractions."""

    seed: int | None = None
    data: tuple[DataSpan, ...] = ()
    training: dict[str, JsonValue] = {}
    scores: dict[str, float] = {}
    git_commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}(-dirty)?$")] | None = None
    torch_version: Annotated[str, Field(max_length=64)] | None = None


class Gain(Entry):
    """A difference of profit with its 95 % interval [currency]."""

    estimate: float
    low: float
    high: float


class Verdict(Entry):
    """Whether the policy may command rigs, and the figures that say so.

    Written by `gridhash.training.promotion`; money in the site's currency.
    """

    deployable: bool
    reason: str
    judged_at: AwareDatetime
    data: DataSpan
    site_sha256: Sha256
    """Of the site file that the policies were played on."""
    policy_profit: float
    rule: RuleSpec
    """The tuned rule that earned most."""
    rule_profits: dict[str, float] = Field(min_length=1)
    over_rule: Gain | None
    """Profit above the best rule, paired by day; None if the policy is that rule."""
    bound: float | None = None
    """What nobody could have exceeded; None if it was not reckoned."""

    @model_validator(mode="after")
    def _check_figures(self) -> Self:
        if self.rule.rule not in self.rule_profits:
            raise ValueError(f"rule_profits lacks the best rule, {self.rule.rule}")
        if self.deployable and self.over_rule is not None and self.over_rule.low <= 0.0:
            raise ValueError(
                "deployable is true although over_rule.low is not above zero: the figures "
                "contradict it"
            )
        return self


class Versions(Entry):
    """What the bundle was written with."""

    python: str
    numpy: str
    gridhash: str


class Manifest(Entry):
    """The signed part of a bundle; every other file is bound to it by its checksum."""

    format_version: Literal[1, 2, 3] = 3
    name: Name
    created_at: AwareDatetime
    policy: PolicySpec
    observation: ObservationTable
    action: ActionTable
    site_name: str
    currency: str
    groups: tuple[str, ...] = Field(min_length=1, max_length=16)
    settlement_period_s: int
    dispatch_interval_s: int
    site: dict[str, JsonValue] = Field(description="the whole site file that it was trained for")
    site_sha256: Sha256
    provenance: Provenance
    versions: Versions
    verdict: Verdict | None = None
    files: dict[str, Sha256] = Field(max_length=1 + MAX_FORECAST_FILES)
    key_id: str
    earlier_keys: tuple[str, ...] = Field(default=(), max_length=64)
    """Who had signed it before, oldest first."""

    @model_validator(mode="after")
    def _check_agreement(self) -> Self:
        own = set() if isinstance(self.policy, RuleSpec) else {WEIGHTS}
        found_own = {name for name in self.files if not FORECAST_FILE.fullmatch(name)}
        if found_own != own:
            raise ValueError(
                f"a policy of kind {self.policy.kind} has the files {sorted(own)}; "
                f"found {sorted(found_own)}"
            )
        by_levels = self.action.action_kind is ActionKind.LEVELS
        if isinstance(self.policy, MlpSpec | LevelMlpSpec):
            if by_levels != isinstance(self.policy, LevelMlpSpec):
                raise ValueError(
                    f"a network of kind {self.policy.kind} cannot act by {self.action.kind}"
                )
            found = (self.policy.n_features, self.policy.n_groups)
            wanted = (len(self.observation.features), len(self.groups))
            if found != wanted:
                raise ValueError(
                    f"the network has {found[0]} inputs and acts for {found[1]} groups; the "
                    f"tables have {wanted[0]} features and {wanted[1]} groups"
                )
        return self

    @property
    def deployable(self) -> bool:
        """Whether the policy has earned to command rigs; see `Verdict`."""
        return self.verdict is not None and self.verdict.deployable

    @property
    def forecasters(self) -> tuple[str, ...]:
        """Names of the forecasters in the bundle, sorted."""
        found = (FORECAST_FILE.fullmatch(name) for name in self.files)
        return tuple(sorted({match[1] for match in found if match is not None}))


def site_hash(site: SiteConfig) -> str:
    """Return a hash of every figure of a site file."""
    text = json.dumps(site.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def describe_observation(site: SiteConfig) -> ObservationTable:
    """Return a site's observation table as a manifest keeps it."""
    features = tuple(FeatureEntry(**asdict(feature)) for feature in observation_table(site))
    return ObservationTable(features=features, sha256=table_hash(site))


def describe_action(site: SiteConfig, kind: ActionKind) -> ActionTable:
    """Return a site's action table as a manifest keeps it."""
    most_levels = max(len(site.levels_of(group)) for group in site.groups)
    return ActionTable.model_validate(
        {
            "kind": kind.name.lower(),
            "low": kind.low,
            "high": float(most_levels) if kind is ActionKind.LEVELS else ACTION_HIGH,
            "sha256": action_hash(site, kind),
        }
    )


def misfits(manifest: Manifest, site: SiteConfig) -> tuple[str, ...]:
    """Return why a bundle cannot run at a site, one sentence per difference; empty if it can."""
    found: list[str] = []
    pairs = (
        ("currency", manifest.currency, site.currency),
        ("groups", list(manifest.groups), [group.name for group in site.groups]),
        ("settlement_period_s", manifest.settlement_period_s, site.market.settlement_period_s),
        ("dispatch_interval_s", manifest.dispatch_interval_s, site.dispatch_interval_s),
    )
    for key, ours, theirs in pairs:
        if ours != theirs:
            found.append(f"{key} is {theirs} at the site, {ours} in the bundle")
    expected = describe_observation(site)
    found += _feature_differences(manifest.observation.features, expected.features)
    if not found and manifest.observation.sha256 != expected.sha256:
        found.append("the observation tables have other hashes although all features agree")
    if not found:  # the action's table is that of the groups
        kind = manifest.action.action_kind
        found += _action_differences(manifest.action, describe_action(site, kind))
    return tuple(found)


def site_changes(manifest: Manifest, site: SiteConfig) -> tuple[str, ...]:
    """Return which figures of the site file differ from those at training; no ground to refuse."""
    before = flatten(manifest.site)
    now = flatten(site.model_dump(mode="json"))
    return tuple(
        f"{key}: {before.get(key, 'absent')} at training, {now.get(key, 'absent')} now"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    )


def flatten(value: JsonValue, prefix: str = "") -> dict[str, JsonValue]:
    """Return the leaves of nested objects and lists by their dotted path."""
    if isinstance(value, dict):
        items = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list):
        items = [(str(k), child) for k, child in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, JsonValue] = {}
    for key, child in items:
        flat |= flatten(child, f"{prefix}.{key}" if prefix else key)
    return flat


def _feature_differences(
    bundle: tuple[FeatureEntry, ...], site: tuple[FeatureEntry, ...]
) -> list[str]:
    ours = {feature.name: feature for feature in bundle}
    theirs = {feature.name: feature for feature in site}
    found = []
    if lacking := [name for name in ours if name not in theirs]:
        found.append(f"the bundle expects {_named(lacking)} which this site's table lacks")
    if unknown := [name for name in theirs if name not in ours]:
        found.append(f"this site's table has {_named(unknown)} which the bundle does not know")
    columns = [sum(n.startswith(PRICE_COLUMN) for n in table) for table in (theirs, ours)]
    if columns[0] != columns[1]:
        found.append(f"the site has {columns[0]} price columns, the bundle {columns[1]}")
    for name, feature in ours.items():
        if name in theirs:
            found += _entry_differences(feature, theirs[name])
    if not found:
        for k, (mine, other) in enumerate(zip(bundle, site, strict=True)):
            if mine.name != other.name:
                found.append(
                    f"the order differs: feature {k} is {other.name} at the site, {mine.name} in "
                    "the bundle"
                )
                break
    return found


def _entry_differences(bundle: FeatureEntry, site: FeatureEntry) -> list[str]:
    return [
        f"{key} of feature {bundle.name} is {getattr(site, key)!r} at the site, "
        f"{getattr(bundle, key)!r} in the bundle"
        for key in ("unit", "low", "high", "meaning")
        if getattr(bundle, key) != getattr(site, key)
    ]


def _action_differences(bundle: ActionTable, site: ActionTable) -> list[str]:
    found = [
        f"{key} of the action is {getattr(site, key)} here, {getattr(bundle, key)} in the bundle"
        for key in ("low", "high")
        if getattr(bundle, key) != getattr(site, key)
    ]
    if not found and bundle.sha256 != site.sha256:
        found.append(f"the action table of kind {bundle.kind} differs (other groups or version)")
    return found


def _named(names: list[str]) -> str:
    if len(names) == 1:
        return f"feature {names[0]}"
    shown = ", ".join(names[:N_NAMED])
    rest = len(names) - N_NAMED
    return f"features {shown} and {rest} more" if rest > 0 else f"features {shown}"
