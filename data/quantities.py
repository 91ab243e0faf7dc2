"""What official files measure: unit and plausible range of every quantity, by its one name."""

from dataclasses import dataclass

from gridhash.data.schema import currency_band
from gridhash.errors import DataError

_GW = 1e6
_POWER = ("kW", -80 * _GW, 80 * _GW)
_GENERATION = ("kW", 0.0, 80 * _GW)
_ENERGY = ("kWh", 0.0, 1e9)


@dataclass(frozen=True)
class Quantity:
    """One measured quantity; prices are in the table's currency and have its bounds."""

    name: str
    unit: str
    low: float
    high: float
    meaning: str

    @property
    def is_price(self) -> bool:
        """Whether its unit and bounds depend on the currency."""
        return self.unit == "currency/kWh"


def _price(name: str, meaning: str) -> Quantity:
    return Quantity(name, "currency/kWh", -50.0, 5000.0, meaning)


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        _price("price_per_kwh", "day-ahead price of energy"),
        _price("real_time_price_per_kwh", "price of energy of the real-time or intraday market"),
        _price("price_open_per_kwh", "first trade of a delivery period"),
        _price("price_high_per_kwh", "dearest trade of a delivery period"),
        _price("price_low_per_kwh", "cheapest trade of a delivery period"),
        _price("price_close_per_kwh", "last trade of a delivery period"),
        _price("price_energy_per_kwh", "energy component of a locational price"),
        _price("price_congestion_per_kwh", "congestion component of a locational price"),
        _price("price_loss_per_kwh", "loss component of a locational price"),
        _price("price_ghg_per_kwh", "greenhouse-gas component of a locational price"),
        _price("price_if_sold_500mw_per_kwh", "day-ahead price had 500 MW more been offered"),
        _price("price_if_bought_500mw_per_kwh", "day-ahead price had 500 MW more been bought"),
        _price("price_if_sold_1000mw_per_kwh", "day-ahead price had 1,000 MW more been offered"),
        _price("price_if_bought_1000mw_per_kwh", "day-ahead price had 1,000 MW more been bought"),
        _price("price_if_sold_5000mw_per_kwh", "day-ahead price had 5,000 MW more been offered"),
        _price("price_if_bought_5000mw_per_kwh", "day-ahead price had 5,000 MW more been bought"),
        _price("avoidable_cost_per_kwh", "avoidable cost of renewable energy under the FIT"),
        _price("fip_reference_price_per_kwh", "reference price of the feed-in premium"),
        _price("imbalance_surplus_price_per_kwh", "paid for nominated energy that is not drawn"),
        _price("imbalance_shortage_price_per_kwh", "charged for energy drawn above the nomination"),
        Quantity("sell_bid_kwh", *_ENERGY, "energy offered per period"),
        Quantity("buy_bid_kwh", *_ENERGY, "energy asked for per period"),
        Quantity("contract_kwh", *_ENERGY, "energy traded per period"),
        Quantity("sell_block_bid_kwh", *_ENERGY, "energy offered in blocks per period"),
        Quantity("sell_block_contract_kwh", *_ENERGY, "energy sold in blocks per period"),
        Quantity("buy_block_bid_kwh", *_ENERGY, "energy asked for in blocks per period"),
        Quantity("buy_block_contract_kwh", *_ENERGY, "energy bought in blocks per period"),
        Quantity("n_trades", "1", 0.0, 1e7, "trades of a delivery period"),
        Quantity("imbalance_surplus_flag", "1", 0.0, 99.0, "publisher's mark of a surplus price"),
        Quantity("imbalance_shortage_flag", "1", 0.0, 99.0, "publisher's mark of a shortage price"),
        Quantity("demand_kw", "kW", -_GW, 200 * _GW, "mean demand of the area"),
        Quantity("nuclear_kw", *_GENERATION, "mean nuclear generation"),
        Quantity("thermal_kw", *_GENERATION, "mean thermal generation"),
        Quantity("thermal_lng_kw", *_GENERATION, "mean generation from liquefied gas"),
        Quantity("thermal_gas_kw", *_GENERATION, "mean generation from natural gas"),
        Quantity("thermal_coal_kw", *_GENERATION, "mean generation from coal"),
        Quantity("thermal_oil_kw", *_GENERATION, "mean generation from oil"),
        Quantity("thermal_other_kw", *_GENERATION, "mean generation from other fuels"),
        Quantity("thermal_curtailed_kw", *_GENERATION, "mean curtailed thermal power"),
        Quantity("hydro_kw", *_GENERATION, "mean hydro generation"),
        Quantity("geothermal_kw", *_GENERATION, "mean geothermal generation"),
        Quantity("biomass_kw", *_GENERATION, "mean generation from biomass"),
        Quantity("biomass_curtailed_kw", *_GENERATION, "mean curtailed power from biomass"),
        Quantity("solar_kw", *_POWER, "mean solar generation after curtailment"),
        Quantity("solar_curtailed_kw", *_GENERATION, "mean curtailed solar power"),
        Quantity("wind_kw", *_POWER, "mean wind generation after curtailment"),
        Quantity("wind_curtailed_kw", *_GENERATION, "mean curtailed wind power"),
        Quantity("pumped_hydro_kw", *_POWER, "mean pumped hydro, positive when it generates"),
        Quantity("battery_kw", *_POWER, "mean battery power, positive when it discharges"),
        Quantity("interconnector_kw", *_POWER, "mean exchange, positive = import"),
        Quantity("other_kw", *_POWER, "mean of what is in no other column"),
        Quantity("supply_kw", "kW", 0.0, 200 * _GW, "mean supply, the sum of all sources"),
        Quantity("demand_forecast_kw", "kW", 0.0, 200 * _GW, "forecast mean demand"),
        Quantity("generation_forecast_kw", "kW", 0.0, 200 * _GW, "forecast mean generation"),
        Quantity("wind_solar_forecast_kw", *_POWER, "forecast mean wind and solar generation"),
        Quantity("outdoor_temp_c", "°C", -60.0, 60.0, "outdoor dry-bulb temperature"),
        Quantity("dew_point_c", "°C", -80.0, 40.0, "dew point"),
        Quantity("relative_humidity_frac", "1", 0.0, 1.1, "relative humidity"),
        Quantity("wind_speed_m_per_s", "m/s", 0.0, 100.0, "wind speed"),
        Quantity("pressure_pa", "Pa", 30_000.0, 110_000.0, "air pressure at the station"),
        Quantity("ghi_w_per_m2", "W/m²", 0.0, 1500.0, "global horizontal irradiance"),
        Quantity("dni_w_per_m2", "W/m²", 0.0, 1500.0, "direct normal irradiance"),
        Quantity("dhi_w_per_m2", "W/m²", 0.0, 1000.0, "diffuse horizontal irradiance"),
        Quantity("network_hashrate_phs", "PH/s", 0.001, 1e8, "hash rate of the Bitcoin network"),
        Quantity("difficulty", "1", 1.0, 1e16, "difficulty of the Bitcoin network"),
        Quantity("btc_price_usd", "USD", 0.01, 1e7, "price of a bitcoin"),
        Quantity("fees_btc", "BTC", 0.0, 1e4, "transaction fees of a period"),
        Quantity("issuance_btc", "BTC", 0.0, 2e4, "newly issued coins of a period"),
        Quantity("n_blocks", "1", 0.0, 1e4, "blocks found in a period"),
        Quantity("hashprice_usd_per_phs_day", "USD/(PH/s)/day", 1.0, 1e7, "revenue of hashing"),
        Quantity("carbon_g_per_kwh", "g/kWh", 0.0, 2000.0, "carbon intensity of generation"),
        Quantity("currency_per_usd", "currency/USD", 0.1, 5000.0, "exchange rate"),
    )
}
"""Every quantity that a source table may hold, by name."""


def field(quantity: str, area: str) -> str:
    """Return the column name of a quantity in an area, ``price_per_kwh@kyushu``.

    Raises
    ------
    DataError
        If the quantity is not in `QUANTITIES` or the area holds an ``@``.
    """
    quantity_of(quantity)
    if not area or "@" in area:
        raise DataError(f"area {area!r}: an area is a name without '@'")
    return f"{quantity}@{area}"


def split_field(name: str) -> tuple[str, str]:
    """Return quantity and area of a column name; raise DataError if it is none.

    >>> split_field("price_per_kwh@kyushu")
    ('price_per_kwh', 'kyushu')
    """
    quantity, found, area = name.partition("@")
    if not found or not area:
        raise DataError(f"column {name!r}: write it as quantity@area, such as price_per_kwh@kyushu")
    quantity_of(quantity)
    return quantity, area


def quantity_of(name: str) -> Quantity:
    """Return a quantity by its name, or by that of its column ``quantity@area``."""
    quantity = QUANTITIES.get(name.partition("@")[0])
    if quantity is None:
        raise DataError(f"unknown quantity {name!r}; known are {', '.join(QUANTITIES)}")
    return quantity


def quantity_bounds(name: str, currency: str | None) -> tuple[float, float]:
    """Return the lowest and highest plausible value of a quantity or column.

    Raises
    ------
    DataError
        If the quantity is unknown, or is a price and the currency is missing or unknown.
    """
    quantity = quantity_of(name)
    if not quantity.is_price:
        return quantity.low, quantity.high
    if currency is None:
        raise DataError(f"{name} is a price, so the table needs a currency")
    band = currency_band(currency)
    return band.price_low, band.price_high
