"""Where a controller finds what the market has published, at any instant."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from gridhash.envs.scenario import Scenario
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.site_state import MarketRow, market_row_at
from gridhash.serving.validation import Refused


class MarketSource(Protocol):
    """Tells what is known of the market, and looks for what is new."""

    @property
    def scenario(self) -> Scenario | None:
        """All that is known now; None while nothing is."""

    def row_at(self, instant: datetime) -> MarketRow | None:
        """Return what was published for the period that holds an instant; None if nothing was."""

    async def refresh(self, now: datetime) -> list[Refused]:
        """Look for newer data; return what was found and is not fit for use, with the reason."""

    def announce(self, orders: Iterable[SiteOrder], now: datetime) -> None:
        """Hear of new or changed orders, some of which may be calls that a policy looks for."""


class FixedMarket:
    """The market of a scenario that was read once."""

    def __init__(self, scenario: Scenario) -> None:
        """Know what the scenario knows."""
        self._scenario = scenario

    @property
    def scenario(self) -> Scenario:
        """The scenario."""
        return self._scenario

    def row_at(self, instant: datetime) -> MarketRow | None:
        """Return the row that holds an instant; None outside the data."""
        return market_row_at(self._scenario, instant)

    async def refresh(self, now: datetime) -> list[Refused]:
        """Find nothing: what was read stays."""
        return []

    def announce(self, orders: Iterable[SiteOrder], now: datetime) -> None:
        """Show a policy no order: the scenario's calls are all that there are."""
