"""Which days are business days: tariffs, baselines and calls tell them from days of rest."""

import jpholiday
import numpy as np
import numpy.typing as npt
import pandas as pd


def business_days(local: pd.DatetimeIndex, timezone: str) -> npt.NDArray[np.bool_]:
    """Return for each instant whether its local day is a business day.

    Weekends are none, nor are public holidays in Japan (jpholiday); elsewhere holidays count as
    other days.
    """
    weekday = np.asarray(local.day_of_week) < 5
    if timezone != "Asia/Tokyo":
        return weekday
    days = local.normalize()
    holiday = {day: jpholiday.is_holiday(day.date()) for day in days.unique()}
    off = np.asarray(days.map(holiday), dtype=bool)
    return np.asarray(weekday & ~off)
