"""No forecast over the training span comes from a model that saw its day."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from gridhash.data.forecasts.folds import blocks, fit_folds, out_of_fold_forecasts, training_spans
from gridhash.data.forecasts.forecast import Forecaster, Forecasts, forecast_many
from gridhash.data.forecasts.quantile_model import QuantileModel, fit_quantile_model
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.scores import crps
from gridhash.data.forecasts.series import Series
from gridhash.data.splits import Span
from gridhash.errors import DataError

Market = dict[str, Series]
EMBARGO = timedelta(days=8)


def test_blocks_tile_the_span(train: Span) -> None:
    made = blocks(train, 3)

    assert made[0].start == train.start
    assert made[-1].end == train.end
    assert [a.end for a in made[:-1]] == [b.start for b in made[1:]]
    assert [b.length.days for b in made] == [33, 33, 34]


def test_training_keeps_an_embargo_on_both_sides(train: Span) -> None:
    block = blocks(train, 3)[1]

    before, after = training_spans(train, block, EMBARGO)

    assert (before.start, before.end) == (train.start, block.start - EMBARGO)
    assert (after.start, after.end) == (block.end + EMBARGO, train.end)


def model_text(forecaster: Forecaster) -> list[str]:
    assert isinstance(forecaster, QuantileModel)
    return [booster.model_to_string() for booster in forecaster.boosters]


def poisoned(market: Market, span: Span) -> Market:
    starts = market["price"].starts
    inside = (starts >= span.start) & (starts < span.end)
    return {
        name: replace(one, values=np.where(inside, 1e6, one.values)) for name, one in market.items()
    }


@pytest.fixture(scope="module")
def small(options: TrainingOptions) -> TrainingOptions:
    return replace(options, max_samples=4_000, n_rounds=3)


def test_no_fold_saw_its_block_or_the_embargo(
    market: Market, train: Span, small: TrainingOptions
) -> None:
    made = fit_folds(market, "price", train, options=small, folds=3, embargo=EMBARGO)
    block = made[1].block
    around = Span(block.start - EMBARGO, block.end + EMBARGO)
    changed = poisoned(market, around)

    again = fit_folds(changed, "price", train, options=small, folds=3, embargo=EMBARGO)

    same = [
        model_text(a.forecaster) == model_text(b.forecaster)
        for a, b in zip(made, again, strict=True)
    ]
    assert same == [False, True, False]  # the others learned from it


def test_forecasts_of_a_block_depend_on_it_only_by_what_was_known(
    market: Market, train: Span, small: TrainingOptions
) -> None:
    def made(source: Market) -> np.ndarray:
        return out_of_fold_forecasts(
            source, "price", train, options=small, folds=3, embargo=EMBARGO, every_s=6 * 3600
        ).values

    block = blocks(train, 3)[1]
    middle = block.start + timedelta(days=10)
    first = 33 * 4 - 1

    before, after = made(market), made(poisoned(market, Span(middle, block.end)))

    # Nine days on, at 15:00 in Tokyo, the first changed day-ahead price is published.
    assert before[first : first + 37].tobytes() == after[first : first + 37].tobytes()
    assert before[first + 37].tobytes() != after[first + 37].tobytes()


def test_they_cover_the_span_and_are_worse_than_those_of_a_model_that_saw_it(
    market: Market, train: Span, options: TrainingOptions
) -> None:
    keen = replace(options, n_leaves=60, max_samples=5_000, covariates=(), n_rounds=15)
    honest = out_of_fold_forecasts(
        market, "price", train, options=keen, folds=2, embargo=EMBARGO, every_s=6 * 3600
    )
    outcomes = honest.outcomes(market["price"])
    model = fit_quantile_model(market, [train], target="price", options=keen)
    blind = replace(model, trained_on=())  # takes the guard off
    flattering = forecast_many(blind, market, honest.issued_at, honest.leads)
    seen = ~np.isnan(outcomes)

    def score(made: Forecasts) -> float:
        return float(crps(made.values[seen], outcomes[seen], made.quantile_levels).mean())

    assert honest.method == "boosted-quantiles, out of fold"
    assert len(honest) == 399  # at the very first nothing is known
    assert score(flattering) < 0.97 * score(honest)


def test_an_embargo_shorter_than_the_forecast_is_refused(
    market: Market, train: Span, options: TrainingOptions
) -> None:
    with pytest.raises(DataError, match="shorter than the forecasts"):
        fit_folds(market, "price", train, options=options, embargo=timedelta(hours=12))


def test_too_many_folds_are_refused(train: Span) -> None:
    with pytest.raises(DataError, match="too short for 200 folds"):
        blocks(train, 200)


def test_a_fold_without_any_known_value_is_left_out(
    market: Market, train: Span, small: TrainingOptions
) -> None:
    block = blocks(train, 3)[0]
    price = market["price"]
    inside = (price.starts >= block.start) & (price.starts < block.end)
    late = {**market, "price": replace(price, values=np.where(inside, np.nan, price.values))}
    nothing = {**market, "price": replace(price, values=np.full(len(price.values), np.nan))}
    chosen = replace(small, covariates=())

    made = out_of_fold_forecasts(
        late, "price", train, options=chosen, method="persistence", folds=3, every_s=6 * 3600
    )

    assert made.issued_at[0] == block.end + timedelta(hours=6)
    assert made.issued_at[-1] == train.end - timedelta(hours=6)
    with pytest.raises(DataError, match="price"):
        out_of_fold_forecasts(
            nothing, "price", train, options=chosen, method="persistence", folds=3
        )
