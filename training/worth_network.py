"""The network that takes over what boosted trees found, so that a bundle can hold it.

Trees say on what is known of prices what going on and starting are worth; the network says for
each group how much running is better than standing, of its rigs as they are. Its answer is asked
at many hashprices, so that there is enough to learn the trees' edges from, and what counts is
where it crosses zero.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch

from gridhash.agents.policy import ObservationReader
from gridhash.envs.parameters import Floats32, Ints
from gridhash.envs.scenario import Scenario
from gridhash.training.boosted_worths import (
    GO_ON,
    START,
    BoostedWorths,
    Tell,
    at_hashprice,
    known_features,
)
from gridhash.training.fitting import fit
from gridhash.training.network import NORMALISED_CLIP, Weights, normalisation
from gridhash.training.spans import Rows
from gridhash.training.worth_settings import WorthSettings

STARTING_SCALE = 0.5
"""Of shares of running rigs, which are nearly always 0 or 1."""


def shown_columns(reader: ObservationReader) -> Ints:
    """Return the columns of the observation that the network looks at, beside running rigs."""
    first = reader.column("price_ratio_000")
    past = [
        reader.column(f"price_{what}_{hours:g}h")
        for hours in reader.site.observation.price_history_h
        for what in ("mean", "high")
    ]
    named = [reader.column(name) for name in ("hour_sin", "hour_cos", "outdoor_temp_c")]
    return np.array([*range(first, first + reader.n_prices), *past, *named])


def fitted_network(
    scenario: Scenario,
    rows: Rows,
    teachers: Mapping[int, BoostedWorths],
    settings: WorthSettings,
    *,
    seed: int,
    tell: Tell,
) -> tuple[Weights, list[float]]:
    """Fit a network of levels to what trees say of each group.

    Parameters
    ----------
    teachers
        Of each group, by its number.
    tell
        Called with (epochs done, epochs in all).

    Returns
    -------
    weights
        Arrays of `gridhash.agents.level_policy.LevelPolicy`, for rigs of one level.
    agreement
        Share of moments and groups in which it did what the trees would, of each epoch.
    """
    shown, runs, worth = _asked(scenario, rows, teachers, settings, seed)
    center, scale = normalisation(shown)
    told = np.concatenate([(shown - center) / scale, (runs - 0.5) / STARTING_SCALE], axis=1)
    seen = torch.as_tensor(told).clamp(-NORMALISED_CLIP, NORMALISED_CLIP)
    wanted = torch.as_tensor(np.tanh(worth))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = [seen.shape[1], *settings.hidden, wanted.shape[1]]
        layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]

    def loss_of(which: torch.Tensor) -> tuple[torch.Tensor, float]:
        x = seen[which]
        for layer in layers[:-1]:
            x = torch.relu(layer(x))
        said = torch.tanh(layers[-1](x))
        same = (said.detach() > 0.0) == (wanted[which] > 0.0)
        return (said - wanted[which]).square().mean(), float(same.float().mean())

    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    agreement = []
    for share in fit(
        parameters, len(seen), loss_of, settings, n_epochs=settings.n_epochs, seed=seed
    ):
        agreement.append(share)
        tell(len(agreement), settings.n_epochs)
    return _weights(scenario, layers, center, scale), agreement


def _asked(
    scenario: Scenario,
    rows: Rows,
    teachers: Mapping[int, BoostedWorths],
    settings: WorthSettings,
    seed: int,
) -> tuple[Floats32, Floats32, Floats32]:
    """Return moments at all hashprices, (N, C), who runs then, and what trees say, (N, G)."""
    reader, rng = ObservationReader(scenario.site), np.random.default_rng([seed, 9])
    columns, n_groups = shown_columns(reader), scenario.n_groups
    shown, runs, worth = [], [], []
    for factor in settings.network_factors:
        seen = at_hashprice(scenario, factor).rows[slice(*rows)]
        if len(seen) > settings.n_samples:
            seen = seen[np.sort(rng.choice(len(seen), settings.n_samples, replace=False))]
        together = np.tile(rng.random((len(seen), 1)) < 0.5, n_groups)
        apart = rng.random((len(seen), n_groups)) < 0.5
        running = np.where(rng.random((len(seen), 1)) < 0.5, together, apart)
        features = known_features(reader, seen)
        by_teacher = {id(one): one.of(features) for one in teachers.values()}
        of_group = [by_teacher[id(teachers[g])] for g in range(n_groups)]
        shown.append(seen[:, columns])
        runs.append(running)
        worth.append(
            np.column_stack(
                [np.where(running[:, g], own[GO_ON], own[START]) for g, own in enumerate(of_group)]
            )
        )
    return (
        np.concatenate(shown).astype(np.float32),
        np.concatenate(runs).astype(np.float32),
        np.concatenate(worth).astype(np.float32),
    )


def _weights(
    scenario: Scenario, layers: list[torch.nn.Linear], center: Floats32, scale: Floats32
) -> Weights:
    """Return layers on some columns as those of a policy that sees the whole observation."""
    reader = ObservationReader(scenario.site)
    columns = np.concatenate([shown_columns(reader), reader.group_columns("running_frac")])
    n_groups = scenario.n_groups
    arrays = [
        (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
        for layer in layers
    ]
    first = np.zeros((len(arrays[0][0]), reader.n_features), dtype=np.float32)
    first[:, columns] = arrays[0][0]
    whole_center = np.zeros(reader.n_features, dtype=np.float32)
    whole_scale = np.ones(reader.n_features, dtype=np.float32)
    whole_center[columns] = [*center, *[0.5] * n_groups]
    whole_scale[columns] = [*scale, *[STARTING_SCALE] * n_groups]
    # Off is zero for each group; its one level is what running is worth beyond that.
    output = np.zeros((2 * n_groups, arrays[-1][0].shape[1]), dtype=np.float32)
    bias = np.zeros(2 * n_groups, dtype=np.float32)
    output[1::2], bias[1::2] = arrays[-1]
    weights = {"normalise.center": whole_center, "normalise.scale": whole_scale}
    hidden = [(first, arrays[0][1]), *arrays[1:-1]]
    for k, (weight, shift) in enumerate(hidden):
        weights[f"layer.{k}.weight"], weights[f"layer.{k}.bias"] = weight, shift
    return weights | {"output.weight": output, "output.bias": bias}
