"""Clone, improve by plays, warm the critic, PPO or SAC: one run, resumed exactly at every step."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from gridhash.agents.policy import Policy
from gridhash.agents.rule_registry import parameters_of
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import table_hash
from gridhash.envs.scenario import Scenario
from gridhash.errors import TrainingError
from gridhash.training import checkpoint
from gridhash.training.config import TrainingConfig
from gridhash.training.gains import gains
from gridhash.training.imitation import MIN_START_HOURS, clone, draw_decisions
from gridhash.training.improvement import candidate_actions, improve, usual_rounds
from gridhash.training.learner_state import LearnerState
from gridhash.training.level_improvement import improve_levels
from gridhash.training.network import (
    actor_weights,
    load_actor,
    normalisation,
    silence,
)
from gridhash.training.oracle import Oracle, clairvoyant_oracle, joined, look_back, standing
from gridhash.training.phase import PhaseInputs
from gridhash.training.planner_rounds import compare_to_planner
from gridhash.training.play import play
from gridhash.training.power_clone import clone_power
from gridhash.training.ppo_phase import PpoPhase
from gridhash.training.progress import Progress, TrainingRecord
from gridhash.training.rollouts import Comparison, compare_actions
from gridhash.training.runtime import LearnedPolicy
from gridhash.training.sac_phase import SacPhase
from gridhash.training.settled_days import settled_daily_profit
from gridhash.training.spans import Spans, ending_before
from gridhash.units import SECONDS_PER_HOUR

log = logging.getLogger(__name__)

KL_SAMPLE = 4096
ROUNDS = ("oracle", "planner", "improve")
"""Phases that fit the actor to comparisons."""


class Learner:
    """Trains one policy on one scenario; keeps the best on validation, never the last."""

    def __init__(
        self,
        scenario: Scenario,
        spans: Spans,
        config: TrainingConfig,
        folder: Path,
        *,
        variants: Sequence[Scenario] = (),
        rule: Policy | None = None,
    ) -> None:
        """Build network and environment; the folder receives checkpoint and TensorBoard files.

        What is learned from ends with the training span, what chooses with the validation span.
        `variants` are other worlds to improve in, whose data end with the training span
        (`gridhash.training.opened.Opened.variants`). `rule` is
        where learning begins (`TrainingConfig.begin_at`).
        """
        torch.set_num_threads(config.torch_threads)
        if scenario.params.n_levels.max() > 1:
            settings = config.imitation
            settings = settings.model_copy(update={"shadow_penalty": settings.level_shadow_penalty})
            config = config.model_copy(update={"imitation": settings})
        if (config.begin_at == "best_rule") != (rule is not None):
            raise TrainingError('a rule to begin at goes with begin_at = "best_rule" alone')
        self.teacher = rule
        self.rule = rule if config.action != "levels" else None
        if self.rule is not None:
            by = "power" if self.rule.action_kind is ActionKind.POWER else "shadow_price"
            config = config.model_copy(update={"action": by})
        taught = ending_before(scenario, spans.train[1])
        self.scenario = scenario = ending_before(scenario, spans.validate[1])
        self.worlds = (taught, *variants)
        self._oracle: Oracle | None = None
        self.spans = spans
        self.config = config
        self.folder = folder
        self.state = LearnerState()
        self.key = {
            "settings": config.model_dump_json(),
            "site": scenario.site.model_dump_json(),
            "observation table": table_hash(scenario.site),
            "spans": repr(spans),
            "prices": hashlib.sha256(scenario.market.tobytes()).hexdigest(),
            "rule": "" if rule is None else f"{rule.name} {parameters_of(rule)}",
            "variants": " ".join(
                hashlib.sha256(variant.market.tobytes()).hexdigest()[:16] for variant in variants
            ),
        }
        self.decisions = draw_decisions(
            taught,
            spans.train,
            config.imitation,
            np.random.default_rng([config.seed, 1]),
            variants=variants,
        )
        center, scale = normalisation(self.decisions.observation)
        hours = max(self.decisions.start_hours, MIN_START_HOURS)
        inputs = PhaseInputs(
            scenario=taught,
            rows=spans.train,
            config=config,
            center=center,
            scale=scale,
            exploration_sd=config.fine_tuning.power_exploration
            if config.action == "power"
            else config.fine_tuning.exploration_per_start * hours,
            folder=folder,
            rule=self.rule,
        )
        self.kind = inputs.kind
        self.phase = SacPhase(inputs) if config.algorithm == "sac" else PpoPhase(inputs)
        self.model = self.phase.model

    def run(self, progress: Progress, *, resume: bool = False) -> LearnedPolicy:
        """Train from the start, or from the last checkpoint, to the end; return the best policy.

        Raises
        ------
        TrainingError
            If `resume` is set and the folder holds no checkpoint of this very run.
        """
        if resume:
            self._restore()
        else:
            self._save()
        state = self.state
        if not state.best_weights:
            for record in self._clone(progress):
                self._log(record)
            self._validate("clone" if self.rule is None else "begin", progress)
            self._save()
        while state.round < self.n_rounds:
            self._improve(progress)
            self._save()
        if not state.clone_weights:
            state.clone_weights = state.best_weights
            load_actor(self.model.policy, state.best_weights)
        while (
            not self.state.finished and self.state.iteration < self.config.fine_tuning.n_iterations
        ):
            self._iterate(progress)
            self._save()
        return self.best_policy()

    def _clone(self, progress: Progress) -> Iterator[TrainingRecord]:
        """Fit the actor to a plan: to its decisions by shadow price, else to what it draws.

        Without epochs it begins at the level rule, which shadow price zero is; what is added to a
        rule begins at nothing.
        """
        policy, config = self.model.policy, self.config
        if self.rule is not None:
            silence(policy)
            return iter(())
        if self.kind is ActionKind.SHADOW_PRICE:
            if not config.imitation.n_epochs:
                silence(policy)
            return clone(policy, self.decisions, config, progress)
        return clone_power(
            policy,
            self.kind,
            self.worlds[0],
            self.spans.train,
            config.imitation,
            progress,
            seed=config.seed,
            teacher=self.teacher,
        )

    @property
    def n_rounds(self) -> int:
        """Rounds that fit the actor to comparisons: with the oracle, the planner, then by plays."""
        wanted = self.config.improvement.n_rounds
        if wanted is None:
            wanted = usual_rounds(self.scenario.site)
        return self.config.imitation.n_rounds + wanted

    def _improve(self, progress: Progress) -> None:
        """Compare actions where the present policy goes, and fit the actor to all that is kept."""
        settings, state = self.config.improvement, self.state
        policy = self.phase.runtime(actor_weights(self.model.policy))
        phase, told = self._round_phase(state.round), dict[str, float]()
        if state.round and phase != self._round_phase(state.round - 1):
            state.comparisons = []  # each asks another: what the oracle knows no policy can
        if phase == "oracle":
            comparison, told = self._compare_to_oracle(policy)
            state.comparisons.append(comparison)
        elif phase == "planner":
            comparison, told = self._compare_to_planner(policy, progress)
            state.comparisons.append(comparison)
        else:
            state.comparisons += self._compare_by_plays(policy)
        del state.comparisons[: -settings.kept_rounds * settings.worlds_per_round]
        seed = self.config.seed + state.round
        if self.kind is ActionKind.LEVELS:
            site = self.scenario.site
            fitted = improve_levels(self.model.policy, state.comparisons, settings, site, seed=seed)
        else:
            fitted = improve(
                self.model.policy,
                state.comparisons,
                settings,
                low=self.kind.low,
                seed=seed,
                rule=self.rule,
            )
        *_, last = fitted
        state.round += 1
        self._log(TrainingRecord(phase=phase, step=state.round, values=last.values | told))
        if state.round == self.n_rounds:
            state.comparisons = []
        self._validate(phase, progress)

    def _round_phase(self, number: int) -> str:
        """Return whom a round asks: the clairvoyant, the rolling planner, or plays."""
        settings = self.config.imitation
        if number < settings.n_oracle_rounds:
            return "oracle"
        return "planner" if number < settings.n_rounds else "improve"

    def _known_oracle(self) -> Oracle:
        if self._oracle is None:
            self._oracle = clairvoyant_oracle(
                self.worlds[0],
                self.spans.train,
                n_weeks=self.config.imitation.oracle_weeks,
                rng=np.random.default_rng([self.config.seed, 3]),
            )
        return self._oracle

    def _compare_to_oracle(self, policy: LearnedPolicy) -> tuple[Comparison, dict[str, float]]:
        actions = candidate_actions(policy.action_kind, self.scenario.params)
        seen = look_back(
            self._known_oracle(),
            policy,
            actions=actions,
            n_states=self.config.improvement.n_states,
            rng=np.random.default_rng([self.config.seed, 4, self.state.round]),
        )
        return joined([one.comparison(one.worth, actions) for one in seen]), standing(seen)

    def _compare_to_planner(
        self, policy: LearnedPolicy, progress: Progress
    ) -> tuple[Comparison, dict[str, float]]:
        return compare_to_planner(
            self._known_oracle(),
            policy,
            rows=self.spans.train,
            actions=candidate_actions(policy.action_kind, self.scenario.params),
            n_states=self.config.imitation.n_planner_states,
            rng=np.random.default_rng([self.config.seed, 6, self.state.round]),
            tell=lambda done, total: progress("ask", done, total, None),
        )

    def _compare_by_plays(self, policy: LearnedPolicy) -> list[Comparison]:
        settings, number = self.config.improvement, self.state.round
        horizon_steps = round(
            settings.horizon_h * SECONDS_PER_HOUR / self.scenario.site.dispatch_interval_s
        )
        worlds = self._worlds_of(number)
        return [
            compare_actions(
                world,
                self.spans.train,
                policy,
                actions=candidate_actions(policy.action_kind, self.scenario.params),
                n_states=-(-settings.n_states // len(worlds)),
                horizon_steps=max(1, horizon_steps),
                rng=np.random.default_rng([self.config.seed, 2, number, k]),
                astray=self.teacher is None,
            )
            for k, world in enumerate(worlds)
        ]

    def _worlds_of(self, number: int) -> list[Scenario]:
        """Return the scenario and, in turns, some of its variants."""
        taught, *variants = self.worlds
        n_others = min(self.config.improvement.worlds_per_round - 1, len(variants))
        first = number * n_others
        return [taught, *(variants[(first + k) % len(variants)] for k in range(n_others))]

    def _iterate(self, progress: Progress) -> None:
        """Collect one roll-out and learn from it, with the actor frozen while the critic warms."""
        settings, state = self.config.fine_tuning, self.state
        warming = state.iteration < settings.n_critic_iterations
        self.phase.learn(warming=warming)
        state.iteration += 1
        phase = "critic" if warming else self.config.algorithm
        kl = 0.0 if warming else self.kl_to_clone()
        if kl > settings.max_kl_to_clone:
            log.info("Stopped: the policy moved too far from the clone", extra={"kl": kl})
            state.finished = True
        last = state.iteration == settings.n_iterations or state.finished
        if not warming and (state.iteration % self.config.validate_every == 0 or last):
            self._validate(phase, progress, kl=kl)
        else:
            progress(phase, *self._standing(phase), None)

    def _standing(self, phase: str) -> tuple[int, int]:
        """Return how many steps of a phase are done, and how many it has."""
        settings, done = self.config.fine_tuning, self.state.iteration
        n_critic = min(settings.n_critic_iterations, settings.n_iterations)
        if phase in ROUNDS:
            return self.state.round, self.n_rounds
        if phase == "begin":
            return 1, 1
        if phase == "clone":
            n_epochs = self.config.imitation.n_epochs or 1
            return n_epochs, n_epochs
        if phase == "critic":
            return done, n_critic
        return done - n_critic, settings.n_iterations - n_critic

    def kl_to_clone(self) -> float:
        """Return the mean KL divergence from the policy's action to the clone's [nat]."""
        return self.phase.kl_to(self.state.clone_weights, self.decisions.observation[:KL_SAMPLE])

    def _validate(self, phase: str, progress: Progress, *, kl: float = 0.0) -> None:
        state, weights = self.state, actor_weights(self.model.policy)
        run = play(self.scenario, self.phase.runtime(weights), self.spans.validate)
        days = settled_daily_profit(run, self.scenario.site.timezone).to_numpy(dtype=np.float64)
        profit = run.profit
        if not state.start_weights:
            state.start_weights, state.start_days = weights, days
        if profit > state.best_validation:
            state.best_validation = profit
            state.best_weights, state.best_days = weights, days
        values = {"validation_profit": profit, "kl_to_clone": kl}
        step = self.state.round if phase in ROUNDS else self.state.iteration
        self._log(TrainingRecord(phase=phase, step=step, values=values))
        progress(phase, *self._standing(phase), profit)

    def _log(self, record: TrainingRecord) -> None:
        self.state.records.append(record)
        for name, value in record.values.items():
            self.model.logger.record(f"{record.phase}/{name}", value)
        self.model.logger.dump(record.step)

    def _save(self) -> None:
        values = {
            **self.phase.values(),
            "torch_rng": torch.get_rng_state(),
            "numpy_rng": np.random.get_state(),
            "learner": vars(self.state),
        }
        checkpoint.save(self.folder, self.key, values)

    def _restore(self) -> None:
        values = checkpoint.load(self.folder, self.key)
        self.phase.restore(values)
        torch.set_rng_state(values["torch_rng"])
        np.random.set_state(values["numpy_rng"])
        self.state = LearnerState(**values["learner"])

    def best_policy(self) -> LearnedPolicy:
        """Return the policy that earned most on the validation span.

        One that began at a tuned rule stays there unless it gained more than one standard error:
        the best of many tries gains something by luck alone.
        """
        state = self.state
        return self.phase.runtime(state.best_weights if self.improved else state.start_weights)

    @property
    def improved(self) -> bool:
        """Whether the policy is to be another than where learning began."""
        return self.teacher is None or gains(self.state.best_days, self.state.start_days)

    @property
    def kept_validation(self) -> float:
        """Profit of `best_policy` on the validation span [currency]."""
        return self.state.best_validation if self.improved else float(self.state.start_days.sum())
