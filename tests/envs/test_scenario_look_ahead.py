"""No scenario shows a policy what is not known yet: the future is rewritten, everything rebuilt."""

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config_scenario import load_scenario_config, scenario_names
from gridhash.data.trace import Trace
from gridhash.envs.columns import CALL_FIRST, CALL_ROWS
from gridhash.envs.named_scenario import scenario_trace
from gridhash.envs.scenario import build_scenario

DAYS = 16


def rewritten(trace: Trace, row: int, *, current: str | None, seed: int) -> Trace:
    """Return the trace with other values wherever they are not known when `row` starts.

    Signals of zero and one are turned over, other columns shuffled, so that every value stays
    plausible. `current` names a column whose value of this row the site sees at once.
    """
    rng = np.random.default_rng(seed)
    now = trace.starts[row]
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for name in trace.frame.columns:
        values = trace.column(name)
        unknown = np.asarray(trace.available_at[name] > now)
        if name == current:
            unknown[row] = False
        future = values[unknown]
        if set(np.unique(values)) <= {0.0, 1.0}:
            values[unknown] = 1.0 - future
        else:
            values[unknown] = rng.permutation(future)
        columns[name] = values
    return trace.with_columns(columns, available_at=dict(trace.available_at))


@pytest.mark.parametrize("name", scenario_names())
def test_what_is_not_known_yet_changes_nothing_that_a_policy_sees(name: str) -> None:
    config = load_scenario_config(name)
    site = config.site
    # Days around the first call, if there are any.
    trace = scenario_trace(config, years=1)
    first = trace.starts[_eventful_row(trace)].floor("D")
    trace = trace.between(first, first + np.timedelta64(DAYS, "D"))
    scenario = build_scenario(site, trace)
    current = site.tariff.settles_at if site.tariff.price_known == "current" else None
    rng = np.random.default_rng(len(name))
    for row in rng.integers(scenario.n_rows // 2, scenario.n_rows - 2, 3).tolist():
        other = build_scenario(site, rewritten(trace, row, current=current, seed=row))
        calls = (slice(0, row + 1), [CALL_FIRST, CALL_ROWS])

        assert other.trace.frame.iloc[row + 1 :].to_numpy().tobytes() != (
            trace.frame.iloc[row + 1 :].to_numpy().tobytes()
        ), "the future was rewritten"
        assert (other.rows[: row + 1] == scenario.rows[: row + 1]).all()
        assert (other.exogenous.calendar[calls] == scenario.exogenous.calendar[calls]).all()


def _eventful_row(trace: Trace) -> int:
    """Return a row twelve days before the first call or order, or one in the first month."""
    per_day = 86400 // trace.period_s
    signals = [c for c in ("dr_down_call", "pause_order") if c in trace.frame.columns]
    if not signals:
        return 20 * per_day
    first = int(np.flatnonzero(trace.column(signals[0]) > 0.0)[0])
    return max(first - (DAYS * 3 // 4) * per_day, 0)
