"""A rule that a network moves: what runs on site of a policy that learned from a tuned rule on.

The action is what the rule says plus what the network adds, cut off at the bounds of the action. A
network that says zero leaves the rule as it is, to the bit.
"""

from collections.abc import Mapping

import numpy as np

from gridhash.agents.numpy_policy import ACTION_HIGH, Network
from gridhash.agents.policy import Observations, Policy
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats, Floats32
from gridhash.errors import PolicyError


class RelativePolicy:
    """A tuned rule and a trained network as one policy: a pure function of the observation."""

    def __init__(
        self, rule: Policy, weights: Mapping[str, Floats32], *, name: str, clip: float = 10.0
    ) -> None:
        """Copy the weights, of arrays as `gridhash.agents.numpy_policy` names them.

        Raises
        ------
        PolicyError
            If the arrays are not those of a network, `clip` is not above zero, or the rule acts by
            levels, between which nothing can be added.
        """
        if rule.action_kind is ActionKind.LEVELS:
            raise PolicyError(
                f"rule {rule.name} acts by levels: a network cannot add to them; use a rule that "
                "acts by power or shadow_price"
            )
        self.name = name
        self.rule = rule
        self.action_kind = rule.action_kind
        self.network = Network(weights, name=name, clip=clip)
        self.weights = self.network.weights
        self._low = self.action_kind.low

    def act(self, observation: Observations) -> Floats:
        """Return one action per observation: (N, F) float32 in, (N, G) float64 out.

        Raises
        ------
        PolicyError
            If the observation has another shape, or holds a NaN.
        """
        action = np.empty((len(observation), self.network.n_outputs))
        action[:] = self.rule.act(observation)
        self.network.move(action, observation, self._low, ACTION_HIGH)
        return action
