"""Early stopping: the parameters with the least held-out loss are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from radogaga._utils.random import isolated_seed
from radogaga.method.training import distributed
from radogaga.method.training.data import Dataset, map_rows


@dataclass
class EarlyStopping:
    """Keeps the parameters with the least loss on held-out rows; without such rows it does nothing.

    Attributes
    ----------
    objective : torch.nn.Module
        What is trained.
    rows : Dataset or None
        Held-out raw rows, ``(n, M)`` or ``(n, C, H, W)``.
    device : torch.device
        The device of the objective.
    patience : int
        Evaluations without improvement before training stops.
    best_loss : float
        The least loss so far.
    evaluations_since_best : int
        Evaluations since then.
    best_state : dict of str to Tensor
        The parameters then.
    """

    objective: nn.Module
    rows: Dataset | None
    device: torch.device
    patience: int
    best_loss: float = math.inf
    evaluations_since_best: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def should_stop(self) -> bool:
        """Whether `patience` evaluations have brought no improvement."""
        return self.rows is not None and self.evaluations_since_best >= self.patience

    @torch.no_grad()
    def update(self) -> None:
        """Evaluate the loss on the rows, under the same noise each time, and keep the parameters if it is the least."""
        if self.rows is None:
            return
        with isolated_seed(0, self.device):
            try:
                loss = float(map_rows(lambda rows: self.objective(rows).total, self.rows, self.device).mean())
            except FloatingPointError:
                loss = math.inf
        loss = distributed.of_main(loss, self.device)  # or rounding might stop one worker and not another
        self.evaluations_since_best += 1
        if loss < self.best_loss:
            self.best_loss, self.evaluations_since_best = loss, 0
            self.best_state = {name: value.clone() for name, value in self.objective.state_dict().items()}

    def restore(self) -> None:
        """Set the objective's parameters to those of the least loss."""
        if self.rows is not None and self.best_state:
            self.objective.load_state_dict(self.best_state)
