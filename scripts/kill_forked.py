"""What every controller of the kill campaign is forked with: the policy's kernel, compiled."""

from datetime import UTC, datetime

from kill_cases import scenario, site

from gridhash.serving.market_source import FixedMarket
from gridhash.serving.site_model import SiteModel

SiteModel.of(site())
FixedMarket(scenario()).row_at(datetime.now(UTC))
