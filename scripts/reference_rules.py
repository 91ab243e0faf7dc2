"""The page of rules and their parameters, from `gridhash.agents.rule_registry`."""

import inspect
import re

from reference_parameters import paragraphs, table

from gridhash.agents.rule_registry import RULES, RuleMaker
from gridhash.agents.tuning import FULL


def rule_lines() -> list[str]:
    """Return the body of the page of rules."""
    lines = [
        "What `gridhash.agents.roster.baseline_policies` tunes and plays beside every learned "
        "policy, as far as a site has the block that a rule is for, and what a bundle may name "
        "instead of a network. Every rule with parameters gets the same search on the training "
        f"span alone (`gridhash.agents.tuning`): {FULL.n_wide} plays over the whole ranges, the "
        f"defaults among them, then {FULL.n_near} within a quarter of each range around the best. "
        "The static schedule is searched among as many limits to the mean price of an hour.",
        "",
    ]
    for name, maker in RULES.items():
        lines += [f"## {name}", ""]
        lines += [text for part in paragraphs(maker.make) for text in (part, "")]
        if maker.parameters:
            rows = [
                (f"`{key}`", f"{one.low:,.10g} … {one.high:,.10g}", f"{one.default:,.10g}")
                for key, one in maker.parameters.items()
            ]
            lines += [*table(("parameter", "searched", "default"), rows), ""]
            lines += [*meanings(maker), ""] if meanings(maker) else []
    return lines[:-1]


def meanings(maker: RuleMaker) -> list[str]:
    """Return what a rule's docstring says of its parameters, a list item each."""
    text = inspect.getdoc(maker.make) or ""
    found = re.search(r"Parameters\n-{3,}\n(.*?)(\n\n\S|\Z)", text, re.DOTALL)
    if found is None:
        return []
    items = re.findall(r"^(\S.*)\n((?:    .*\n?|\n)+)", found[1] + "\n", re.MULTILINE)
    return [f"- `{names}`: {' '.join(meaning.split())}" for names, meaning in items]
