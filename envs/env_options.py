"""What constructors and resets of the environments take."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError


def resolve_scenario(
    scenario: Scenario | None,
    site: SiteConfig | str | None,
    trace: Trace | None,
    scenario_name: str | None = None,
) -> Scenario:
    """Return the scenario that the arguments of an environment name.

    Without a trace, the data that ship with gridhash for the preset; without anything, the
    embedded sample. A scenario that is given goes before one that is named.

    Raises
    ------
    ConfigError
        If a trace is given without a site, a site of one's own without a trace, or either beside
        the name of a scenario, or a name in place of scenario or trace.
    """
    if isinstance(scenario, str):
        raise ConfigError(
            f"scenario is {scenario!r}: make gridhash/{scenario}-v0, or give what "
            "gridhash.envs.named_scenario.open_named_scenario returns"
        )
    if trace is not None and not isinstance(trace, Trace):
        raise ConfigError(f"trace is {trace!r}: give a gridhash.data.trace.Trace")
    if scenario is not None:
        return scenario
    if scenario_name is not None:
        if site is not None or trace is not None:
            raise ConfigError(
                f"the scenario {scenario_name} brings its own site and trace: give neither, or "
                "make gridhash/MiningSite-v0"
            )
        return open_named_scenario(scenario_name)
    if trace is None and (site is None or isinstance(site, str)):
        return open_scenario(ScenarioRequest(site=site))
    if site is None or trace is None:
        raise ConfigError("give the environment a scenario, or a site and a trace")
    return build_scenario(load_site(site) if isinstance(site, str) else site, trace)


def chosen_start(scenario: Scenario, options: dict[str, Any]) -> tuple[int, float] | None:
    """Return row and running share that the options of `MiningSiteEnv.reset` choose, if any.

    Raises
    ------
    ConfigError
        If an option is unknown or out of range.
    DataError
        If the data do not hold the start.
    """
    unknown = sorted(set(options) - {"start", "running_frac"})
    if unknown or ("running_frac" in options and "start" not in options):
        raise ConfigError(
            f"reset takes the options start and, with it, running_frac; found {sorted(options)}"
        )
    if not options:
        return None
    running_frac = float(options.get("running_frac", 0.0))
    if not 0.0 <= running_frac <= 1.0:
        raise ConfigError(f"option running_frac {running_frac} is outside 0 … 1")
    try:
        start = pd.Timestamp(options["start"])
    except (TypeError, ValueError) as err:
        raise ConfigError(
            f"option start is {options['start']!r}: give an instant such as 2025-01-31T12:00+09:00"
        ) from err
    return scenario.row_at(start), running_frac


def masked_sites(mask: object, n_sites: int) -> npt.NDArray[np.int64]:
    """Return the sites that option `reset_mask` of a vector environment names.

    Raises
    ------
    ConfigError
        If it is no Boolean array of shape (N,) with at least one True.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (n_sites,):
        raise ConfigError(f"option reset_mask must be a Boolean array of shape ({n_sites},)")
    if not mask.any():
        raise ConfigError("option reset_mask names no site: leave the reset out")
    return np.flatnonzero(mask)
