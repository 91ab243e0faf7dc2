"""Forecasts by analogs: what came after the most similar moments of the training span.

A moment is alike by time of day, newest price against what was foreseen, next price, newest surplus
and panels, base points and season; each by its rank, so that no unit counts more. What followed the
nearest moments makes as many paths: errors of the prices shown, surplus and panels shifted by what
is seen now, base points as they were. Lorenz (1969) used analogs for weather; here they are the
forecast that needs the fewest assumptions. Coincident peaks: the share of intervals with as much
expected demand that were the highest of their month, over all months of the span; none outside the
hours of day in which demand of peak months is highest.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.day_ahead_dp import settled_price_per_kwh
from gridhash.agents.outlook import Outlook, Persistence
from gridhash.agents.policy import ObservationReader, Observations
from gridhash.envs.columns import BASE_POINT, DAY, MONTH, OUTDOOR, PV, RULE_LOAD, SLOT, SURPLUS
from gridhash.envs.market_array import coincident_weights
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.errors import DataError
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

N_PATHS = 64
AROUND_H = 1.0
"""Moments are alike up to this far from each other in the time of day."""
LOOKS_AHEAD_H = 24.0
"""Beyond the prices of the observation, paths take those of the analogs, moved by as much as the
shown ones differ in their mean."""
FADES_H = 2.0
"""What is seen now beyond an analog's reading fades with this time constant."""
WEIGHTS = {
    "price_error": 1.0,
    "next_price": 0.5,
    "shown_price": 1.0,
    "surplus_frac": 1.0,
    "pv_frac": 1.0,
    "base_point_frac": 1.0,
    "next_base_point_frac": 1.0,
    "season_sin": 0.15,
    "season_cos": 0.15,
}
"""How much a feature counts in the distance of two moments."""
PEAK_EDGES = (0.0, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.985, 1.0, 1.02)
"""Bins of expected demand per highest of 30 days, or of this month if that is lower."""
PEAK_LEADS_H = (0, 1, 2, 3)
PEAK_HOURS_LEFT_OUT = 0.01
"""Of the days of peak months, at either end, whose highest hour counts for nothing."""


@dataclass(frozen=True)
class _Feature:
    """A feature of moments in the training span, sorted to turn values into ranks."""

    sorted_values: Floats
    weight: float

    def rank(self, value: Floats | float) -> Floats:
        """Return the weighted rank of values, 0 to 1 times the weight."""
        below = np.searchsorted(self.sorted_values, value, side="left")
        upto = np.searchsorted(self.sorted_values, value, side="right")
        return np.asarray(0.5 * (below + upto) / len(self.sorted_values) * self.weight)


class AnalogForecaster:
    """Fitted on rows [first, last) of a scenario's training span; holds references to its arrays.

    Raises
    ------
    DataError
        If the span is shorter than two weeks.
    """

    def __init__(self, scenario: Scenario, rows: tuple[int, int], *, n_paths: int = N_PATHS):
        self._reader = ObservationReader(scenario.site)
        self._persistence = Persistence(self._reader)
        self._scenario = scenario
        self._n_paths = n_paths
        self._period_h = scenario.trace.period_s / SECONDS_PER_HOUR
        self.longest = max(self._reader.n_prices, round(LOOKS_AHEAD_H / self._period_h))
        horizon = self.longest
        first, last = max(rows[0], scenario.first_row), rows[1] - horizon
        if (last - first) * scenario.trace.period_s < 14 * SECONDS_PER_DAY:
            raise DataError(f"rows {rows[0]} to {rows[1]} are less than two weeks to learn from")
        self._origins = np.arange(first, last)
        self._price = settled_price_per_kwh(scenario)
        values = self._moments(scenario.rows[first:last])
        kept = {name: own for name, own in values.items() if np.ptp(own) > 0.0}
        self._features = {name: _Feature(np.sort(own), WEIGHTS[name]) for name, own in kept.items()}
        self._ranks = np.column_stack(
            [self._features[name].rank(own) for name, own in kept.items()]
        ).astype(np.float32)
        slot = scenario.exogenous.calendar[first:last, SLOT]
        self._by_slot = self._candidates(slot)
        self._rule_load_kw = np.array(
            [
                scenario.market[first:last, RULE_LOAD][slot == s].mean()
                for s in range(scenario.slots_per_day)
            ]
        )
        self._peak_chance = self._fit_peaks(rows)
        self._peak_slots = self._fit_peak_hours(rows)

    def outlook(self, observation: Observations, n_periods: int) -> Outlook:
        """Return the paths of one site, observation (1, F)."""
        n_shown = min(n_periods, self._reader.n_prices)
        plain = self._persistence.outlook(observation, n_shown)
        reader, market = self._reader, self._scenario.market
        own = {name: float(v[0]) for name, v in self._moments(observation).items()}
        point = np.array([f.rank(own[name]) for name, f in self._features.items()])
        slot = self._slot(observation)
        near = self._by_slot[slot]
        distance = ((self._ranks[near] - point) ** 2).sum(axis=1)
        n = min(self._n_paths, len(near))
        origin = self._origins[near[np.argpartition(distance, n - 1)[:n]]]
        rows = origin[:, None] + np.arange(n_periods)
        fading = np.exp(-self._period_h / FADES_H * np.arange(n_periods))
        contract_kw = reader.params.contract_power_kw

        def shifted(column: int, name: str) -> Floats:
            """Return paths of what is seen late, moved by what is seen now."""
            if name not in own or not reader.has(name):
                return np.zeros((n, n_periods))
            seen_then = self._scenario.rows[origin, reader.column(name)]
            shift = (own[name] - seen_then)[:, None] * contract_kw * fading
            return np.asarray(np.maximum(market[rows, column] + shift, 0.0))

        outdoor = market[rows, OUTDOOR]
        seen_c = self._scenario.rows[origin, reader.column("outdoor_temp_c")]
        slots = (slot + np.arange(n_periods)) % self._scenario.slots_per_day
        return Outlook(
            chance=np.full(n, 1.0 / n),
            all_in_per_kwh=self._prices(plain.all_in_per_kwh, origin, n_periods),
            surplus_kw=shifted(SURPLUS, "surplus_frac"),
            pv_kw=shifted(PV, "pv_frac"),
            base_kw=self._base_kw(plain, rows),
            outdoor_c=plain.outdoor_c[0] + (outdoor - seen_c[:, None]).mean(axis=0),
            peak_per_kw=self._peak_per_kw(observation, n_periods),
            increase_baseline_kw=self._rule_load_kw[slots],
        )

    def _moments(self, observed: Observations) -> dict[str, Floats]:
        """Return what moments are compared by, from row features or observations, (N,) each."""
        reader = self._reader
        first = reader.column("price_ratio_000")
        ahead = observed[:, first : first + reader.n_prices].astype(np.float64)
        following = ahead[:, min(1, reader.n_prices - 1)]
        values = {"price_error": ahead[:, 0] - following, "next_price": following}
        if self._prices_are_known():
            # What is shown is known; how dear it is tells of what comes after it.
            beyond = self.longest > reader.n_prices
            values = {"shown_price": ahead.mean(axis=1)} if beyond else {}
        for name in WEIGHTS:
            if reader.has(name):
                values[name] = observed[:, reader.column(name)].astype(np.float64)
        return values

    def _prices_are_known(self) -> bool:
        """Return whether prices become known a day ahead, so that no reading tells more."""
        return self._reader.site.tariff.price_known == "published"

    def _candidates(self, slot: Ints) -> list[Ints]:
        slots = self._scenario.slots_per_day
        around = round(AROUND_H / self._period_h)
        own = [np.flatnonzero(slot == s) for s in range(slots)]
        return [
            np.concatenate([own[(s + k) % slots] for k in range(-around, around + 1)])
            for s in range(slots)
        ]

    def _slot(self, observation: Observations) -> int:
        reader = self._reader
        angle = np.arctan2(
            reader.value(observation, "hour_sin")[0], reader.value(observation, "hour_cos")[0]
        )
        slots = self._scenario.slots_per_day
        return round(float(angle) / (2.0 * np.pi) * slots) % slots

    def _prices(self, shown: Floats, origin: Ints, n_periods: int) -> Floats:
        """Return prices shown, (1, S), with the errors of analogs, and theirs beyond, (n, H)."""
        reader, seen = self._reader, self._scenario.rows
        n_shown = shown.shape[1]
        first = reader.column("price_ratio_000")
        shown_then = seen[origin, first : first + n_shown].astype(np.float64)
        shown_then *= seen[origin, reader.column("break_even_per_kwh"), None]
        prices = self._price[origin[:, None] + np.arange(n_periods)]
        error = prices[:, :n_shown] - shown_then
        if self._prices_are_known():
            hours = seen[origin, reader.column("published_h")]
            known = np.arange(n_shown) * self._period_h < hours[:, None] - 1e-6
            error[known] = 0.0
        moved = prices[:, n_shown:] + (shown.mean() - shown_then.mean(axis=1, keepdims=True))
        return np.concatenate([shown + error, moved], axis=1)

    def _base_kw(self, plain: Outlook, rows: Ints) -> Floats:
        base_kw = np.array(self._scenario.market[rows, BASE_POINT])
        known = min(2, plain.base_kw.shape[1])
        base_kw[:, :known] = plain.base_kw[:, :known]
        return base_kw

    def _fit_peaks(self, rows: tuple[int, int]) -> Floats:
        """Return the chance that an interval is its month's highest, (leads, bins of demand)."""
        scenario, n_bins = self._scenario, len(PEAK_EDGES)
        chance = np.zeros((len(PEAK_LEADS_H), n_bins))
        if not scenario.site.tariff.coincident_peaks:
            return chance
        peaks = scenario.site.tariff.coincident_peaks[0].model_copy(
            update={"months": tuple(range(1, 13)), "per_kw_year": 12.0}
        )
        weights = coincident_weights(peaks, scenario.trace, scenario.site.timezone)
        span = peaks.interval_s / scenario.trace.period_s
        hit = np.minimum(weights * span * peaks.peaks_per_month, 1.0)
        month = scenario.exogenous.calendar[:, MONTH]
        own = np.arange(max(rows[0], scenario.first_row), rows[1])
        own = own[np.isin(month[own], np.unique(month[weights > 0.0]))]
        for k, hours in enumerate(PEAK_LEADS_H):
            ahead = round(hours / self._period_h)
            seen = scenario.rows[own[: len(own) - ahead]]
            bins = self._peak_bins(seen)[:, k]
            found = np.bincount(bins, hit[own[ahead:]], minlength=n_bins)
            chance[k] = found / np.maximum(np.bincount(bins, minlength=n_bins), 1.0)
        return chance

    def _fit_peak_hours(self, rows: tuple[int, int]) -> tuple[int, int]:
        """Return between which slots of the day all but a few days of peak months are highest."""
        scenario = self._scenario
        calendar = scenario.exogenous.calendar[rows[0] : rows[1]]
        months = {m for peaks in scenario.site.tariff.coincident_peaks for m in peaks.months}
        inside = np.isin(calendar[:, MONTH] % 12 + 1, sorted(months))
        if not inside.any():
            return 0, scenario.slots_per_day
        demand = scenario.trace.column("demand_kw")[rows[0] : rows[1]]
        highest = [
            calendar[own[np.argmax(demand[own])], SLOT]
            for day in np.unique(calendar[inside, DAY])
            if (own := np.flatnonzero(calendar[:, DAY] == day)).size
        ]
        low, high = np.quantile(highest, (PEAK_HOURS_LEFT_OUT, 1.0 - PEAK_HOURS_LEFT_OUT))
        return int(low), int(high) + 1

    def _peak_bins(self, seen: Observations) -> Ints:
        """Return the bin of expected demand at each lead of `PEAK_LEADS_H`, (N, 4)."""
        reader = self._reader
        now = seen[:, reader.column("demand_ratio")].astype(np.float64)
        month = seen[:, reader.column("demand_month_ratio")].astype(np.float64)
        names = ["demand_ratio", *(f"demand_ratio_{h}h" for h in PEAK_LEADS_H[1:])]
        ahead = seen[:, [reader.column(name) for name in names]].astype(np.float64)
        lower = np.minimum(ahead, ahead * (month / np.maximum(now, 1e-9))[:, None])
        return np.asarray(np.searchsorted(PEAK_EDGES, lower, side="right") - 1)

    def _peak_per_kw(self, observation: Observations, n_periods: int) -> Floats:
        tariff, reader = self._scenario.site.tariff, self._reader
        charge = np.zeros(n_periods)
        if not tariff.coincident_peaks or reader.value(observation, "peak_month")[0] <= 0.0:
            return charge
        share = self._peak_chance[np.arange(4), self._peak_bins(observation)[0]]
        hours = np.arange(n_periods) * self._period_h
        chance = np.interp(hours, PEAK_LEADS_H, share, right=0.0)
        slot = (self._slot(observation) + np.arange(n_periods)) % self._scenario.slots_per_day
        first, end = self._peak_slots
        chance[(slot < first) | (slot >= end)] = 0.0
        per_kw = sum(
            p.per_kw_year
            / (len(p.months) * p.peaks_per_month)
            * self._period_h
            / (p.interval_s / SECONDS_PER_HOUR)
            for p in tariff.coincident_peaks
        )
        return np.asarray(chance * per_kw)
