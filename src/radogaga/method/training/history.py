"""The training curve."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class History:
    """Means of the terms in nats, each over the training steps since the entry before.

    Attributes
    ----------
    step : list of int
        The last step of each entry.
    rate, reconstruction, isometry : list of float
        Means of the terms.
    """

    step: list[int] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    reconstruction: list[float] = field(default_factory=list)
    isometry: list[float] = field(default_factory=list)

    def append(self, step: int, means: Tensor) -> None:
        """Add an entry of means, in the order of `Terms`."""
        self.step.append(step)
        for values, mean in zip((self.rate, self.reconstruction, self.isometry), means.tolist(), strict=True):
            values.append(mean)
