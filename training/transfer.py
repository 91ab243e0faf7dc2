"""A policy played at a site that it was not made for: to evaluate it, never to command rigs.

A bundle that does not fit a site is refused there (`gridhash.agents.bundle_manifest.misfits`), and
so it is in serving. What it would do nevertheless is asked here alone: every feature of its own
site's observation is made from the observation of the site that it plays at, and its action is
handed on group by group.

Features of the same name, unit and meaning are kept, among them all ratios to break-even. Amounts
are converted at one fixed rate. Prices are read by time, those beyond what the site looks ahead a
day earlier, as the environment fills them. The calendar stays that of the site that is played.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gridhash.agents.bundle import describe_bundle, load_bundle
from gridhash.agents.bundle_manifest import Manifest, misfits
from gridhash.agents.policy import Observations, Policy
from gridhash.agents.signing import PublicKey
from gridhash.config import SiteConfig, parse_site
from gridhash.envs.action import ActionKind
from gridhash.envs.feature import Feature
from gridhash.envs.observation import horizon_periods, observation_table
from gridhash.envs.parameters import Floats, Floats32, Ints
from gridhash.envs.program_observation import EVENT_HORIZON_H
from gridhash.errors import PolicyError
from gridhash.units import SECONDS_PER_DAY

SECONDS_PER_MINUTE = 60.0
PRICE = "price_ratio_{:03d}"
PRESENT_PRICE = PRICE.format(0)
NOTHING: dict[str, float | str] = {
    r"pv_frac|(surplus|pv)_[\d.]+h_q\d+": 0.0,
    r"(pause|reduction_call|increase_call)_(now|left_h)": 0.0,
    r"(pause|reduction_call|increase_call)_in_h": EVENT_HORIZON_H,
    r"committed_frac|baseline_frac|delivered_share|calls_failed": 0.0,
    r"demand_(month_)?ratio(_\dh)?|peak_month": 0.0,
    r"month_peak_frac|ratchet_frac": 1.0,
    r"metered_(mean_frac|share)": 0.0,
    r"quota_left_frac": 1.0,
    r"carbon_cost_ratio|held_price_ratio|held_frac|deployed_frac": 0.0,
    r"price_(mean|high)_[\d.]+h": PRESENT_PRICE,
}
"""By a pattern of features, what stands for those whose block is absent: a number or a feature."""
N_NAMED = 6
"""How many of many features a note names."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """How a policy's own observation and action are made at another site."""

    made_for: str
    """The site that it was made for."""
    currency: str
    """What it reads amounts in."""
    currency_per_currency: float
    """Of its own per one of the site's: the ratio of `currency_per_usd` of both site files."""
    groups: dict[str, str]
    """Group of the site that is played: the group of its own whose action it gets."""
    settlement_period_s: tuple[int, int]
    """Its own and that of the site, by which prices are mapped."""
    horizon_h: tuple[int, int]
    """How far ahead it looks, and how far the site does."""
    dispatch_interval_s: tuple[int, int]
    """How often it decided where it learned, and how often it is asked here."""
    other_levels: tuple[str, ...]
    """Groups whose work levels are not those with which it learned."""
    converted: tuple[str, ...]
    """Features that are amounts in another currency here."""
    filled: dict[str, float | str]
    """Features that the site lacks, and the value or the other feature that stands for them."""
    unread: tuple[str, ...]
    """Features of the site that the policy does not know."""

    def note(self, currency: str) -> str:
        """Return what a reader must know, in a line; `currency` is that of the site."""
        own_s, site_s = self.settlement_period_s
        own_h, site_h = self.horizon_h
        own_step, step = self.dispatch_interval_s
        parts = [
            f"1 {currency} = {self.currency_per_currency:g} {self.currency} fixed"
            if currency != self.currency
            else "",
            f"prices of {site_s} s read as {own_s} s" if own_s != site_s else "",
            f"sees {site_h:g} h ahead, a day earlier up to {own_h:g} h" if site_h < own_h else "",
            f"decides every {step} s, not {own_step} s" if step != own_step else "",
            f"other work levels than it learned with: {_named(self.other_levels)}"
            if self.other_levels
            else "",
            f"groups by order: {', '.join(f'{a} as {b}' for a, b in self.groups.items())}"
            if any(a != b for a, b in self.groups.items())
            else "",
            f"filled: {_named([f'{k} = {v}' for k, v in self.filled.items()])}"
            if self.filled
            else "",
            f"not read: {_named(self.unread)}" if self.unread else "",
        ]
        return "its observation is mapped (" + "; ".join(filter(None, parts)) + ")"


def transfer_between(source: SiteConfig, target: SiteConfig, kind: ActionKind) -> Transfer:
    """Return how a policy made for `source` that acts by `kind` plays at `target`.

    Groups belong together by their order; where there are not as many, each takes the nearest.

    Raises
    ------
    PolicyError
        If a feature has another meaning at `target`, or is lacking and has no value that stands
        for nothing; if settlement periods do not divide each other; if less than a day of prices
        is seen; or if the policy chooses work levels, and a group has others.
    """
    columns = _columns(source, target)
    taken_from = _nearest(len(target.groups), len(source.groups))
    pairs = [(group, source.groups[k]) for group, k in zip(target.groups, taken_from, strict=True)]
    for group, own in pairs:
        wanted, there = source.levels_of(own), target.levels_of(group)
        if kind is ActionKind.LEVELS and wanted != there:
            raise PolicyError(
                f"the policy chooses among the work levels {wanted} of group {own.name}; group "
                f"{group.name} of {target.name} has {there}: use a policy that acts by power or "
                "shadow_price"
            )
    _price_windows(source, target)
    return Transfer(
        made_for=source.name,
        currency=source.currency,
        currency_per_currency=exchange_rate(source, target),
        groups={group.name: own.name for group, own in pairs},
        settlement_period_s=(
            source.market.settlement_period_s,
            target.market.settlement_period_s,
        ),
        horizon_h=(source.market.horizon_h, target.market.horizon_h),
        dispatch_interval_s=(source.dispatch_interval_s, target.dispatch_interval_s),
        other_levels=tuple(
            group.name for group, own in pairs if source.levels_of(own) != target.levels_of(group)
        ),
        converted=tuple(columns.converted),
        filled=columns.filled,
        unread=tuple(columns.unread),
    )


def exchange_rate(source: SiteConfig, target: SiteConfig) -> float:
    """Return the currency of `source` per one of `target`, by what both site files pay per USD."""
    if source.currency == target.currency:
        return 1.0
    return source.mining.currency_per_usd / target.mining.currency_per_usd


class TransferredPolicy:
    """A policy made for one site, as a policy of another; see the module.

    At the site that it was made for it is the policy itself, to the bit.

    Raises
    ------
    PolicyError
        As `transfer_between`.
    """

    def __init__(self, policy: Policy, *, source: SiteConfig, target: SiteConfig) -> None:
        self.policy = policy
        self.name = policy.name
        self.action_kind = policy.action_kind
        self.transfer = transfer_between(source, target, policy.action_kind)
        found = _columns(source, target)
        n_own = len(found.column)
        self._columns = np.array(found.column, dtype=np.intp)
        self._factor = np.ones(n_own, dtype=np.float32)
        self._own = {feature.name: k for k, feature in enumerate(observation_table(source))}
        self._factor[[self._own[name] for name in found.converted]] = (
            self.transfer.currency_per_currency
        )
        constants = {
            self._own[name]: value for name, value in found.filled.items() if value != PRESENT_PRICE
        }
        self._constant_columns = np.array(list(constants), dtype=np.intp)
        self._constants = np.array(list(constants.values()), dtype=np.float32)
        self._there = {feature.name: k for k, feature in enumerate(observation_table(target))}
        self._n_features = len(self._there)
        windows, weights = _price_windows(source, target)
        self._windows = windows + self._there[PRESENT_PRICE]
        self._weights = weights
        first = self._own[PRESENT_PRICE]
        self._prices = slice(first, first + horizon_periods(source))
        self._own_min = source.market.settlement_period_s / SECONDS_PER_MINUTE
        self._site_min = target.market.settlement_period_s / SECONDS_PER_MINUTE
        taken_from = _nearest(len(target.groups), len(source.groups))
        self._group = np.array(taken_from, dtype=np.intp)

    def act(self, observation: Observations) -> Floats:
        """Return the action of every group of the site that is played, (N, G).

        Raises
        ------
        PolicyError
            If the observation has another shape than that site's.
        """
        return self.policy.act(self.observe(observation))[:, self._group]

    def observe(self, observation: Observations) -> Observations:
        """Return what the policy sees: the observation of its own site, (N, F) float32.

        Raises
        ------
        PolicyError
            If the observation has another shape than that of the site that is played.
        """
        if observation.ndim != 2 or observation.shape[1] != self._n_features:
            raise PolicyError(
                f"observation has shape {observation.shape}; the site that is played has "
                f"{self._n_features} features: use (N, {self._n_features})"
            )
        seen = observation[:, self._columns] * self._factor
        seen[:, self._constant_columns] = self._constants
        part, left_min = self._place_in_period(observation)
        seen[:, self._own["minutes_left"]] = left_min
        sites = np.arange(len(observation))[:, None, None]
        prices = observation[sites, self._windows[part]] * self._weights[part]
        seen[:, self._prices] = prices.sum(axis=2)
        return seen

    def _place_in_period(self, observation: Observations) -> tuple[Ints, Floats32]:
        """Return which part of the longer period it is, and the minutes left of its own, (N,)."""
        left = observation[:, self._there["minutes_left"]]
        n = len(self._windows)
        if self._site_min >= self._own_min:
            gone = self._site_min - left
            part = np.clip(gone // self._own_min, 0, n - 1).astype(np.int64)
            return part, (left - (n - 1 - part) * self._own_min).astype(np.float32)
        angle = np.arctan2(
            observation[:, self._there["hour_sin"]], observation[:, self._there["hour_cos"]]
        )
        minute = angle / (2.0 * np.pi) * (SECONDS_PER_DAY / SECONDS_PER_MINUTE)
        part = np.rint(minute / self._site_min).astype(np.int64) % n
        return part, (left + (n - 1 - part) * self._site_min).astype(np.float32)


class _Columns(NamedTuple):
    """Where each feature of the source stands in the target's observation."""

    column: list[int]
    converted: list[str]
    filled: dict[str, float | str]
    unread: list[str]


def _columns(source: SiteConfig, target: SiteConfig) -> _Columns:
    own, there = observation_table(source), observation_table(target)
    column_of = {feature.name: k for k, feature in enumerate(there)}
    read_as = _group_names(source, target)
    own_prices = {PRICE.format(k) for k in range(horizon_periods(source))}
    site_prices = {PRICE.format(k) for k in range(horizon_periods(target))}
    found = _Columns([], [], {}, [])
    read = set(site_prices)
    without: list[str] = []
    for feature in own:
        name = read_as.get(feature.name, feature.name)
        if feature.name in own_prices:
            name = PRESENT_PRICE  # by time, see `_price_windows`
        elif name in column_of:
            _require_same(feature, there[column_of[name]], target)
            if "currency" in feature.unit and source.currency != target.currency:
                found.converted.append(feature.name)
        else:
            nothing = _nothing(feature.name)
            if nothing is None:
                without.append(feature.name)
                continue
            found.filled[feature.name] = nothing
            name = PRESENT_PRICE
        found.column.append(column_of[name])
        read.add(name)
    if without:
        raise PolicyError(
            f"{target.name} has nothing that could stand for {_named(without)}, which the policy "
            f"made for {source.name} reads: evaluate it at a site with that block"
        )
    found.unread.extend(feature.name for feature in there if feature.name not in read)
    return found


def _group_names(source: SiteConfig, target: SiteConfig) -> dict[str, str]:
    """Return the feature of the target for every feature of a group of the source."""
    names = {feature.name for feature in observation_table(target)}
    pairs = {}
    for group, k in zip(
        source.groups, _nearest(len(source.groups), len(target.groups)), strict=True
    ):
        for feature in observation_table(source):
            stem = feature.name.removesuffix(f"_{group.name}")
            there = f"{stem}_{target.groups[k].name}"
            if stem != feature.name and there in names:
                pairs[feature.name] = there
    return pairs


def _nearest(n: int, n_others: int) -> list[int]:
    """Return for each of `n` in a row the nearest by place of `n_others`; themselves if equal."""
    return [(2 * k + 1) * n_others // (2 * n) for k in range(n)]


def _require_same(own: Feature, there: Feature, target: SiteConfig) -> None:
    for key in ("unit", "meaning"):
        mine, other = getattr(own, key), getattr(there, key)
        if mine != other:
            raise PolicyError(
                f"{key} of feature {own.name} is {other!r} at {target.name}, {mine!r} where the "
                "policy was made: it cannot be mapped"
            )


def _nothing(name: str) -> float | str | None:
    return next((v for pattern, v in NOTHING.items() if re.fullmatch(pattern, name)), None)


def _price_windows(source: SiteConfig, target: SiteConfig) -> tuple[Ints, Floats32]:
    """Return the target's periods that each of the source's price columns is the mean of.

    Two arrays, (P, H, n) each: periods ahead and their weights, for each of the P parts of the
    longer period of the two.
    """
    own_s, site_s = source.market.settlement_period_s, target.market.settlement_period_s
    shorter, longer = sorted((own_s, site_s))
    if longer % shorter:
        raise PolicyError(
            f"settlement periods of {own_s} s, which the policy reads, and of {site_s} s at "
            f"{target.name} do not divide each other: prices cannot be mapped by time"
        )
    n_parts, per_day = longer // shorter, int(SECONDS_PER_DAY) // site_s
    horizon, seen = horizon_periods(source), horizon_periods(target)
    n = max(own_s // site_s, 1)
    periods = np.zeros((n_parts, horizon, n), dtype=np.int64)
    weights = np.zeros((n_parts, horizon, n), dtype=np.float32)
    for part in range(n_parts):
        # A part is one that is gone: of the site's period, or of the policy's own.
        shift_s = part * (own_s if own_s < site_s else -site_s)
        for k in range(horizon):
            begins_s = k * own_s + shift_s
            covered = range(max(begins_s, 0) // site_s, ceil((begins_s + own_s) / site_s))
            for place, period in enumerate(covered):
                known = period - max(ceil((period + 1 - seen) / per_day), 0) * per_day
                if known < 0:
                    raise PolicyError(
                        f"the policy reads prices {source.market.horizon_h:g} h ahead; "
                        f"{target.name} sees {target.market.horizon_h:g} h, and what lies beyond "
                        "is filled from a day earlier: at least 24 h must be seen"
                    )
                periods[part, k, place] = known
                weights[part, k, place] = 1.0 / len(covered)
    return periods, weights


def _named(names: Sequence[str]) -> str:
    rest = len(names) - N_NAMED
    return ", ".join(names[:N_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def own_site(manifest: Manifest) -> SiteConfig:
    """Return the site that a bundle was made for.

    Raises
    ------
    ConfigError
        If this version no longer reads that site file.
    PolicyError
        If its observation or action is that of another version.
    """
    site = parse_site(dict(manifest.site), origin=f"site file in the bundle {manifest.name}")
    if reasons := misfits(manifest, site):
        raise PolicyError(
            f"the bundle {manifest.name} was made by another version: {'; '.join(reasons)}. "
            "Train the policy anew"
        )
    return site


def load_transferred(
    path: Path, *, site: SiteConfig, trusted_keys: Sequence[PublicKey]
) -> TransferredPolicy:
    """Return the policy of a bundle at another site than its own, to be evaluated there.

    Raises
    ------
    BundleError, ConfigError, PolicyError
        As `gridhash.agents.bundle.load_bundle`, `own_site` and `transfer_between`.
    """
    source = own_site(describe_bundle(path, trusted_keys=trusted_keys).manifest)
    policy = load_bundle(path, site=source, trusted_keys=trusted_keys).policy
    return TransferredPolicy(policy, source=source, target=site)
