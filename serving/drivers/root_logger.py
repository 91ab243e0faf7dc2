"""Keeps a library that logs through the root logger from configuring it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class RootLoggerGuard:
    """Keeps pyasic's ``logging.debug(...)`` from configuring the root logger.

    The module-level functions of `logging` call ``basicConfig`` while the root logger has no
    handler; so it has one that does nothing for as long as a call runs.
    """

    def __init__(self) -> None:
        """Start with no call running."""
        self._handler = logging.NullHandler()
        self._n_calls = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Guard the root logger while the body runs; bodies may overlap."""
        root = logging.getLogger()
        if self._n_calls == 0 and not root.handlers:
            root.addHandler(self._handler)
        self._n_calls += 1
        try:
            yield
        finally:
            self._n_calls -= 1
            if self._n_calls == 0:
                root.removeHandler(self._handler)


ROOT_LOGGER_GUARD = RootLoggerGuard()
