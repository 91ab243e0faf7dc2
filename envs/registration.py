"""Gymnasium ids. Importing this module registers them."""

import gymnasium

from gridhash.config_scenario import load_scenario_config, scenario_names

SITE_ID = "gridhash/MiningSite-v0"


def register() -> None:
    """Register `SITE_ID` and every scenario for `gymnasium.make`; safe to call twice.

    A scenario's own episode length, action kind and reward are what `gymnasium.make` may override.
    """
    _register(SITE_ID, {})
    for name in scenario_names():
        config = load_scenario_config(name)
        _register(config.env_id, {"scenario_name": name} | config.episode.model_dump())


def _register(env_id: str, kwargs: dict[str, object]) -> None:
    if env_id not in gymnasium.registry:
        gymnasium.register(
            id=env_id,
            entry_point="gridhash.envs.mining_site_env:MiningSiteEnv",
            vector_entry_point="gridhash.envs.vector_env:MiningSiteVectorEnv",
            kwargs=kwargs,
        )


register()
