"""What a rig can be set to, checked before an order is sent."""

import math
from dataclasses import replace

from gridhash.serving.drivers.firmware import Order
from gridhash.serving.drivers.protocol import Command, Outcome, RigIdentity, Why

SAME_POWER_FRAC = 1e-3
"""A preset whose power is this close is taken for the power asked for: firmware rounds to watts."""


class NotSent(Exception):
    """Why an order was not sent."""

    def __init__(self, outcome: Outcome, why: Why, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome
        self.why = why


def within_limits(order: Order, identity: RigIdentity) -> Order:
    """Return the order as it is sent, or raise that the rig cannot be set to that."""
    if order.command is Command.SET_PRESET:
        names = [preset.name for preset in identity.presets]
        if order.preset not in names:
            raise _out_of_range(f"it has no preset {order.preset!r}; it has {', '.join(names)}")
    if order.command is not Command.SET_POWER:
        return order
    if not 0.0 < order.power_w < math.inf:
        raise _out_of_range(f"{order.power_w:g} W is no power to run at")
    if not identity.capability.continuous_power:
        return _preset_below(order, identity)
    least_w, most_w = identity.min_power_w or 0.0, identity.max_power_w or math.inf
    power_w = min(order.power_w, most_w)
    if power_w < least_w:
        raise _out_of_range(f"{power_w:g} W is below its least power of {least_w:g} W")
    return replace(order, power_w=power_w)


def _preset_below(order: Order, identity: RigIdentity) -> Order:
    """Return the order with the highest preset that draws no more than asked for."""
    most_w = order.power_w * (1.0 + SAME_POWER_FRAC)
    reachable = [
        (preset.power_w, preset.name)
        for preset in identity.presets
        if preset.power_w is not None and preset.power_w <= most_w
    ]
    if not reachable:
        raise _out_of_range(f"it has no preset of {order.power_w:g} W or less")
    power_w, name = max(reachable)
    return replace(order, power_w=power_w, preset=name)


def _out_of_range(text: str) -> NotSent:
    return NotSent(Outcome.REFUSED, Why.OUT_OF_RANGE, text)
