"""What the environment shows of its last day."""

import gc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from gymnasium.utils.passive_env_checker import env_render_passive_checker
from matplotlib.figure import Figure

from gridhash.envs.day_view import view_day
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.render_day import draw_day
from gridhash.envs.render_window import Window
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError

Arrays = npt.NDArray[Any]


@pytest.fixture
def played(pilot: Scenario) -> Callable[[str], MiningSiteEnv]:
    """Return a maker of environments that have played two days of the level rule."""

    def make(mode: str) -> MiningSiteEnv:
        env = MiningSiteEnv(pilot, render_mode=mode, episode_days=5.0)
        env.reset(options={"start": pilot.trace.starts[pilot.first_row], "running_frac": 1.0})
        for _ in range(2 * 288):
            env.step(np.zeros(4, dtype=np.float32))
        return env

    return make


def test_the_text_of_a_day_says_what_happened(played: Callable[[str], MiningSiteEnv]) -> None:
    env = played("ansi")
    text = env.render()
    now = env.scenario.trace.starts[env.scenario.first_row] + pd.Timedelta(days=2)
    assert f"{now.tz_convert('Asia/Tokyo'):%Y-%m-%d %H:%M} JST" in text
    assert max(map(len, text.splitlines()[:-1])) <= 120
    for part in ("price", "ahead", "loop_a", "loop_d", "chip", "today", "JPY", "synthetic:"):
        assert part in text
    setpoints = env._sites.state.setpoint_kw[0]
    assert all(f"{kw:6,.0f} kW" in text for kw in setpoints)
    env.reset(seed=0)
    assert "nothing played yet" in env.render()


def test_the_picture_of_a_day_is_drawn_anew_and_leaves_nothing_open(
    played: Callable[[str], MiningSiteEnv],
) -> None:
    env = played("rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env_render_passive_checker(env)
        first = env.render()
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert first.shape[2] == 3
    assert first.min() < 60
    assert first.max() == 255
    env.step(np.ones(4, dtype=np.float32))
    assert (env.render() != first).any(), "the picture moves on"
    figures = sum(type(o) is Figure for o in gc.get_objects())
    for _ in range(2):
        env.render()
    gc.collect()
    assert sum(type(o) is Figure for o in gc.get_objects()) <= figures
    assert pyplot_figures() == [], "no figure is known to pyplot"
    env.reset(seed=0)
    assert env.render().shape == first.shape, "an episode that has not begun is drawn too"
    env.close()


def pyplot_figures() -> list[int]:
    import matplotlib._pylab_helpers as helpers

    return list(helpers.Gcf.figs)


def test_a_view_adds_up_to_what_was_played(played: Callable[[str], MiningSiteEnv]) -> None:
    env = played("ansi")
    renderer = env._renderer
    assert renderer is not None
    frame = renderer._record.frame()
    view = view_day(env.scenario, frame, title="x")
    assert len(view.starts) == 288, "the last 24 hours"
    power_kw = view.group_kw.sum(axis=1) + view.rest_kw
    np.testing.assert_allclose(power_kw, frame["site_kw"], atol=1.0)
    np.testing.assert_allclose(sum(view.lines.values()), view.profit, rtol=1e-9, atol=1e-6)
    market = env.scenario.market[env.scenario.first_row + 48 :][:48]
    np.testing.assert_array_equal(view.price[::6], market[:, 0])
    assert "pause_order" in view.synthetic


def test_prices_ahead_of_a_real_time_market_are_called_a_forecast(pilot: Scenario) -> None:
    ercot = open_named_scenario("RealTimeErcot", days=16)
    for scenario, word, other in ((pilot, "known", "forecast"), (ercot, "forecast", "known")):
        env = MiningSiteEnv(scenario, render_mode="ansi", episode_days=1.0)
        env.reset(seed=0)
        ahead = env.render().splitlines()[1]
        assert f" h {word}" in ahead
        assert other not in ahead
        renderer = env._renderer
        assert renderer is not None
        frame, now = renderer._record.frame(), renderer._now
        figure = draw_day(scenario, frame, title="x", now=now)
        labels = figure.axes[0].get_legend_handles_labels()[1]
        assert [text for text in labels if word in text]
        assert not [text for text in labels if other in text]


def test_a_window_is_refused_where_none_can_open(
    pilot: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matplotlib.get_backend", lambda: "agg")
    with pytest.raises(ConfigError, match="found only the backend agg"):
        MiningSiteEnv(pilot, render_mode="human")


def test_a_window_shows_every_step(pilot: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Arrays] = []
    monkeypatch.setattr("matplotlib.get_backend", lambda: "tkagg")
    monkeypatch.setattr(Window, "__init__", lambda self, title: None)
    monkeypatch.setattr(Window, "show", lambda self, picture: shown.append(picture))
    monkeypatch.setattr(Window, "close", lambda self: shown.clear())
    env = MiningSiteEnv(pilot, render_mode="human")
    env.reset(seed=0)
    env.step(np.zeros(4, dtype=np.float32))
    assert len(shown) == 2
    assert env.render() is None
    env.close()
    assert shown == []
