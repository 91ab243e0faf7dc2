"""What an evaluation says, in words and formatted numbers; shared by page, plots and terminal."""

from dataclasses import dataclass

import numpy as np

from gridhash.envs.columns import REVENUE
from gridhash.envs.observation import site_value_per_kwh
from gridhash.envs.parameters import Floats
from gridhash.training.contenders import LEARNED
from gridhash.training.evaluate import (
    ALWAYS_ON,
    PLANNER,
    RULE,
    Evaluation,
    PolicyScore,
)
from gridhash.training.statistics import Interval, difference

BOUND_LABEL = "perfect-foresight bound"
MINUS = "−"

_LABELS = {
    PLANNER: "day-ahead DP",
    "break_even_on_off": "break-even on/off",
    "look_ahead_rule": "look-ahead rule",
}


def label(name: str) -> str:
    """Return the name of a policy as people say it.

    >>> label("level_rule")
    'level rule'
    """
    return _LABELS.get(name, name.replace("_", " "))


def short_label(name: str, most: int = 20) -> str:
    """Return a label that fits into a figure.

    >>> short_label("learned_on_eight_years_of_prices")
    'learned on eight ye…'
    """
    text = label(name)
    return text if len(text) <= most else text[: most - 1] + "…"


def subject(name: str) -> str:
    """Return a policy as the subject of a sentence.

    >>> subject("learned"), subject("day_ahead_dp")
    ('the learned policy', 'the day-ahead DP')
    """
    if name.startswith(LEARNED):
        return f"the {label(name)} policy"
    return f"the {label(name)}" if name in (RULE, PLANNER) else label(name)


def sentence(text: str) -> str:
    """Return text with a capital at its start."""
    return text[:1].upper() + text[1:]


def number(value: float, digits: int = 0, *, signed: bool = False) -> str:
    """Return a number with separated thousands and a true minus; never minus zero.

    >>> number(-1234.4), number(0.3, signed=True), number(-0.3)
    ('−1,234', '0', '0')
    """
    rounded = round(value, digits) or 0.0
    sign = "+" if signed and rounded > 0 else ""
    return sign + f"{rounded:,.{digits}f}".replace("-", MINUS)


def percent(frac: float | None, digits: int = 0) -> str:
    """Return a share as percent; a dash where there is none."""
    return "–" if frac is None else f"{number(100.0 * frac, digits)} %"


def gap_percent(frac: float) -> str:
    """Return a share of the gap as percent; far off, only that it is far off.

    >>> gap_percent(0.9), gap_percent(-58.0)
    ('90 %', '< −100 %')
    """
    if -1.0 <= frac <= 10.0:
        return percent(frac)
    return f"< {MINUS}100 %" if frac < 0 else "> 1,000 %"


def share(frac: float) -> str:
    """Return a share of a bound: never rounded up to 100 %.

    >>> share(0.99961), share(1.0)
    ('99.96 %', '100.00 %')
    """
    return f"{number(np.floor(frac * 1e4 + 1e-6) / 100.0, 2)} %"


def interval_text(interval: Interval, digits: int = 0, *, scale: float = 1.0) -> str:
    """Return the ends of an interval as text.

    >>> interval_text(Interval(estimate=2.0, low=-1.0, high=3.0))
    '−1 … +3'
    """
    low = number(interval.low * scale, digits, signed=True)
    return f"{low} … {number(interval.high * scale, digits, signed=True)}"


def duration(microseconds: float) -> str:
    """Return a wall time in the unit that reads best.

    >>> duration(12.3), duration(4500.0)
    ('12 µs', '4.5 ms')
    """
    if microseconds < 1000.0:
        return f"{microseconds:.{0 if microseconds >= 9.95 else 1}f} µs"
    return f"{microseconds / 1000.0:.{0 if microseconds >= 9950 else 1}f} ms"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """An evaluation made ready to be read: who is looked at, in which units."""

    evaluation: Evaluation
    focus: str
    """The policy that is looked at: the learned one, else the best that is no reference."""
    money_digits: int
    price_scale: float
    """Displayed price per price per kWh."""
    price_unit: str
    break_even_per_kwh: Floats
    """Market price at which the site at nameplate earns nothing, per dispatch interval."""

    @property
    def currency(self) -> str:
        """Currency of every amount."""
        return self.evaluation.scenario.site.currency

    @property
    def timezone(self) -> str:
        """Time zone of the site."""
        return self.evaluation.scenario.site.timezone

    @property
    def on_off(self) -> bool:
        """Whether every rig knows one level only, so that break-even parts running from not."""
        site = self.evaluation.scenario.site
        return all(len(site.levels_of(group)) == 1 for group in site.groups)

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the policies drawn in every plot: rule, planner, and the one looked at."""
        return tuple(dict.fromkeys((RULE, PLANNER, self.focus)))

    @property
    def ranked(self) -> tuple[PolicyScore, ...]:
        """Scores by falling profit."""
        return tuple(sorted(self.evaluation.scores, key=lambda s: s.profit, reverse=True))

    def score(self, name: str) -> PolicyScore:
        """Return the score of a policy by name."""
        return next(score for score in self.evaluation.scores if score.name == name)

    def money(self, value: float, *, signed: bool = False) -> str:
        """Return an amount without its currency."""
        return number(value, self.money_digits, signed=signed)

    def price(self, per_kwh: float | None) -> str:
        """Return a price without its unit; a dash where there is none."""
        return "–" if per_kwh is None else number(per_kwh * self.price_scale, 2)

    def daily_profit(self, name: str) -> Floats:
        """Return the settled profit of a policy on each local day, mean over seeds [currency]."""
        return np.asarray(self.score(name).daily.mean(axis=0))


def read(evaluation: Evaluation) -> Reading:
    """Choose whom to look at and in which units."""
    scenario = evaluation.scenario
    names = [score.name for score in sorted(evaluation.scores, key=lambda s: -s.profit)]
    learned = [name for name in names if evaluation.score(name).kind == "learned"]
    others = [name for name in names if name not in (ALWAYS_ON, RULE, PLANNER)]
    first, last = evaluation.rows
    all_in = scenario.market[first:last, REVENUE] * site_value_per_kwh(scenario.params, 1.0)
    break_even = np.repeat(all_in, scenario.steps_per_row) - scenario.params.adders_per_kwh
    per_mwh = float(np.median(all_in)) < 1.0
    largest = max(abs(score.profit) for score in evaluation.scores)
    return Reading(
        evaluation=evaluation,
        focus=(learned or others or [PLANNER])[0],
        money_digits=0 if largest >= 1000.0 else 2,
        price_scale=1000.0 if per_mwh else 1.0,
        price_unit=f"{scenario.site.currency}/{'MWh' if per_mwh else 'kWh'}",
        break_even_per_kwh=break_even,
    )


def against(reading: Reading, name: str, reference: str) -> Interval:
    """Return what a policy earned more than another, paired by day [currency]."""
    return difference(reading.score(name).daily, reading.score(reference).daily)


def verdict(reading: Reading) -> list[str]:
    """Return sentences that say who won, by how much and how sure that is; the first is the head.

    The numbers alone decide the words: where the rule or the planner wins, it says so.
    """
    focus, currency = reading.score(reading.focus), reading.currency
    who = subject(focus.name)
    sentences = [_against_rule(reading, who)]
    sentences += _against_best_rule(reading, who)
    if focus.name != PLANNER:
        sentences.append(_against_planner(reading, who))
    best = reading.ranked[0]
    head = "It" if best.name == focus.name else f"Highest profit has {subject(best.name)}: it"
    sentences.append(
        f"{head} earned {reading.money(best.profit)} {currency}. At most "
        f"{reading.money(best.value('regret'))} {currency} more could be earned at all: no policy "
        f"passes the {BOUND_LABEL}."
    )
    return [sentence(text) for text in sentences]


def _against_rule(reading: Reading, who: str) -> str:
    gain = reading.score(reading.focus).over_rule
    rule = reading.score(RULE).profit
    ends = f"95 % interval {interval_text(gain, reading.money_digits)}"
    amount = f"{reading.money(abs(gain.estimate))} {reading.currency}"
    relative = f", {number(100 * abs(gain.estimate) / rule, 1)} %" if rule > 0 else ""
    if gain.low > 0:
        return f"{who} earned {amount} more than the level rule{relative} ({ends})."
    if gain.high < 0:
        return f"the level rule wins: {who} earned {amount} less{relative} ({ends})."
    more = "more" if gain.estimate >= 0 else "less"
    return (
        f"no winner between {who} and the level rule: {amount} {more}, but the {ends} holds zero."
    )


def _against_best_rule(reading: Reading, who: str) -> list[str]:
    """Return where a policy stands beside the best rule, if that is not the level rule itself."""
    rules = [
        score for score in reading.ranked if score.kind == "rule" and score.name != reading.focus
    ]
    if not rules or rules[0].name == RULE:
        return []
    best = subject(rules[0].name)
    gain = against(reading, reading.focus, rules[0].name)
    ends = f"95 % interval {interval_text(gain, reading.money_digits)}"
    amount = f"{reading.money(abs(gain.estimate))} {reading.currency}"
    if gain.low > 0:
        return [f"beside the best rule, {best}, it earned {amount} more ({ends})."]
    if gain.high < 0:
        return [f"the best rule, {best}, wins: {who} earned {amount} less ({ends})."]
    more = "more" if gain.estimate >= 0 else "less"
    return [f"no winner between {who} and the best rule, {best}: {amount} {more} ({ends})."]


def _against_planner(reading: Reading, who: str) -> str:
    gain = against(reading, reading.focus, PLANNER)
    ends = f"95 % interval {interval_text(gain, reading.money_digits)}"
    amount = f"{reading.money(abs(gain.estimate))} {reading.currency}"
    own, planner = reading.score(reading.focus), reading.score(PLANNER)
    took = [duration(score.value("decision_us")) for score in (own, planner)]
    times = f"It decides in {took[0]}, the DP in {took[1]}."
    if gain.low > 0:
        return f"it also earned {amount} more than the day-ahead DP ({ends}). {times}"
    if gain.high < 0:
        closed = own.gap_closed
        gap = (
            ""
            if closed is None
            else f" and closes {percent(closed.estimate)} of the gap between rule and DP"
        )
        return (
            f"the day-ahead DP, which plans on the same published prices, is still ahead: {who} "
            f"earned {amount} less ({ends}){gap}. {times}"
        )
    return (
        f"the day-ahead DP and {who} cannot be told apart: {amount} "
        f"{'more' if gain.estimate >= 0 else 'less'} ({ends}). {times}"
    )
