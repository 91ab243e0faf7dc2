"""The policies that are tables: a bundle brings their arrays, and this code knows how they act."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from gridhash.agents.policy import Policy
from gridhash.agents.stochastic_dp import StochasticDP
from gridhash.config import SiteConfig
from gridhash.errors import BundleError, ConfigError, PolicyError

Arrays = Mapping[str, npt.NDArray[Any]]
"""Named arrays of float64, float32, int64, int32 or bool; numbers are finite."""


@runtime_checkable
class TablePolicy(Policy, Protocol):
    """A policy that its arrays give wholly, such as the value of every state of a site.

    Its name is its entry in `TABLES`.
    """

    @property
    def arrays(self) -> Arrays:
        """Everything that `TABLES[name]` makes it of again."""
        ...


TableMaker = Callable[[SiteConfig, Arrays], TablePolicy]
"""Makes a policy from a site and its arrays; raises PolicyError or ConfigError if they are none."""

TABLES: dict[str, TableMaker] = {StochasticDP.name: StochasticDP}
"""Makers by name; a kind of table gets a line here, as a rule does in `rule_registry.RULES`."""

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "BOOL": np.dtype(np.bool_),
}
"""What arrays may be of, by their name in safetensors."""


def check_arrays(arrays: Arrays) -> None:
    """Refuse arrays that a bundle does not carry.

    Raises
    ------
    PolicyError
        If there is none, one is of another type, or holds NaN or infinity.
    """
    if not arrays:
        raise PolicyError("the table has no arrays")
    for name, array in arrays.items():
        if array.dtype not in DTYPES.values():
            known = ", ".join(str(dtype) for dtype in DTYPES.values())
            raise PolicyError(f"array {name} is {array.dtype}; expected one of {known}")
        if not np.isfinite(array).all():
            where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
            raise PolicyError(f"array {name} holds {array[where]} at {where}; all must be finite")


def build_table(table: str, arrays: Arrays, *, site: SiteConfig) -> TablePolicy:
    """Return the table policy of this name with these arrays.

    Raises
    ------
    BundleError
        If there is no such kind of table, or the arrays are not those of one for this site.
    """
    if table not in TABLES:
        known = ", ".join(sorted(TABLES)) or "none"
        raise BundleError(f"no table policy is called {table!r}; known: {known}: update gridhash")
    try:
        check_arrays(arrays)
        return TABLES[table](site, arrays)
    except (PolicyError, ConfigError) as err:
        raise BundleError(f"table {table}: {err}") from err
