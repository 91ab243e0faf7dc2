"""From what torch trains to what runs on site."""

from gridhash.agents.level_policy import LevelPolicy
from gridhash.agents.numpy_policy import MlpPolicy, OutputKind
from gridhash.agents.policy import Policy
from gridhash.agents.relative_policy import RelativePolicy
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.training.network import NORMALISED_CLIP, Weights

POLICY_NAME = "learned"
LearnedPolicy = MlpPolicy | LevelPolicy | RelativePolicy


def runtime_policy(
    weights: Weights,
    kind: ActionKind = ActionKind.SHADOW_PRICE,
    output: OutputKind = OutputKind.CLIP,
) -> MlpPolicy:
    """Return an actor of continuous actions as the NumPy policy that runs on site."""
    return MlpPolicy(
        weights, name=POLICY_NAME, action_kind=kind, clip=NORMALISED_CLIP, output=output
    )


def relative_policy(weights: Weights, rule: Policy) -> RelativePolicy:
    """Return an actor that moves a rule as the NumPy policy that runs on site."""
    return RelativePolicy(rule, weights, name=POLICY_NAME, clip=NORMALISED_CLIP)


def level_policy(weights: Weights, site: SiteConfig) -> LevelPolicy:
    """Return an actor that chooses work levels as the NumPy policy that runs on site."""
    return LevelPolicy(weights, name=POLICY_NAME, site=site, clip=NORMALISED_CLIP)
