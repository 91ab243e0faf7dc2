"""How cold a chip can be at most, interval by interval: what bounds rigs whose power follows it.

Chips x and loop y of a group obey dx/dt = a (y - x) + heat and dy/dt = b (x - y) + c (sink - y),
where fans choose c between a least and a greatest value and heat is never negative
(`gridhash.envs.thermal`). The system is cooperative: a solution that starts no warmer, without
heat, under the c that cools most, stays no warmer (Kamke). While both are above the sink the
greatest c cools most, while both are below it the least one warms least; both keep their side, so
each interval is solved exactly. Where the sink lies between them, they fall to the lowest of the
three, which nothing falls below.
"""

from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats
from gridhash.envs.thermal import loop_decay


@njit
def coldest_chips(
    sink_c: Floats,
    least_kw_per_k: Floats,
    most_kw_per_k: Floats,
    n_rigs: float,
    chip_to_coolant_k_per_kw: float,
    rig_heat_capacity_kj_per_k: float,
    loop_heat_capacity_kj_per_k: float,
    interval_s: float,
    start_c: float,
    open_until: int,
    newest_start_c: float,
    coldest_c: Floats,
    coldest_loop_c: Floats,
) -> None:
    """Write the least temperature of chip and loop at the start of each interval, (T,) [°C].

    Chips and loop begin at `start_c`; until interval `open_until` a play may begin anew with both
    at `newest_start_c`. Heat rejections, (T,) each, lie between the least and the most.
    """
    chip_c = start_c
    loop_c = start_c
    for t in range(sink_c.shape[0]):
        if t <= open_until:
            chip_c = min(chip_c, newest_start_c)
            loop_c = min(loop_c, newest_start_c)
        coldest_c[t] = chip_c
        coldest_loop_c[t] = loop_c
        x, y = chip_c - sink_c[t], loop_c - sink_c[t]
        cools = x >= 0.0 and y >= 0.0
        rejection = most_kw_per_k[t] if cools else least_kw_per_k[t]
        if (cools or (x <= 0.0 and y <= 0.0)) and rejection > 0.0:
            decay = loop_decay(
                n_rigs,
                rejection,
                chip_to_coolant_k_per_kw,
                rig_heat_capacity_kj_per_k,
                loop_heat_capacity_kj_per_k,
                interval_s,
            )
            chip_c = sink_c[t] + (decay[0] * x + decay[1] * y)
            loop_c = sink_c[t] + (decay[2] * x + decay[3] * y)
        else:
            chip_c = min(chip_c, loop_c, sink_c[t]) if x * y < 0.0 else min(chip_c, loop_c)
            loop_c = chip_c
