"""One way from what a user names to a scenario and the spans that teach, choose and judge."""

from dataclasses import dataclass
from pathlib import Path

from gridhash.config_scenario import ScenarioConfig, load_scenario_config
from gridhash.data.processes.common import LABEL
from gridhash.envs.named_scenario import open_named_scenario, randomised, row_spans
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.training.spans import Spans, ending_before, spans_by_date

Named = str | Path | ScenarioConfig | ScenarioRequest
"""Name or file of a scenario, what was read from it, or a site and prices."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A scenario to train on and to be judged on. Made by `open_for_training`."""

    scenario: Scenario
    """All of the data, the held-out span included; see `seen_in_training`."""
    spans: Spans
    config: ScenarioConfig | None
    """Of a named scenario: processes, randomisation, episode; None for a site and prices."""

    @property
    def name(self) -> str:
        """Name of the scenario, else of the site."""
        return self.config.name if self.config is not None else self.scenario.site.name

    @property
    def taught(self) -> Scenario:
        """The scenario as if its data ended with the training span."""
        return ending_before(self.scenario, self.spans.train[1])

    @property
    def seen_in_training(self) -> Scenario:
        """The scenario as if its data ended with the validation span: the test is not there."""
        return ending_before(self.scenario, self.spans.validate[1])

    @property
    def synthetic(self) -> tuple[str, ...]:
        """What is drawn or derived for want of a real series, one line each, and by what."""
        notes = self.scenario.trace.notes
        return tuple(n.removeprefix(LABEL).strip() for n in notes if n.startswith(LABEL))

    def variants(self, n: int, seed: int, *, new_prices: bool = True) -> list[Scenario]:
        """Return variants by the scenario's `randomisation` whose data end with the training span.

        `spans.train` are their rows. Without randomisation, for a site and prices, they are all
        alike. Arguments as `gridhash.envs.named_scenario.randomised`.
        """
        if self.config is None:
            return [self.taught] * n
        drawn = randomised(self.config, n, seed, new_prices=new_prices)
        return [ending_before(variant, self.spans.train[1]) for variant in drawn]


def open_for_training(
    named: Named, *, validate_from: str | None = None, test_from: str | None = None
) -> Opened:
    """Return the scenario that a user names, with its spans.

    A named scenario has spans of its own; the data of a site and prices are cut at the dates that
    are given, else at 8/12 and 9/12.

    Raises
    ------
    ConfigError
        If there is no such scenario, site or prices, or dates are given for a named scenario.
    DataError
        If site and prices do not fit each other, or a span would be too short.
    """
    if isinstance(named, ScenarioRequest):
        scenario = open_scenario(named)
        spans = spans_by_date(scenario, validate_from=validate_from, test_from=test_from)
        return Opened(scenario=scenario, spans=spans, config=None)
    config = named if isinstance(named, ScenarioConfig) else load_scenario_config(named)
    if validate_from is not None or test_from is not None:
        raise ConfigError(
            f"the scenario {config.name} fixes its spans: leave out --validate-from and "
            f'--test-from, or write a scenario file with based_on = "{config.name}" and [spans] '
            "of its own"
        )
    scenario = open_named_scenario(config)
    return Opened(scenario=scenario, spans=row_spans(scenario, config.spans), config=config)
