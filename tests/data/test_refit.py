"""What is refitted on a span knows nothing outside it."""

from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import time
from functools import partial

import numpy as np
import pandas as pd
import pytest

from gridhash.data.forecasts.forecast import forecast
from gridhash.data.forecasts.quantile_model import QuantileModel
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import known_at
from gridhash.data.refit import Fitted, Scaler, default_options, japan_generator, refit
from gridhash.data.splits import Span
from gridhash.data.synthetic_market import dump_market, fit_market
from gridhash.data.trace import Trace
from gridhash.errors import DataError, LookAheadError, TimeGridError
from gridhash.time_grid import published_the_day_before

START = pd.Timestamp("2023-03-31T15:00Z")
SPAN = Span(START + pd.Timedelta(days=10), START + pd.Timedelta(days=110))


@pytest.fixture(scope="module")
def trace() -> Trace:
    rng = np.random.default_rng(2)
    starts = pd.date_range(START, periods=24 * 130, freq="h", unit="s")
    hour = np.asarray(starts.tz_convert("Asia/Tokyo").hour)
    price = 12.0 + 4.0 * np.sin(hour * np.pi / 12) + rng.normal(size=len(starts))
    temperature = 15.0 - 5.0 * np.cos(hour * np.pi / 12) + rng.normal(size=len(starts)).cumsum() / 9
    return Trace.from_prices(
        starts,
        price,
        published_at=published_the_day_before(starts, timezone="Asia/Tokyo", at=time(12, 30)),
        period_s=3600,
        currency="JPY",
        area="kyushu",
        source="test",
    ).with_columns({"outdoor_temp_c": temperature})


def quick(trace: Trace) -> dict[str, TrainingOptions]:
    options = default_options(trace, "outdoor_temp_c", timezone="Asia/Tokyo", seed=0)
    return {"outdoor_temp_c": replace(options, max_samples=5_000, n_rounds=5)}


def refitted(trace: Trace) -> Fitted[float]:
    return refit(
        trace,
        SPAN,
        columns=["outdoor_temp_c"],
        timezone="Asia/Tokyo",
        seed=5,
        options=quick(trace),
        generator=lambda part: float(part.column("price_per_kwh").sum()),
    )


def test_one_call_refits_scalers_forecasts_and_generator(trace: Trace) -> None:
    fitted = refitted(trace)

    part = trace.between(SPAN.start, SPAN.end)
    price = part.column("price_per_kwh")
    assert fitted.span == SPAN
    assert fitted.scalers["price_per_kwh"] == Scaler(float(price.mean()), float(price.std()))
    scaled = fitted.scalers["outdoor_temp_c"].apply(part.column("outdoor_temp_c"))
    assert (scaled.mean(), scaled.std()) == pytest.approx((0.0, 1.0))
    assert fitted.generator == float(price.sum())
    now = SPAN.end + pd.Timedelta(days=8)
    made = forecast(fitted.forecasters["outdoor_temp_c"], known_at(trace, now), 24)
    assert made.values.shape == (24, 15)
    with pytest.raises(LookAheadError):
        forecast(fitted.forecasters["outdoor_temp_c"], known_at(trace, SPAN.start), 24)


def test_data_outside_the_span_change_nothing(trace: Trace) -> None:
    inside = (trace.starts >= SPAN.start) & (trace.starts < SPAN.end)
    poisoned = trace.with_columns(
        {
            "price_per_kwh": np.where(inside, trace.column("price_per_kwh"), 900.0),
            "outdoor_temp_c": np.where(inside, trace.column("outdoor_temp_c"), -55.0),
        }
    )

    before, after = refitted(trace), refitted(poisoned)

    assert before.scalers == after.scalers
    assert before.generator == after.generator
    models = [fitted.forecasters["outdoor_temp_c"] for fitted in (before, after)]
    assert all(isinstance(model, QuantileModel) for model in models)
    texts = [[b.model_to_string() for b in m.boosters] for m in models]  # type: ignore[attr-defined]
    assert texts[0] == texts[1]
    now = SPAN.end + pd.Timedelta(days=8)
    values = [forecast(model, known_at(trace, now), 24).values.tobytes() for model in models]
    assert values[0] == values[1]


def test_the_given_seed_holds_for_given_options(trace: Trace) -> None:
    model = refitted(trace).forecasters["outdoor_temp_c"]

    assert isinstance(model, QuantileModel)
    assert "[seed: 5]" in model.boosters[0].model_to_string()


def test_other_columns_help_and_prices_have_heavy_tails(trace: Trace) -> None:
    options = default_options(trace, "outdoor_temp_c", timezone="Asia/Tokyo", seed=1)

    assert options.n_steps == 24
    assert options.covariates == ("price_per_kwh",)
    assert options.heavy_tailed == ("price_per_kwh",)


def test_a_surplus_stays_between_nothing_and_everything(trace: Trace) -> None:
    assert default_options(trace, "surplus_frac", timezone="UTC", seed=1).bounds == (0.0, 1.0)


def test_a_column_that_never_varies_only_shifts() -> None:
    assert Scaler(2.0, 0.0).apply(np.array([2.0, 3.0])).tolist() == [0.0, 1.0]


def test_a_missing_column_or_a_span_outside_is_refused(trace: Trace) -> None:
    with pytest.raises(DataError, match="surplus_frac"):
        refit(trace, SPAN, columns=["surplus_frac"], timezone="UTC", seed=1)
    outside = Span(SPAN.start, SPAN.end + pd.Timedelta(days=90))
    with pytest.raises(TimeGridError, match="outside the data"):
        refit(trace, outside, columns=[], timezone="UTC", seed=1)


def test_generators_are_refitted_on_the_span_alone() -> None:
    starts = pd.date_range("2022-03-31T15:00Z", "2023-06-30T15:00Z", freq="h", inclusive="left")
    rng = np.random.default_rng(3)
    local = starts.tz_convert("Asia/Tokyo")
    noise = rng.normal(size=len(starts))
    price = np.maximum(0.01, 11.0 - 6.0 * np.sin(local.hour * np.pi / 24) + 3.0 * noise)
    curtailed_kw = pd.Series(
        np.where((price < 3.0) & (local.hour > 8) & (local.hour < 16), 1e6, 0.0), index=starts
    )
    span = Span(starts[0], starts[0] + pd.Timedelta(days=365))
    outside = np.asarray(starts >= span.end)

    def made(spoil: float) -> dict[str, object]:
        trace = Trace.from_prices(
            starts,
            price + np.where(outside, spoil, 0.0),
            published_at=starts,
            period_s=3600,
            currency="JPY",
            area="kyushu",
            source="test",
        ).with_columns({"outdoor_temp_c": 15.0 + noise - np.where(outside, spoil / 20, 0.0)})
        power = curtailed_kw + np.where(outside, spoil * 1e4, 0.0)
        japan = refit(
            trace,
            span,
            columns=[],
            timezone="Asia/Tokyo",
            seed=1,
            generator=japan_generator(curtailed_kw=power),
        ).generator
        market = refit(
            trace,
            span,
            columns=[],
            timezone="Asia/Tokyo",
            seed=1,
            generator=partial(fit_market, timezone="Asia/Tokyo"),
        ).generator
        assert japan is not None
        assert market is not None
        fields = {
            f"{type(part).__name__}.{field.name}": np.asarray(getattr(part, field.name)).tolist()
            for part in (japan.price, japan.surplus, japan.temperature)
            if part is not None
            for field in dataclass_fields(part)
        }
        return {**fields, **dump_market(market)}

    clean, spoiled = made(0.0), made(300.0)

    assert {"SurplusParameters", "TemperatureParameters"} <= {name.split(".")[0] for name in clean}
    assert clean == spoiled
