"""One loop of supervised learning for all that an actor is fitted to."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch

Loss = Callable[[torch.Tensor], tuple[torch.Tensor, float]]
"""Of the sample's rows `which`, (n,): the loss to descend, and a figure to report."""


class FitSettings(Protocol):
    """What `ImitationSettings` and `ImprovementSettings` share."""

    @property
    def batch_size(self) -> int:
        """Rows per step."""
        ...

    @property
    def learning_rate(self) -> float:
        """At its highest."""
        ...

    @property
    def weight_decay(self) -> float:
        """As `torch.optim.AdamW` takes it."""
        ...


def fit(
    parameters: Sequence[torch.nn.Parameter],
    n: int,
    loss_of: Loss,
    settings: FitSettings,
    *,
    n_epochs: int,
    seed: int,
) -> Iterator[float]:
    """Fit parameters to a sample of n rows; yield the mean of the figure after each epoch."""
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    n_batches = max(1, n // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        total_steps=max(1, n_epochs * n_batches),
        pct_start=0.15,
    )
    shuffle = torch.Generator().manual_seed(seed)
    for _ in range(n_epochs):
        order = torch.randperm(n, generator=shuffle)
        told = 0.0
        for k in range(n_batches):
            loss, figure = loss_of(order[k * settings.batch_size : (k + 1) * settings.batch_size])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            told += figure / n_batches
        yield told
