"""An explanation in words."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gridhash.envs import columns as c
from gridhash.envs.state import RUNNING, SETPOINT_KW
from gridhash.training.explain import Explanation, Outlook
from gridhash.training.explain_state import Choice

SAME_KW = 1.0
"""Difference of power, of a group, that is worth a word."""


def summary(found: Explanation) -> str:
    """Return the decision in one sentence."""
    site, at = found.scenario.site, found.instant.at
    total = found.policy.setpoint_kw.sum()
    return (
        f"{at:%A %d %B %Y %H:%M} ({site.timezone}), {site.name}: {found.policy.name} sets "
        f"{total:,.0f} of {site.max_rig_kw:,.0f} kW of rigs"
    )


def explanation_text(found: Explanation) -> Group:
    """Return the whole explanation: price, events, groups, rules beside it, what moved it."""
    parts: list[RenderableType] = [Text(summary(found), style="bold")]
    parts += [Text(line) for line in situation(found)]
    parts += [Text(), groups_table(found), Text()]
    parts += [Text(line) for line in comparison(found)]
    moved = any(one.slope or one.action.any() for one in found.influences)
    parts += [Text(), influence_table(found) if moved else "Nothing that it reads moved it."]
    return Group(*parts)


def situation(found: Explanation) -> list[str]:
    """Return price, value, events and what binds, a line each."""
    instant, currency = found.instant, found.scenario.site.currency
    market = instant.market
    values = [block.value_per_kwh for block in found.curve.demand]
    spread = f"{values[-1]:.4g}" if values[0] - values[-1] < 1e-9 else (
        f"{values[-1]:.4g} to {values[0]:.4g}"
    )  # fmt: skip
    lines = [
        f"A kWh costs {market[c.SEEN_ALL_IN]:.4g} {currency} all-in ({market[c.SEEN_PRICE]:.4g} at "
        f"the market); it earns {spread} {currency} in the rigs."
    ]
    if len(found.curve.supply) > 1:
        prices = [
            f"{segment.price_per_kwh:.4g} to {segment.end_kw:,.0f} kW"
            for segment in found.curve.supply[:-1]
        ]
        prices.append(f"{found.curve.supply[-1].price_per_kwh:.4g} beyond")
        lines.append(f"Supply of the site: {', '.join(prices)}.")
    if found.events:
        lines.append(f"Events: {'; '.join(found.events)}.")
    lines.append(binding(found))
    return lines


def binding(found: Explanation) -> str:
    """Return which limit or event holds the decision, if one does."""
    names = [group.name for group in found.scenario.site.groups]
    held: dict[str, list[str]] = {}
    for name, words in zip(names, found.policy.limits, strict=True):
        if words:
            held.setdefault(words, []).append(name)
    lines = [f"{', '.join(groups)}: {words}" for words, groups in held.items()]
    if found.kink is not None:
        lines.append(
            f"power stops at {found.kink.site_kw:,.0f} kW of the site: {found.kink.reason}"
        )
    if not lines:
        return "No limit binds: the setpoint is what the policy wants."
    return f"What binds: {'; '.join(lines)}."


def groups_table(found: Explanation) -> Table:
    """Return a row per group: what ran, what is wanted, what is set, by whom."""
    scenario, group_state = found.scenario, found.instant.state.group[0]
    shadow = found.policy.shadow_per_kwh(scenario)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("group", "run", "set before", "wanted", "setpoint", "level rule", "look-ahead"):
        table.add_column(name, justify="left" if name == "group" else "right")
    meant = "shadow price" if shadow is not None else "shadow price meant"
    table.add_column(f"{meant} [{scenario.site.currency}/kWh]", justify="right")
    for g, group in enumerate(scenario.site.groups):
        table.add_row(
            group.name,
            f"{group_state[g, RUNNING]:.0f} of {group.n_rigs}",
            f"{group_state[g, SETPOINT_KW]:,.0f} kW",
            f"{found.policy.wanted_kw[g]:,.0f} kW",
            Text(f"{found.policy.setpoint_kw[g]:,.0f} kW", style="bold"),
            f"{found.level_rule.setpoint_kw[g]:,.0f} kW",
            f"{found.look_ahead.setpoint_kw[g]:,.0f} kW",
            _shadow(found, g) if shadow is None else f"{shadow[g]:+.4g}",
        )
    return table


def _shadow(found: Explanation, g: int) -> str:
    """Return which shadow prices would mean the power that a policy asks for."""
    low, high = implied_shadow(found, g)
    if not np.isfinite(low):
        return f"below {high:+.4g}"
    if not np.isfinite(high):
        return f"above {low:+.4g}"
    return f"{low:+.4g} to {high:+.4g}"


def implied_shadow(found: Explanation, g: int) -> tuple[float, float]:
    """Return between which shadow prices the level rule would set a group's wanted power."""
    price = found.curve.price_at(
        float(found.policy.wanted_kw.sum()) * found.scenario.params.pue_for_planning
    )
    blocks = [block for block in found.curve.demand if block.group == g]
    pue, filled_kw, low, high = found.scenario.params.pue_for_planning, 0.0, -np.inf, np.inf
    for block in sorted(blocks, key=lambda block: block.level):
        filled_kw += block.site_kw / pue
        if found.policy.wanted_kw[g] >= filled_kw - SAME_KW:
            high = block.value_per_kwh - price
        else:
            low = block.value_per_kwh - price
            break
    return float(low), float(high)


def comparison(found: Explanation) -> list[str]:
    """Return what both rules would do, and why the policy differs from them."""
    lines = []
    for rule, what in (
        (found.level_rule, "level rule (shadow price 0: what pays at this instant runs)"),
        (found.look_ahead, "look-ahead rule (starts or goes on if published prices pay for it)"),
    ):
        own, others = found.policy.setpoint_kw, rule.setpoint_kw
        if np.abs(own - others).max() <= SAME_KW:
            lines.append(f"The {what} would set the same.")
            continue
        more = "more" if own.sum() > others.sum() else "less"
        if abs(own.sum() - others.sum()) <= SAME_KW:
            lines.append(f"The {what} would set the same sum, otherwise over the groups.")
            continue
        lines.append(
            f"The {what} would set {others.sum():,.0f} kW: the policy sets "
            f"{abs(own.sum() - others.sum()):,.0f} kW {more}."
        )
    lines += _reasons(found, found.level_rule)
    return lines


def _reasons(found: Explanation, rule: Choice) -> list[str]:
    """Return what speaks for or against the difference to a rule, groups alike together."""
    groups: dict[str, list[str]] = {}
    for g, group in enumerate(found.scenario.site.groups):
        away_kw = float(found.policy.wanted_kw[g] - rule.wanted_kw[g])
        if abs(away_kw) > SAME_KW:
            reason = _reason(found, found.outlooks[g], away_kw, g)
            groups.setdefault(reason, []).append(group.name)
    return [f"{', '.join(names)}: {reason}" for reason, names in groups.items()]


def _reason(found: Explanation, outlook: Outlook, away_kw: float, g: int) -> str:
    currency = found.scenario.site.currency
    turn = (
        f"until {outlook.until:%H:%M}"
        if outlook.until is not None
        else "as far as prices are published"
    )
    start = f"a start costs {outlook.start_cost_per_rig:.3g} {currency} a rig"
    runs = found.instant.state.group[0, g, RUNNING] > 0.5
    money = f"{abs(outlook.per_rig):.3g} {currency} a rig"
    hours = f"{outlook.hours:.1f} h, {turn}"
    if away_kw > 0.0 and not outlook.pays:
        words = f"the price lies above its value ({hours}): running on loses {money}, {start}"
        fits = runs and -outlook.per_rig < outlook.start_cost_per_rig
    elif away_kw < 0.0 and outlook.pays:
        words = f"the price lies below its value ({hours}): running earns {money}, {start}"
        fits = not runs and outlook.per_rig < outlook.start_cost_per_rig
    else:
        side = "below" if outlook.pays else "above"
        words = f"the price lies {side} its value ({hours}); {start}"
        fits = False
    if outlook.plan_worth is not None:
        least = "one that runs should go on above 0" if runs else "one that stands starts above +1"
        words += (
            f"; by the look-ahead plan running now is worth {outlook.plan_worth:+.2g} starts over "
            f"stopping ({least})"
        )
        fits = fits or (outlook.plan_worth > (0.0 if runs else 1.0)) is (away_kw > 0.0)
    verdict = "that speaks for the policy" if fits else "prices alone do not explain the policy"
    return f"{words}: {verdict}."


def influence_table(found: Explanation) -> Table:
    """Return which groups of features moved the decision, the most moving first."""
    table = Table(
        title="What moved it: the same decision with these features as usual",
        title_justify="left", box=None, pad_edge=False, header_style="bold",
    )  # fmt: skip
    table.add_column("features")
    for name in ("how many", "power moved", "action moved", "action per spread"):
        table.add_column(name, justify="right")
    for one in found.influences:
        largest = one.action[int(np.abs(one.action).argmax())]
        table.add_row(
            one.group, str(one.n_features), f"{one.power_kw:+,.0f} kW", f"{largest:+.3f}",
            f"{one.slope:.3f}",
        )  # fmt: skip
    return table
