import math
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given

from gridhash.config import load_site
from gridhash.errors import ConfigError
from gridhash.serving.drivers.protocol import Command
from gridhash.serving.operation import load_operation
from gridhash.serving.pace import Pace
from gridhash.serving.settings import ControllerSettings
from tests.serving.bench import RIG_KW, START, Build


@given(
    st.lists(st.tuples(st.floats(0.1, 20.0), st.floats(0.0, 60.0)), min_size=2, max_size=60),
    st.floats(1.0, 600.0),
    st.integers(1, 12),
)
def test_the_mean_from_any_packet_to_the_next_keeps_ramp_and_packet(
    asked: list[tuple[float, float]], ramp_kw_per_min: float, packet_rigs: int
) -> None:
    pace = Pace(packet_rigs=packet_rigs, pause_s=5.0, ramp_kw_per_min=ramp_kw_per_min)
    now, n_rigs, packet_kw = START, 0, 0.0
    packets = []
    for rig_kw, gap_s in asked:
        if n_rigs and (gap_s > 5.0 or not pace.fits(n_rigs, packet_kw, rig_kw)):
            packets.append((now, n_rigs, packet_kw))
            now = pace.sent(packet_kw, now) + timedelta(seconds=gap_s)
            n_rigs, packet_kw = 0, 0.0
        n_rigs, packet_kw = n_rigs + 1, packet_kw + rig_kw
    for (at, n, kw), (later, _, _) in pairwise(packets):
        gone_s = (later - at).total_seconds()
        assert n <= packet_rigs
        assert gone_s >= 5.0
        assert kw <= ramp_kw_per_min / 60.0 * gone_s + 1e-5


def test_without_a_ramp_only_pause_and_number_count() -> None:
    pace = Pace(packet_rigs=2, pause_s=5.0, ramp_kw_per_min=math.inf)
    assert pace.fits(1, 1e6, 1e6)
    assert not pace.fits(2, 0.0, 1.0)
    assert pace.sent(1e9, START) == START + timedelta(seconds=5.0)
    assert pace.waits(START + timedelta(seconds=4.9))
    assert not pace.waits(START + timedelta(seconds=5.0))


def test_rigs_rise_and_fall_by_their_own_ramps(bench_of: Build) -> None:
    settings = ControllerSettings(
        ramp_up_kw_per_min=240.0, ramp_down_kw_per_min=60.0, settled_supervision_s=60.0
    )
    bench = bench_of((0.0, 1.0), (0.5, 0.0), (1.5, 1.0), settings=settings)
    bench.play(1.6)
    per_packet = {Command.RESUME: 2, Command.STOP: 1}
    least_s = {Command.RESUME: 5.0, Command.STOP: RIG_KW}
    for command, n_rigs in per_packet.items():
        at = pd.Series(
            [at for rig in bench.rigs.values() for at, own in rig.commands if own is command]
        )
        assert len(at) == 8
        assert at.value_counts().max() == n_rigs
        gaps = at.drop_duplicates().sort_values().diff().dropna()
        assert gaps.min() >= timedelta(seconds=least_s[command])


def test_stops_by_a_limit_keep_no_ramp(bench_of: Build) -> None:
    settings = ControllerSettings(ramp_down_kw_per_min=60.0, settled_supervision_s=60.0)
    bench = bench_of((0.0, 1.0), settings=settings)
    bench.play(0.6, (0.52, lambda: setattr(bench.rigs["loop_a-2"], "chip_temp_c", 86.0)))
    stops = {at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.STOP}
    assert len(stops) == 1
    assert bench.n_running() == 4


def test_packets_and_ramps_are_set_in_the_operation_file(tmp_path: Path) -> None:
    path = tmp_path / "operation.toml"
    path.write_text("[pace]\npacket_rigs = 4\npause_s = 8.0\nramp_down_kw_per_min = 600.0\n")
    settings = load_operation(path, load_site("japan_pilot"), {}).to_settings()
    assert settings.start_packet_rigs == 4
    assert settings.start_packet_pause_s == 8.0
    assert settings.ramp_down_kw_per_min == 600.0
    assert math.isinf(settings.ramp_up_kw_per_min)
    path.write_text("[pace]\nramp_up_kw_per_min = 0.0\n")
    with pytest.raises(ConfigError, match="ramp_up_kw_per_min"):
        load_operation(path, load_site("japan_pilot"), {})
