"""Fit of all parts of the synthetic year to raw series of a training span.

Only the given series count: nothing is taken from the committed parameters but the correlation
between areas. A part whose series is not given is left out of the trace.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.jepx import PERIOD_S, SLOTS_PER_DAY, TIMEZONE
from gridhash.data.synthesis.calendar import SEASONS, Calendar, days_of
from gridhash.data.synthesis.fit_price import fit_price
from gridhash.data.synthesis.parameters import (
    JapanParameters,
    PriceParameters,
    SurplusParameters,
    TemperatureParameters,
    area_row,
)
from gridhash.data.synthesis.price import (
    N_FACTORS,
    WARM_UP_DAYS,
    Latent,
    draw_latent,
    jumpy,
    price_path,
)
from gridhash.data.synthesis.surplus import curtailed_mw
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import grid

Array = npt.NDArray[np.float64]

CHEAP_JPY_PER_KWH = 0.5
START_SD = 0.1
"""Spread of when curtailment starts and ends, standard normal scores; assumed."""

HOUR_S = 3600
KW_PER_MW = 1000.0


def fit_japan(
    price: pd.Series,
    curtailed_kw: pd.Series | None,
    temp_c: pd.Series | None,
    *,
    area: str,
) -> JapanParameters:
    """Return the parameters of a synthetic year like the given series; nothing else is used.

    Parameters
    ----------
    price
        JPY/kWh; index of interval starts in UTC, half hours or hours, whole days in Japan, at
        least one of each month, working days and days off.
    curtailed_kw
        Mean curtailed power of the area, likewise; None leaves ``surplus_frac`` out.
    temp_c
        Outdoor temperature [°C], likewise; None leaves ``outdoor_temp_c`` out.
    area
        One of `areas()`: places the series among the correlations between areas.

    Raises
    ------
    TimeGridError
        If an index is without time zone, not regular, or not of whole days in Japan.
    DataError
        If the area is unknown, a value is missing, or the span too short.
    """
    row = area_row(area)
    slots = _on_half_hours(price, "price")
    calendar = days_of(pd.DatetimeIndex(slots.index))
    prices = fit_price(slots.to_numpy().reshape(-1, SLOTS_PER_DAY), calendar)
    surplus, temperature = None, None
    if curtailed_kw is not None:
        power = _on_half_hours(curtailed_kw, "curtailed_kw") / KW_PER_MW
        shared = slots.index.intersection(power.index)
        if not len(shared):
            raise TimeGridError("price and curtailed_kw share no day; fit them on one span")
        surplus = fit_surplus(power.loc[shared], slots.loc[shared], prices)
    if temp_c is not None:
        temperature = fit_temperature(_on_half_hours(temp_c, "temp_c"), slots)
    return JapanParameters(
        area=area,
        area_row=row,
        price=prices,
        surplus=surplus,
        temperature=temperature,
        hashprice=None,
        crisis=None,
    )


def _on_half_hours(series: pd.Series, name: str) -> pd.Series:
    """Return a checked series on half hours; each hour stands for both of its halves."""
    index = series.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise TimeGridError(f"{name}: the index must hold starts in UTC; found {index.dtype}")
    if not len(index):
        raise TimeGridError(f"{name}: there are no rows")
    steps_s = np.unique(np.diff(index.as_unit("s").asi8))
    if steps_s.tolist() not in ([PERIOD_S], [HOUR_S]):
        raise TimeGridError(
            f"{name}: steps of {steps_s[:5].tolist()} s; give half hours or hours without a gap"
        )
    values = series.to_numpy(dtype="float64")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"{name}, row {bad[0] + 1} ({index[bad[0]].isoformat()}): the value is missing "
            f"({bad.size} such rows); nothing is filled in, fit on a span without gaps"
        )
    period_s = int(steps_s[0])
    starts = grid(index[0], index[-1] + pd.Timedelta(seconds=period_s), PERIOD_S)
    halves = pd.Series(np.repeat(values, period_s // PERIOD_S), index=starts)
    days_of(starts)
    return halves


def fit_surplus(
    power_mw: pd.Series, price: pd.Series, prices: PriceParameters
) -> SurplusParameters:
    """Return the curtailment process of half-hourly series; `prices` is fitted to the same area."""
    calendar = days_of(pd.DatetimeIndex(power_mw.index))
    hourly = power_mw.to_numpy().reshape(-1, 24, 2).mean(axis=2)
    cheap = price.to_numpy().reshape(-1, 24, 2).mean(axis=2) <= CHEAP_JPY_PER_KWH
    on = hourly > 0.0
    share, mean_mw = np.zeros((2, 12, 24))
    for month in np.unique(calendar.month):
        rows = calendar.month == month
        share[month] = on[rows].mean(axis=0)
        mean_mw[month] = hourly[rows].sum(axis=0) / np.maximum(on[rows].sum(axis=0), 1)
    expected = share[calendar.month]
    ratio = [
        float(on[rows].sum() / max(expected[rows].sum(), 1e-9))
        for rows in (calendar.day_off == 0, calendar.day_off == 1)
    ]
    days = on.any(axis=1)
    normal_mw = (mean_mw[calendar.month] * on).sum(axis=1)[days]
    fitted = SurplusParameters(
        p_by_month_hour=share,
        mean_mw_by_month_hour=mean_mw,
        weekday_ratio=ratio[0],
        weekend_ratio=ratio[1],
        day_ar1=0.0,
        price_link=0.0,
        start_sd=START_SD,
        max_mw=float(hourly.max()),
        day_log_sd=_log_sd(hourly.sum(axis=1)[days] / normal_mw) if days.any() else 0.0,
    )
    if not days.any():
        return fitted
    after = float(days[1:][days[:-1]].mean()) if days[:-1].any() else 0.0
    return fit_links(fitted, prices, calendar, cheap_share=float(cheap[on].mean()), after=after)


def _log_sd(ratio: Array) -> float:
    """Return the spread of the log of a log-normal variable with the given values' variation."""
    return float(np.sqrt(np.log1p((ratio.std() / ratio.mean()) ** 2)))


def fit_links(
    surplus: SurplusParameters,
    prices: PriceParameters,
    calendar: Calendar,
    *,
    cheap_share: float,
    after: float,
) -> SurplusParameters:
    """Return the process whose price link and persistence give two shares in simulation.

    Parameters
    ----------
    cheap_share
        Share of curtailed hours with a price of at most 0.5 JPY/kWh.
    after
        Share of days with curtailment among those that follow one.
    """
    latent = simulated_latent(prices, calendar)
    price = price_path(prices, calendar, latent).reshape(-1, 2).mean(axis=1)
    cheap = price <= CHEAP_JPY_PER_KWH

    def curtailed(candidate: SurplusParameters) -> npt.NDArray[np.bool_]:
        sky, size = np.random.default_rng(4), np.random.default_rng(5)
        return curtailed_mw(candidate, calendar, latent, sky, size) > 0.0

    def miss_of_price(link: float) -> float:
        on = curtailed(replace(surplus, price_link=link))
        return abs(float(cheap[on].mean()) - cheap_share)

    best = min(np.arange(0.0, 0.99, 0.02).tolist(), key=miss_of_price)
    linked = replace(surplus, price_link=best)

    def miss_of_days(day_ar1: float) -> float:
        on = curtailed(replace(linked, day_ar1=day_ar1))
        days = np.asarray(on.reshape(-1, 24).any(axis=1))
        return abs(float(days[1:][days[:-1]].mean()) - after)

    return replace(linked, day_ar1=min(np.arange(0.0, 0.96, 0.05).tolist(), key=miss_of_days))


def simulated_latent(prices: PriceParameters, calendar: Calendar, *, seed: int = 3) -> Latent:
    """Return one draw of the latents on the calendar."""
    rng = np.random.default_rng(seed)
    return draw_latent(
        prices,
        rng.standard_normal((WARM_UP_DAYS + calendar.n_days, N_FACTORS)),
        jumpy(rng, prices.noise_shape, calendar.n_days * SLOTS_PER_DAY),
        rng.standard_normal(calendar.n_days),
        rng.standard_normal(calendar.n_days),
    )


def fit_temperature(temp_c: pd.Series, price: pd.Series) -> TemperatureParameters:
    """Return the temperature process of half-hourly series."""
    at = pd.DatetimeIndex(temp_c.index).tz_convert(TIMEZONE)
    month = np.asarray(at.month)
    missing = sorted(set(range(1, 13)) - set(month.tolist()))
    if missing:
        raise DataError(f"temp_c: month {missing[0]} does not occur; fit on a longer span")
    by_month = temp_c.groupby(month)
    angle = 2 * np.pi * (at.hour + at.minute / 60 + 0.25) / 24
    cosine = 2 * (temp_c * np.cos(angle)).groupby(month).mean()
    sine = 2 * (temp_c * np.sin(angle)).groupby(month).mean()
    warmest = float(np.arctan2(sine.mean(), cosine.mean())) * 24 / (2 * np.pi)
    profile = temp_c.groupby([month, np.asarray(at.hour)]).transform("mean")
    rest = (temp_c - profile).to_numpy().reshape(-1, SLOTS_PER_DAY)
    day = rest.mean(axis=1)
    within = rest - day[:, None]
    first_month = month[::SLOTS_PER_DAY]
    day_sd = np.array([day[first_month == number].std() for number in range(1, 13)])
    # Half hours that repeat an hour would look too persistent, so hours are compared.
    hourly = within.reshape(-1, 24, 2).mean(axis=2).ravel()
    return TemperatureParameters(
        monthly_mean_c=np.asarray(by_month.mean()),
        diurnal_amplitude_k=np.hypot(np.asarray(cosine), np.asarray(sine)),
        day_sd_k=day_sd,
        warmest_hour=warmest % 24,
        day_ar1=float(np.corrcoef(day[:-1], day[1:])[0, 1]),
        slot_ar1=float(np.corrcoef(hourly[:-1], hourly[1:])[0, 1]) ** 0.5,
        slot_sd_k=float(within.std()),
        price_link=_price_link(pd.Series(day / day_sd[first_month - 1], index=at[::48]), price),
    )


def _price_link(anomaly: pd.Series, price: pd.Series) -> Array:
    """Return the correlation of daily anomalies of temperature and log price, by season."""
    local = pd.DatetimeIndex(price.index).tz_convert(TIMEZONE)
    level = np.log1p(price).groupby(local.normalize()).mean()
    days = pd.DatetimeIndex(level.index).intersection(pd.DatetimeIndex(anomaly.index))
    level, anomaly = level.loc[days], anomaly.loc[days]
    level = level - level.groupby([days.year, days.month, days.day_of_week >= 5]).transform("mean")
    season = np.asarray(days.month) % 12 // 3
    links = np.zeros(len(SEASONS))
    for number in range(len(SEASONS)):
        rows = season == number
        if rows.sum() > 2:
            links[number] = np.corrcoef(level[rows], anomaly[rows])[0, 1]
    return links
