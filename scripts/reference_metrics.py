"""The page of metrics and how sure they are, from the table of `gridhash.training.metrics`."""

import json

from reference_parameters import table

from gridhash.training.metrics import GROUPS
from gridhash.training.results import results_schema
from gridhash.training.settled_days import SETTLED_BY_MONTH
from gridhash.training.statistics import BLOCK_DAYS, LEAST_BLOCKS, N_RESAMPLES

BETTER = {"higher": "↑", "lower": "↓", "": ""}


def metric_lines() -> list[str]:
    """Return the body of the page of metrics."""
    lines = [
        "What `gridhash evaluate` says of each policy: `metrics` in `results.json`, the mean over "
        "seeds where there are several. An arrow says which way is better, all else equal. A "
        "metric that has no meaning on a site (calls where none are made) is null.",
        "",
    ]
    for group, metrics in GROUPS.items():
        rows = [(f"`{m.name}`", m.unit, BETTER[m.better], m.definition) for m in metrics]
        lines += [f"## {group}", "", *table(("metric", "unit", "", "definition"), rows), ""]
    settled = ", ".join(f"`{name}`" for name in SETTLED_BY_MONTH)
    return [
        *lines,
        "## How sure a difference is",
        "",
        "- Policies are compared on the same days: the difference of daily profits is taken first, "
        "so what all owe to the weather of prices cancels.",
        f"- Intervals are 95 %, from {N_RESAMPLES:,} redraws of blocks of {BLOCK_DAYS} "
        f"neighbouring days (the span as a circle; never fewer than {LEAST_BLOCKS} blocks) and of "
        "training seeds. Deviations are stretched by sqrt(n/(n-1)) t/z, for few blocks and few "
        "seeds: on made-up days with a known answer the intervals cover it in 89 to 97 of 100 "
        "studies, the fewer the more the days hang together.",
        f"- What a month or a year settles ({settled}) is attributed to its month: spread over the "
        "days of the month in which it is booked, what is left to be paid later over all days. "
        "Four coincident peaks a year say little about other years, however many redraws.",
        "- Several scenarios: p-values carry Holm's correction; scores are shares of the uplift, "
        "whose interquartile mean and performance profile follow Agarwal et al. (2021), seeds "
        "redrawn within each scenario. The scores of all seeds are in `results.json`.",
        "- `profit` charges what is left to be paid later, and so does the bound beside which "
        "`uplift_frac` and `regret` put it.",
    ]


def schema_text() -> str:
    """Return the JSON schema of `results.json`."""
    return json.dumps(results_schema(), indent=1, ensure_ascii=False) + "\n"
