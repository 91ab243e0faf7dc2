"""Gymnasium ids. Importing this module registers them."""

import gymnasium

SITE_ID = "gridhash/MiningSite-v0"


def register() -> None:
    """Register `SITE_ID` for `gymnasium.make` and `gymnasium.make_vec`; safe to call twice."""
    if SITE_ID not in gymnasium.registry:
        gymnasium.register(
            id=SITE_ID,
            entry_point="gridhash.envs.mining_site_env:MiningSiteEnv",
            vector_entry_point="gridhash.envs.mining_site_env:MiningSiteVectorEnv",
        )


register()
