"""What the figures of a result cell depend on, as a key: a cell with another key is out of date."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from gridhash.agents.roster import PLANNERS, POLICIES, policy_names
from gridhash.agents.stochastic_dp import StochasticDP
from gridhash.config_scenario import load_scenario_config
from gridhash.config_trace import ReferenceTrace
from gridhash.data.reference import reference_files
from gridhash.data.samples import sample_files
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.errors import PolicyError
from gridhash.training.cells import BOUND, LEARNED, CellId, path_of, read_cell
from gridhash.training.code_hash import code_hash
from gridhash.training.config import TrainingConfig, load_training_config
from gridhash.training.opened import Named
from gridhash.training.worth_settings import worth_settings_of

PLAIN_CASES: Mapping[str, ScenarioRequest] = {
    "sample-start0": ScenarioRequest(start_cost=0.0),
    "sample-start30": ScenarioRequest(start_cost=30.0),
    "sample-start100": ScenarioRequest(start_cost=100.0),
    "japan-on-off": ScenarioRequest(site="japan_pilot"),
    "japan-work-levels": ScenarioRequest(site="japan_pilot", work_levels=True),
}
"""Sites with prices that are judged beside the scenarios."""

PLAYING = ("gridhash.training.opened", "gridhash.training.play", "gridhash.training.metrics")
MADE_BY = {
    StochasticDP.name: ("gridhash.agents.stochastic_dp", "gridhash.agents.stochastic_tuning"),
    BOUND: ("gridhash.agents.bound",),
    LEARNED: ("gridhash.training.learn",),
}
"""Modules that make what is no plain line of the roster."""
BY_WORTHS = ("gridhash.training.worth_learning",)
"""Modules that learn where a scenario has `worth_settings_of`."""
PLANNER = "mpc"
"""The rolling planner that is always judged; its variants, slower still, are where asked for."""
IN_WORDS = {"title", "description", "figures", "value"}
"""Keys of a scenario on which no figure depends."""


def named(scenario: str) -> Named:
    """Return what a scenario's name in a cell stands for."""
    return PLAIN_CASES.get(scenario, scenario)


def policies_of(scenario: str) -> list[str]:
    """Return the names of all policies that are judged on a scenario, in the order of tables.

    Raises
    ------
    ConfigError
        If there is no such scenario.
    """
    request = PLAIN_CASES.get(scenario)
    site = load_scenario_config(scenario).site if request is None else open_scenario(request).site
    return [*policy_names(site), PLANNER, BOUND, LEARNED]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What a cell's figures depend on, as hashes; see `keys_of`."""

    key: str
    code: str


def keys_of(cell_id: CellId) -> Keys:
    """Return what a cell's figures depend on: code, scenario, data files, seed and settings.

    Raises
    ------
    PolicyError
        If no policy has this name.
    ConfigError
        If there is no such scenario.
    DataError
        If its series are not at hand.
    """
    modules, settings = _modules_of(cell_id.policy), ""
    if cell_id.policy == LEARNED:
        settings = training_settings(cell_id).model_dump_json()
        worths = worth_settings_of(cell_id.scenario)
        if worths is not None:
            modules, settings = BY_WORTHS, f"{settings} {worths.model_dump_json()}"
    code = code_hash(*PLAYING, *modules)
    text = (
        f"{code} {_setting_and_data(cell_id.scenario)} {cell_id.policy} {cell_id.seed} {settings}"
    )
    return Keys(key=hashlib.sha256(text.encode()).hexdigest()[:16], code=code)


def rules_key(scenario: str) -> str:
    """Return the hash of what the tuned rules depend on at which learning may begin; see `keys_of`.

    Raises
    ------
    ConfigError
        If there is no such scenario.
    DataError
        If its series are not at hand.
    """
    code = code_hash("gridhash.training.opened", "gridhash.training.tuned_rules")
    text = f"{code} {_setting_and_data(scenario)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _modules_of(policy: str) -> tuple[str, ...]:
    if policy in MADE_BY:
        return MADE_BY[policy]
    if policy in PLANNERS:
        return ("gridhash.agents.mpc", "gridhash.agents.analog_forecast")
    if policy not in POLICIES:
        known = ", ".join([*POLICIES, *PLANNERS, *MADE_BY])
        raise PolicyError(f"no policy is called {policy!r}; there are {known}")
    return (getattr(POLICIES[policy], "__module__", __name__), "gridhash.agents.tuning")


@cache
def _setting_and_data(scenario: str) -> str:
    """Return a scenario's settings and the hash of the files that its series come from."""
    request = PLAIN_CASES.get(scenario)
    if request is not None:
        settings, files = json.dumps(asdict(request)), sample_files()
    else:
        config = load_scenario_config(scenario)
        settings = config.model_dump_json(exclude=IN_WORDS)
        trace = config.trace
        files = (
            reference_files(trace.series) if isinstance(trace, ReferenceTrace) else sample_files()
        )
    digest = hashlib.sha256()
    for content in files:
        digest.update(content)
    return f"{settings} {digest.hexdigest()}"


def training_settings(cell_id: CellId) -> TrainingConfig:
    """Return how the learned policy of a cell is trained."""
    return load_training_config(None, seed=cell_id.seed, scenario=cell_id.scenario)


def is_current(cell_id: CellId, folder: Path) -> bool:
    """Return whether a cell is there and would be the same if it were made anew."""
    path = path_of(cell_id, folder)
    return path.exists() and read_cell(path).key == keys_of(cell_id).key
