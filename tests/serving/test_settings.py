import pytest

from gridhash.serving.settings import ControllerSettings


def test_waits_double_up_to_their_longest() -> None:
    settings = ControllerSettings(probe_s=30.0, probe_max_s=900.0, unreachable_after=3)
    assert [settings.probe_after_s(n) for n in (3, 4, 5, 8, 9999)] == [30, 60, 120, 900, 900]
    assert [settings.retry_after_s(n) for n in (1, 2, 3, 9999)] == [0, 30, 60, 600]


@pytest.mark.parametrize("field", ["check_s", "flag_after", "start_packet_rigs"])
def test_settings_that_are_not_positive_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        ControllerSettings(**{field: 0})
