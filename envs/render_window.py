"""A window that shows pictures, through whatever interactive backend matplotlib finds."""

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.registry import BackendFilter, backend_registry

from gridhash.errors import ConfigError


def check_display() -> None:
    """Raise ConfigError if matplotlib can open no window here."""
    # Asking for the backend makes matplotlib try the interactive ones in turn.
    backend = matplotlib.get_backend().lower()
    if backend not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
        raise ConfigError(
            f"render_mode human needs a window, and matplotlib found only the backend {backend}: "
            "run it where there is a display and a GUI toolkit (such as tkinter), or use "
            "render_mode rgb_array or ansi"
        )


class Window:
    """One window; the only place where gridhash uses pyplot, since a window is global state."""

    def __init__(self, title: str) -> None:
        import matplotlib.pyplot as plt

        self._figure = plt.figure(title, figsize=(11.0, 10.0))
        self._axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set_axis_off()
        self._figure.show()

    def show(self, picture: npt.NDArray[np.uint8]) -> None:
        """Show a picture, (H, W, 3), instead of the one before."""
        if self._axes.images:
            self._axes.images[0].set_data(picture)
        else:
            self._axes.imshow(picture, aspect="equal")
        self._figure.canvas.draw_idle()
        self._figure.canvas.flush_events()

    def close(self) -> None:
        """Close the window."""
        import matplotlib.pyplot as plt

        plt.close(self._figure)
