import pandas as pd
import pytest

from gridhash.envs.scenario import Scenario
from gridhash.errors import DataError
from gridhash.training.spans import Rows, spans_by_date

ZONE = "Europe/Amsterdam"


def _starts(scenario: Scenario, rows: Rows) -> pd.Timestamp:
    return scenario.trace.starts[rows[0]].tz_convert(ZONE)


def test_a_calendar_year_is_cut_at_the_local_first_of_september_and_october(
    scenario: Scenario,
) -> None:
    spans = spans_by_date(scenario)

    assert _starts(scenario, spans.validate) == pd.Timestamp("2018-09-01", tz=ZONE)
    assert _starts(scenario, spans.test) == pd.Timestamp("2018-10-01", tz=ZONE)


def test_the_spans_are_disjoint_and_an_embargo_apart(scenario: Scenario) -> None:
    spans = spans_by_date(scenario)

    assert spans.train[0] == scenario.first_row
    assert spans.validate[0] - spans.train[1] == 8 * 24
    assert spans.test[0] - spans.validate[1] == 8 * 24
    assert spans.test[1] == scenario.n_rows
    assert spans.train[0] < spans.train[1] < spans.validate[1] < spans.test[1]


def test_given_dates_are_local_midnights_in_summer_and_winter(scenario: Scenario) -> None:
    spans = spans_by_date(scenario, validate_from="2018-07-01", test_from="2018-11-15")

    assert _starts(scenario, spans.validate) == pd.Timestamp("2018-07-01", tz=ZONE)
    assert _starts(scenario, spans.test) == pd.Timestamp("2018-11-15", tz=ZONE)


@pytest.mark.parametrize("date", ["first of May", "2018-13-01", ""])
def test_a_malformed_date_is_refused_with_how_to_write_it(scenario: Scenario, date: str) -> None:
    with pytest.raises(DataError, match="write it as 2018-09-01"):
        spans_by_date(scenario, test_from=date)


def test_a_date_outside_the_data_is_refused_naming_the_data(scenario: Scenario) -> None:
    with pytest.raises(DataError, match=r"2019-02-01.*lies outside the data, 2017-12-31"):
        spans_by_date(scenario, test_from="2019-02-01")


def test_a_span_of_less_than_a_week_is_refused_by_name(scenario: Scenario) -> None:
    with pytest.raises(DataError, match=r"validate holds 3\.0 days .* without an embargo of 8"):
        spans_by_date(scenario, validate_from="2018-09-01", test_from="2018-09-12")


def test_dates_in_the_wrong_order_are_refused(scenario: Scenario) -> None:
    with pytest.raises(DataError, match=r"the span to validate holds 0\.0 days"):
        spans_by_date(scenario, validate_from="2018-10-01", test_from="2018-09-01")
