"""A synthetic Japanese year: price, surplus, weather and hashprice, drawn together from one seed.

Parameters and their sources: ``data/samples/synthetic_japan.json``, made by
``scripts/build_synthetic_parameters.py`` from JEPX prices, Kyushu's curtailment, Haneda's
temperature and the chain's difficulty; how close the years come is in ``docs/results/fidelity.md``.
`fit_japan` makes parameters from series of one's own, so that nothing but a training span counts.

Not modelled: fuel prices within a year, plant outages, typhoons, publication delays.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from gridhash.data.readers.jepx import PERIOD_S, PUBLISHED_LOCAL, SLOTS_PER_DAY, TIMEZONE
from gridhash.data.synthesis.calendar import Calendar, fiscal_year
from gridhash.data.synthesis.fit import fit_japan
from gridhash.data.synthesis.hashprice import HashpricePath, hashprice_path
from gridhash.data.synthesis.parameters import (
    CrisisParameters,
    JapanParameters,
    shipped,
    shipped_parameters,
)
from gridhash.data.synthesis.price import (
    N_FACTORS,
    WARM_UP_DAYS,
    Latent,
    draw_latent,
    jumpy,
    price_path,
)
from gridhash.data.synthesis.surplus import curtailed_mw, surplus_frac
from gridhash.data.synthesis.weather import outdoor_temp_c
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import published_the_day_before

__all__ = [
    "JapanParameters",
    "JapanYear",
    "Regime",
    "areas",
    "draw_year",
    "fit_japan",
    "shipped_parameters",
    "synthetic_japan",
]

Array = npt.NDArray[np.float64]
Regime = Literal["usual", "crisis"]

CURRENCY_PER_USD = 150.0
"""JPY per USD; assumed, constant."""


@dataclass(frozen=True, eq=False)
class JapanYear:
    """One synthetic year before it becomes a trace; parts without parameters are None.

    Attributes
    ----------
    price_jpy_per_kwh, outdoor_temp_c
        Every half hour.
    curtailed_mw
        Every hour, of the whole area.
    hashprice
        Every day.
    """

    calendar: Calendar
    price_jpy_per_kwh: Array
    curtailed_mw: Array | None
    outdoor_temp_c: Array | None
    hashprice: HashpricePath | None


def areas() -> list[str]:
    """Return the areas that `synthetic_japan` knows."""
    return list(shipped()["areas"])


def synthetic_japan(
    *,
    area: str = "kyushu",
    fiscal_year_start: int = 2025,
    seed: int,
    regime: Regime = "usual",
    parameters: JapanParameters | None = None,
) -> Trace:
    """Return one synthetic year, April to March, of half hours.

    The same arguments give the same bits. Each series has a random stream of its own, so that a
    change to one leaves the others as they are. Years of one seed are independent of each other;
    areas of one seed and year share the nation's weather and market as far as real ones do.

    Parameters
    ----------
    area
        One of `areas()`. No curtailment is known for Tokyo (there was nearly none up to 2025), so
        its surplus is zero.
    fiscal_year_start
        Calendar year of the first day, 1 April.
    seed
        Of all random streams, not negative.
    regime
        ``usual`` is like FY2023 to 2026; ``crisis`` like FY2020 to 2022, with a spell of scarcity
        in the winter as in January 2021. Only price and what hangs on it differ.
    parameters
        From `fit_japan`; the shipped ones where None. What was not fitted is left out.

    Raises
    ------
    DataError
        If the area is unknown, differs from that of the parameters, or has no such regime.
    """
    year = draw_year(
        area=area,
        fiscal_year_start=fiscal_year_start,
        seed=seed,
        regime=regime,
        parameters=parameters,
    )
    kind = "" if regime == "usual" else f" {regime}"
    starts = year.calendar.starts
    trace = Trace.from_prices(
        starts,
        year.price_jpy_per_kwh,
        published_at=published_the_day_before(starts, timezone=TIMEZONE, at=PUBLISHED_LOCAL),
        period_s=PERIOD_S,
        currency="JPY",
        area=area,
        source=f"synthetic {area}{kind} FY{fiscal_year_start} seed {seed}",
    )
    columns: dict[str, Array] = {"currency_per_usd": np.full(len(starts), CURRENCY_PER_USD)}
    if year.curtailed_mw is not None:
        columns["surplus_frac"] = np.repeat(surplus_frac(year.curtailed_mw), 2)
    if year.outdoor_temp_c is not None:
        columns["outdoor_temp_c"] = year.outdoor_temp_c
    if year.hashprice is not None:
        daily = year.hashprice.usd_per_phs_day
        columns["hashprice_usd_per_phs_day"] = np.repeat(daily, SLOTS_PER_DAY)
    return trace.with_columns(columns)


def draw_year(
    *,
    area: str,
    fiscal_year_start: int,
    seed: int,
    regime: Regime = "usual",
    parameters: JapanParameters | None = None,
) -> JapanYear:
    """Return the series of `synthetic_japan` in their own resolution; arguments as there."""
    values = shipped_parameters(area) if parameters is None else parameters
    if values.area != area:
        raise DataError(f"the parameters are those of {values.area}, not of {area}")
    crisis = _crisis(values, regime)
    calendar = fiscal_year(fiscal_year_start)
    news, noise, sky, size, weather, gusts, market, drift = np.random.SeedSequence(
        [seed, fiscal_year_start]
    ).spawn(8)
    row = values.area_row
    shared = np.random.default_rng(news).standard_normal(
        (len(row), WARM_UP_DAYS + calendar.n_days, N_FACTORS)
    )
    own = noise.spawn(len(row))[areas().index(area)]
    common = np.random.default_rng(drift)
    latent = draw_latent(
        values.price,
        np.tensordot(row, shared, axes=1),
        jumpy(np.random.default_rng(own), values.price.noise_shape, len(calendar.starts)),
        common.standard_normal(calendar.n_days),
        common.standard_normal(calendar.n_days),
    )
    latent = latent if crisis is None else _with_spell(latent, crisis, calendar)
    surplus, temperature, hashprice = values.surplus, values.temperature, values.hashprice
    return JapanYear(
        calendar=calendar,
        price_jpy_per_kwh=price_path(values.price, calendar, latent, crisis),
        curtailed_mw=None
        if surplus is None
        else curtailed_mw(
            surplus, calendar, latent, np.random.default_rng(sky), np.random.default_rng(size)
        ),
        outdoor_temp_c=None
        if temperature is None
        else outdoor_temp_c(
            temperature,
            calendar,
            latent,
            np.random.default_rng(weather),
            np.random.default_rng(gusts),
        ),
        hashprice=None
        if hashprice is None
        else hashprice_path(hashprice, calendar.n_days, np.random.default_rng(market)),
    )


def _crisis(values: JapanParameters, regime: str) -> CrisisParameters | None:
    if regime == "usual":
        return None
    if regime != "crisis":
        raise DataError(f"no regime {regime!r}; choose usual or crisis")
    if values.crisis is None:
        raise DataError(f"the parameters of {values.area} know no crisis; use the shipped ones")
    return values.crisis


def _with_spell(latent: Latent, crisis: CrisisParameters, calendar: Calendar) -> Latent:
    """Return the latents with a spell of scarcity in the winter."""
    december = int(np.flatnonzero(calendar.month == 11)[0])
    first = december + crisis.spell_first_day
    lift = np.zeros((calendar.n_days, 1))
    lift[first : first + crisis.spell_days] = crisis.spell_score
    return replace(latent, level=latent.level + lift, floor=latent.floor + lift)
