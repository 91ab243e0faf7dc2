"""When a policy is held to be better than the one that it came from."""

import numpy as np

from gridhash.envs.parameters import Floats

DAYS_PER_WEEK = 7


def gains(days: Floats, others: Floats) -> bool:
    """Return whether days earned more than others by over one standard error, weeks paired."""
    n_weeks = max(len(days) // DAYS_PER_WEEK, 1)
    weeks = np.array([part.sum() for part in np.array_split(days - others, n_weeks)])
    error = weeks.std(ddof=1) * np.sqrt(n_weeks) if n_weeks > 1 else 0.0
    return bool(weeks.sum() > error)
