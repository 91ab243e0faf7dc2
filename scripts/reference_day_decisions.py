"""The part of the action's reference page that tells of the decisions of the day."""

import re

from reference_parameters import table

from gridhash.config_scenario import ScenarioConfig
from gridhash.envs import day_decisions
from gridhash.envs.parameters import compile_site
from gridhash.envs.program_parameters import compile_programs

KINDS = (
    ("`shadow_price`, `power`", "one Box of the groups' numbers and these"),
    (
        "`levels`, `flat_levels`",
        "refused: a discrete action carries no such number. `decide_day` decides beside it",
    ),
)


def day_decision_rows() -> list[tuple[str, str, str]]:
    """Return name, owner and meaning of each decision of the day, from its module's docstring."""
    text = day_decisions.__doc__ or ""
    found = re.findall(r"^``(\w+)`` of (.+)\n((?:    .+\n)+)", text, re.MULTILINE)
    if [name for name, _, _ in found] != list(day_decisions.DAY_ACTIONS):
        raise ValueError(f"envs/day_decisions.py does not describe {day_decisions.DAY_ACTIONS}")
    return [(f"`{name}`", of, " ".join(meaning.split())) for name, of, meaning in found]


def day_actions_of(config: ScenarioConfig) -> str:
    """Return the decisions of the day of a scenario's site."""
    programs = compile_programs(config.site, compile_site(config.site), first_start_s=0)
    return ", ".join(f"`{name}`" for name in day_decisions.day_actions(programs)) or "none"


def day_decision_lines() -> list[str]:
    """Return the section as lines of Markdown."""
    return [
        "## Decisions of the day",
        "",
        "With the option `day_decisions=True` (`gymnasium.make`, `gymnasium.make_vec`, "
        "`EpisodeRules`, `functional.step`) an action carries a number in [-1, 1] more for each "
        "decision that the site has, after those of the groups and in this order. Zero is the "
        "default rule, and so is leaving the option out. The numbers are read in the interval in "
        "which the gate closes (`gate_closes`) and ignored in all others; a decision holds from "
        "midnight on. It closes at `tariff.balancing.gate_closure_local_hour` where the site "
        "nominates, else with the first interval of the local day before.",
        "",
        *table(("number", "of", "meaning"), day_decision_rows()),
        "",
        *table(("kind of action", "with `day_decisions`"), KINDS),
        "",
        "`decide_day` of the environments, `BatchedSite.decide_day` and `functional.decided` take "
        "a plan period by period and bids in kW, in the same interval, with any kind and without "
        "the option. A site that decides nothing a day ahead refuses the option.",
        "",
    ]
