"""What a served site is connected to: its state folder, its guards, orders, plant and prices."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from gridhash.config import SiteConfig, load_site
from gridhash.data.store.store import Store
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError, ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.guard_link import read_link_key
from gridhash.serving.guard_service import parse_guard_address
from gridhash.serving.heartbeat_push import HeartbeatPusher, HeartbeatSender
from gridhash.serving.journal import Journal
from gridhash.serving.lease import Lease
from gridhash.serving.lease_record import newest_token
from gridhash.serving.live_market import StoreMarket
from gridhash.serving.live_trace import load_live
from gridhash.serving.market_now import MarketNow
from gridhash.serving.market_source import MarketSource
from gridhash.serving.metering import MeterLink
from gridhash.serving.modbus_plant import ModbusPlant
from gridhash.serving.operation import OperationConfig
from gridhash.serving.order_folder import OrderFolder
from gridhash.serving.permissives import Plant, PlantReader, PlantUnreachable, PlantValue
from gridhash.serving.request_desk import RequestDesk
from gridhash.serving.requests import RequestSpool
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_meter import ModbusMeter
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.topology import Topology


class NoReader:
    """Stands for a plant that nobody reads: its permissives are missing, so nothing starts."""

    async def read(self) -> Mapping[str, PlantValue]:
        """Read nothing.

        Raises
        ------
        PlantUnreachable
            Always.
        """
        raise PlantUnreachable("no reader of the plant is configured")


def plant_reader(operation: OperationConfig, clock: Clock) -> PlantReader:
    """Return who reads the plant of an operation file.

    Raises
    ------
    ServingError
        If pymodbus is needed and not installed.
    """
    return NoReader() if operation.plant is None else ModbusPlant(operation.plant, clock)


def meter_link(operation: OperationConfig, clock: Clock) -> MeterLink | None:
    """Return the meter of an operation file; None without one.

    Raises
    ------
    ServingError
        If pymodbus is needed and not installed.
    """
    block = operation.meter
    return None if block is None else MeterLink(meter=ModbusMeter(block, clock), block=block)


def links_of(
    operation: OperationConfig,
    origin: Path,
    journal: Journal,
    *,
    clock: Clock,
    plant: PlantReader | None = None,
    market: MarketSource | None = None,
    topology: Topology | None = None,
) -> SiteLinks:
    """Return the links of a site whose state folder is that of its journal; takes the lease.

    Every controller does, in whatever mode: heartbeat, requests and guards are there once.

    Parameters
    ----------
    origin
        Folder that relative paths of the operation file begin at.

    Raises
    ------
    ServingError
        If a folder or key cannot be used.
    LeaseHeld
        If another controller commands the site.
    """
    folder = StateFolder(journal.path.parent)
    name = f"{socket.gethostname()}:{folder.path.resolve()}"[:128]
    pushers = [
        HeartbeatPusher(parse_guard_address(guard.address), read_link_key(origin / guard.key))
        for guard in operation.guards
    ]
    permissives = operation.to_permissives()
    orders = None
    if operation.orders is not None:
        path = origin / operation.orders
        if not path.is_dir():
            raise ServingError(f"there is no folder {path} for orders: create it")
        orders = OrderFolder(path)
    reader = (plant or plant_reader(operation, clock)) if permissives else None
    meter = meter_link(operation, clock)
    lease = Lease(folder.lease, holder=f"{socket.gethostname()} process {os.getpid()}")
    lease.acquire(clock.now(), above=newest_token(journal))
    return SiteLinks(
        requests=RequestDesk(RequestSpool(folder.requests), journal),
        stop_all=folder.stop_all,
        lease=lease,
        heart=HeartbeatSender(folder, pushers),
        controller_name=name,
        plant=Plant(reader, permissives) if reader is not None else None,
        meter=meter,
        orders=orders,
        market=market,
        topology=topology or Topology(),
        stand_in=operation.to_stand_in(),
    )


def live_market(
    prices: str | None, site: SiteConfig, market: MarketNow, *, takes_orders: bool
) -> MarketSource | None:
    """Return a market that follows the store; None where the prices are a file's."""
    if prices is None or market.is_replay or not (names := stored_names(prices)):
        return None
    return StoreMarket.of(Store(), names, site, market.scenario, takes_orders=takes_orders)


def stored_names(prices: str) -> list[str]:
    """Return the traces of the store that `--prices` names, one or PUBLISHED+MEASURED.

    Empty if it names something else.
    """
    if Path(prices).exists():
        return []
    names, there = prices.split("+"), Store().trace_names()
    return names if names[0] in there else []


def live_scenario(request: ScenarioRequest, *, takes_orders: bool) -> Scenario:
    """Return the scenario of a site that is served, as far as it is known.

    Raises
    ------
    ConfigError, DataError
        If the site or the prices are wrong, or lack what the site needs.
    """
    names = stored_names(request.prices) if request.prices is not None else []
    if not names or request.site is None:
        return open_scenario(request)
    site = load_site(request.site)
    trace = load_live(Store(), names, site, takes_orders=takes_orders)
    if request.area not in (None, trace.area):
        raise ConfigError(f"{request.prices} holds {trace.area} only, not {request.area!r}")
    return build_scenario(site, trace)
