"""The tuned rules of a site that a bundle can name, and the best of them on the span that chooses.

Rules are tuned on the newest year of the span that teaches. What was found is kept rule by rule,
so that a search that was cut off goes on, and runs of several seeds may share it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gridhash.agents.bundle_manifest import site_hash
from gridhash.agents.policy import Policy
from gridhash.agents.roster import policy_names, tuned_policy
from gridhash.agents.rule_registry import RULES, build_rule, parameters_of
from gridhash.agents.tuning import FULL
from gridhash.envs.scenario import Scenario
from gridhash.training.json_file import write_json
from gridhash.training.play import PolicyRun, play
from gridhash.training.progress import Show, silent_show
from gridhash.training.spans import Rows, Spans

BUDGET = FULL
"""Plays of the span that teaches which every rule gets to be tuned."""
TUNING_DAYS = 366
RULES_NAME = "rules.json"
"""Where a run folder keeps them."""


def tuned_rules(
    scenario: Scenario, rows: Rows, *, progress: Show = silent_show
) -> dict[str, Policy]:
    """Return the rules of a site that a bundle can name, tuned on the newest year of some rows.

    A year has every season and every month's charges; more years cost more than training does.
    """
    names = _rule_names(scenario)
    rules: dict[str, Policy] = {}
    for name in names:
        progress("tune the rules", len(rules), len(names))
        rules[name] = _tuned(name, scenario, rows, rules)
    progress("tune the rules", len(names), len(names))
    return rules


@dataclass(frozen=True, kw_only=True)
class BestRule:
    """The tuned rule that earns most on the span that chooses, and the others."""

    rule: Policy
    profit: float
    """On that span [currency]."""
    rules: Mapping[str, Policy]


def best_rule(
    scenario: Scenario, spans: Spans, path: Path, *, progress: Show = silent_show
) -> BestRule:
    """Return where learning begins that is to begin at a rule; the file at `path` keeps the rules.

    What it holds for another site, other rows or another source is found anew. It does not know
    the code: a file that outlives a run is to be named after it.

    Raises
    ------
    BundleError
        If the file holds something else than rules.
    """
    first = {"belongs_to": [site_hash(scenario.site), *spans.train, *spans.validate]}
    first["belongs_to"].append(scenario.trace.source)
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if kept.get("belongs_to") != first["belongs_to"]:
        kept = first | {"rules": {}, "profits": {}}
    names = _rule_names(scenario)
    rules: dict[str, Policy] = {}
    for name in names:
        progress("tune the rules", len(rules), len(names))
        if name in kept["rules"]:
            rules[name] = build_rule(name, kept["rules"][name], site=scenario.site)
            continue
        rules[name] = _tuned(name, scenario, spans.train, rules)
        profit = played(scenario, rules[name], spans.validate, f"rule {name}", progress).profit
        kept["rules"][name], kept["profits"][name] = parameters_of(rules[name]), profit
        write_json(kept, path)
    progress("tune the rules", len(names), len(names))
    best = max(names, key=lambda name: kept["profits"][name])
    return BestRule(rule=rules[best], profit=kept["profits"][best], rules=rules)


def played(scenario: Scenario, policy: Policy, rows: Rows, what: str, progress: Show) -> PolicyRun:
    """Return the play of a policy that tells how far it is, by the name `what`."""
    run = play(scenario, policy, rows, progress=lambda done, total: progress(what, done, total))
    progress(what, 1, 1)
    return run


def _rule_names(scenario: Scenario) -> list[str]:
    return [name for name in policy_names(scenario.site) if name in RULES]


def _tuned(name: str, scenario: Scenario, rows: Rows, before: Mapping[str, Policy]) -> Policy:
    first, last = rows
    newest = (max(first, last - TUNING_DAYS * scenario.slots_per_day), last)
    return tuned_policy(name, scenario, newest, tuned=before, budget=BUDGET)
