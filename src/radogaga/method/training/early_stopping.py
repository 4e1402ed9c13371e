"""Early stopping: the parameters with the smallest held-out loss are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from radogaga._utils.random import isolated_seed
from radogaga.method.training.data import Dataset, map_rows


@dataclass
class EarlyStopping:
    """The parameters that had the least loss on rows that are not trained on; without such rows it does nothing.

    Attributes
    ----------
    objective : torch.nn.Module
        What is trained.
    rows : Rows or None
        Raw rows, ``(n, M)`` or ``(n, C, H, W)``, to stop by.
    device : torch.device
        Where the objective is.
    patience : int
        How many looks may be in vain.
    loss, vain, state
        The least loss so far, the looks since then, and the parameters then.
    """

    objective: nn.Module
    rows: Dataset | None
    device: torch.device
    patience: int
    loss: float = math.inf
    evaluations_since_best: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    @property
    def should_stop(self) -> bool:
        """Whether as many looks as `patience` allows were in vain."""
        return self.rows is not None and self.evaluations_since_best >= self.patience

    @torch.no_grad()
    def update(self) -> None:
        """Take the loss on the rows, under the same noise each time, and keep the parameters if it is the least."""
        if self.rows is None:
            return
        with isolated_seed(0, self.device):
            try:
                loss = float(map_rows(lambda rows: self.objective(rows).total, self.rows, self.device).mean())
            except FloatingPointError:
                loss = math.inf
        self.evaluations_since_best += 1
        if loss < self.loss:
            self.loss, self.evaluations_since_best = loss, 0
            self.state = {name: value.clone() for name, value in self.objective.state_dict().items()}

    def restore(self) -> None:
        """Give the parameters with the least loss back to the objective."""
        if self.rows is not None and self.state:
            self.objective.load_state_dict(self.state)

