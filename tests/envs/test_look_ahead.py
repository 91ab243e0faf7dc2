"""No look-ahead: rewrite what is not known yet, rebuild everything, see and decide the same.

What is known is reckoned here anew from the rules of the market, not read from `available_at`.
"""

import tempfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.rules import Hysteresis, LevelRule
from gridhash.config import SiteConfig, load_site
from gridhash.data.readers.jepx import read_spot_summary
from gridhash.data.readers.smard import read_day_ahead
from gridhash.data.trace import Trace
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import LookAheadError

MakeSites = Callable[..., BatchedSite]
Played = tuple[list[bytes], list[bytes]]


def known_before(instant: datetime, *, timezone: str, published: time) -> datetime:
    """Return the end of the last delivery day whose day-ahead prices are out at an instant."""
    local = instant.astimezone(ZoneInfo(timezone))
    days = 2 if local.time() >= published else 1
    return datetime.combine(local.date() + timedelta(days=days), time(), ZoneInfo(timezone))


def play(make_sites: MakeSites, scenario: Scenario, policy: Policy, last_row: int) -> Played:
    """Play from the first row to the start of a row; return all observations and actions."""
    sites = make_sites(scenario, 1, action_kind=policy.action_kind)
    sites.start_at(scenario.first_row, running_frac=0.5)
    observations, actions = [], []
    while True:
        observation = sites.observe()
        action = policy.act(observation)
        observations.append(observation.tobytes())
        actions.append(action.tobytes())
        if sites.state.row[0] == last_row:
            return observations, actions
        sites.step(action)


class Fixed:
    """The same random actions every time."""

    name = "fixed"

    def __init__(self, site: SiteConfig) -> None:
        self.action_kind = LevelRule(site).action_kind
        self._rng = np.random.default_rng(8)

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return self._rng.uniform(-0.3, 0.3, (len(observation), 4))


DAYS = 5
SLOTS = 48


def columns(seed: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return random prices and measured columns of five days."""
    rng = np.random.default_rng(seed)
    n = DAYS * SLOTS
    return {
        "price_per_kwh": rng.uniform(0.01, 20.0, n),
        "surplus_frac": rng.uniform(0, 1, n) * (rng.random(n) < 0.4),
        "outdoor_temp_c": rng.uniform(-10, 35, n),
        "hashprice_usd_per_phs_day": rng.uniform(30, 50, n),
        "currency_per_usd": rng.uniform(120, 160, n),
    }


def rebuilt(site: SiteConfig, template: Trace, values: dict[str, Any]) -> Scenario:
    return build_scenario(site, template.with_columns(values))


@settings(max_examples=30)
@given(row=st.integers(SLOTS, DAYS * SLOTS - 1), seed=st.integers(0, 2**32 - 1))
def test_rewriting_all_that_is_not_known_yet_changes_no_observation(
    japan: SiteConfig,
    make_trace: Callable[..., Trace],
    make_sites: MakeSites,
    row: int,
    seed: int,
) -> None:
    template = make_trace(japan, days=DAYS)
    instant = template.starts[row].to_pydatetime()
    limit = known_before(instant, timezone="Asia/Tokyo", published=time(12, 30))
    before, after = columns(1), columns(seed)
    for name, values in after.items():
        if name == "price_per_kwh":
            known = np.asarray(template.starts < pd.Timestamp(limit))
        elif name in ("surplus_frac", "outdoor_temp_c"):  # known when the interval has ended
            known = np.arange(len(values)) < row
        else:  # known when it starts
            known = np.arange(len(values)) <= row
        values[known] = before[name][known]

    first = play(make_sites, rebuilt(japan, template, before), Fixed(japan), row)
    second = play(make_sites, rebuilt(japan, template, after), Fixed(japan), row)

    assert first == second


@pytest.mark.parametrize(
    ("name", "row", "changed_row"),
    [
        ("price_per_kwh", 120, 143),  # noon: today's last slot
        ("price_per_kwh", 122, 191),  # 13:00: tomorrow's last slot
        ("price_per_kwh", 121, 150),  # 12:30: tomorrow is just out
        ("price_per_kwh", 120, 100),  # a day back stands in for what is not published
        ("surplus_frac", 120, 119),
        ("outdoor_temp_c", 120, 119),
        ("hashprice_usd_per_phs_day", 120, 120),
        ("currency_per_usd", 120, 120),
    ],
)
def test_rewriting_what_is_known_does_change_the_observation(
    japan: SiteConfig,
    make_trace: Callable[..., Trace],
    make_sites: MakeSites,
    name: str,
    row: int,
    changed_row: int,
) -> None:
    template = make_trace(japan, days=DAYS)
    before, after = columns(1), columns(1)
    after[name][changed_row] *= 0.9
    after[name][changed_row] += 0.01

    first = play(make_sites, rebuilt(japan, template, before), Fixed(japan), row)
    second = play(make_sites, rebuilt(japan, template, after), Fixed(japan), row)

    assert first[0][-1] != second[0][-1]


def jepx_file(folder: Path, prices: Sequence[float]) -> Path:
    """Write a spot summary from 1 July 2024 in the exchange's format."""
    lines = ["受渡日,時刻コード,システムプライス(円/kWh),エリアプライス九州(円/kWh)"]
    for k, price in enumerate(prices):
        day = date(2024, 7, 1) + timedelta(days=k // SLOTS)
        lines.append(f"{day:%Y/%m/%d},{k % SLOTS + 1},9.99,{price:.2f}")
    path = folder / "spot_summary_2024.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp932"))
    return path


def smard_file(folder: Path, starts: pd.DatetimeIndex, prices: Sequence[float]) -> Path:
    """Write a day-ahead file of the Netherlands in the agency's format."""
    lines = ["Date;Time of day;Netherlands[€/MWh]"]
    for start, price in zip(starts.tz_convert("Europe/Berlin"), prices, strict=True):
        hour = f"{(start.hour - 1) % 12 + 1}:00 {'AM' if start.hour < 12 else 'PM'}"
        lines.append(f"{start:%b} {start.day}, {start.year};{hour};{price:.2f}")
    path = folder / "smard.csv"
    path.write_bytes(("\ufeff" + "\n".join(lines) + "\n").encode())
    return path


POLICIES: list[Callable[[SiteConfig], Policy]] = [
    LevelRule,
    DayAheadDP,
    lambda site: Hysteresis(site, start_ratio=0.9, stop_ratio=1.1),
]


@settings(max_examples=8)
@given(row=st.integers(SLOTS, DAYS * SLOTS - 1), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("make_policy", POLICIES)
def test_rewriting_the_tail_of_a_jepx_file_changes_no_observation_and_no_action(
    japan: SiteConfig,
    make_sites: MakeSites,
    make_policy: Callable[[SiteConfig], Policy],
    row: int,
    seed: int,
) -> None:
    before = np.random.default_rng(1).uniform(0.01, 20.0, DAYS * SLOTS)
    after = np.random.default_rng(seed).uniform(0.01, 20.0, DAYS * SLOTS)
    starts = pd.date_range("2024-07-01", periods=DAYS * SLOTS, freq="30min", tz="Asia/Tokyo")
    limit = known_before(starts[row].to_pydatetime(), timezone="Asia/Tokyo", published=time(12, 30))
    known = np.asarray(starts < pd.Timestamp(limit))
    after[known] = before[known]
    played = []
    for prices in (before, after):
        with tempfile.TemporaryDirectory() as folder:
            trace = read_spot_summary(jepx_file(Path(folder), prices.tolist()), "kyushu")
        played.append(play(make_sites, build_scenario(japan, trace), make_policy(japan), row))

    assert played[0] == played[1]


@settings(max_examples=8)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("first_day", ["2018-03-23", "2018-10-26"])
def test_rewriting_the_tail_of_a_smard_file_changes_no_observation_and_no_action(
    make_sites: MakeSites, first_day: str, data: st.DataObject, seed: int
) -> None:
    """Over the days of 23 and of 25 hours; prices are out at 13:00 Berlin time."""
    site = load_site("europe_sample")
    start = pd.Timestamp(first_day, tz="Europe/Berlin")
    starts = pd.date_range(start, start + pd.DateOffset(days=5), freq="h", inclusive="left")
    row = data.draw(st.integers(24, len(starts) - 1))
    before = np.random.default_rng(1).uniform(-20, 120, len(starts))
    after = np.random.default_rng(seed).uniform(-20, 120, len(starts))
    limit = known_before(starts[row].to_pydatetime(), timezone="Europe/Berlin", published=time(13))
    known = np.asarray(starts < pd.Timestamp(limit))
    after[known] = before[known]
    played = []
    for prices in (before, after):
        with tempfile.TemporaryDirectory() as folder:
            path = smard_file(Path(folder), starts, prices.tolist())
            trace = read_day_ahead(path, "Netherlands")
        played.append(play(make_sites, build_scenario(site, trace), DayAheadDP(site), row))

    assert played[0] == played[1]


def test_rewriting_a_published_price_of_the_file_changes_the_observation(
    japan: SiteConfig, make_sites: MakeSites, tmp_path: Path
) -> None:
    prices = np.random.default_rng(1).uniform(0.01, 20.0, DAYS * SLOTS)
    played = []
    for _ in range(2):
        trace = read_spot_summary(jepx_file(tmp_path, prices.tolist()), "kyushu")
        played.append(play(make_sites, build_scenario(japan, trace), LevelRule(japan), 121))
        prices[2 * SLOTS + 40] += 1.0

    assert played[0] != played[1]


@pytest.mark.parametrize("name", ["price_per_kwh", "hashprice_usd_per_phs_day", "currency_per_usd"])
def test_a_value_known_only_after_its_period_starts_is_refused(
    japan: SiteConfig, make_trace: Callable[..., Trace], name: str
) -> None:
    trace = make_trace(japan)
    values = columns(1)[name][: trace.n_rows]
    late = trace.with_columns(
        {name: values}, available_at={name: trace.starts + pd.Timedelta(seconds=1)}
    )

    with pytest.raises(LookAheadError, match=f"{name} of row 0 .* after its period starts"):
        build_scenario(japan, late)
