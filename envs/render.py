"""What `MiningSiteEnv.render` returns: the last day as text, as a picture, or in a window."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.play_record import PlayRecord
from gridhash.envs.render_text import day_text
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.units import SECONDS_PER_DAY

if TYPE_CHECKING:
    from gridhash.envs.render_window import Window

RENDER_MODES = ("ansi", "rgb_array", "human")


class Renderer:
    """Keeps the last 24 hours of an episode and shows them.

    matplotlib is loaded by the first picture, not before.

    Raises
    ------
    ConfigError
        If the mode is unknown, or is ``human`` and no window can be opened.
    """

    def __init__(self, scenario: Scenario, mode: str, *, title: str) -> None:
        if mode not in RENDER_MODES:
            raise ConfigError(
                f"render_mode {mode!r} is unknown: use one of {', '.join(RENDER_MODES)}"
            )
        self.mode = mode
        self.title = title
        self._scenario = scenario
        self._record = PlayRecord(
            scenario, int(SECONDS_PER_DAY // scenario.site.dispatch_interval_s)
        )
        self._now = scenario.trace.start
        self._window: Window | None = None
        if mode == "human":
            from gridhash.envs.render_window import check_display

            check_display()

    def restart(self, sites: BatchedSite) -> None:
        """Begin with an episode that was just reset."""
        self._record.clear()
        self._now = self._scenario.trace.starts[int(sites.state.row[0])]
        if self.mode == "human":
            self._show()

    def keep(self, sites: BatchedSite) -> None:
        """Take in the interval that was just played."""
        self._record.keep(sites)
        if self.mode == "human":
            self._show()

    def render(self) -> str | npt.NDArray[np.uint8] | None:
        """Return text, a picture of (H, W, 3) bytes, or None where a window shows it."""
        if self.mode == "ansi":
            return day_text(self._scenario, self._record.frame(), title=self.title, now=self._now)
        if self.mode == "rgb_array":
            return self._picture()
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _picture(self) -> npt.NDArray[np.uint8]:
        from gridhash.envs.render_day import draw_day, rgb_array

        frame: pd.DataFrame = self._record.frame()
        return rgb_array(draw_day(self._scenario, frame, title=self.title, now=self._now))

    def _show(self) -> None:
        from gridhash.envs.render_window import Window

        if self._window is None:
            self._window = Window(self.title)
        self._window.show(self._picture())

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the window, which belongs to its process."""
        return self.__dict__ | {"_window": None}
