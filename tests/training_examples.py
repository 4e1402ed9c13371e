"""Objectives and models that the tests of training train."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from radogaga import (
    EstimatedMixture,
    Factorized,
    Mixture,
    Normal,
    Terms,
)

Train = Callable[..., object]
PRIORS = {
    "normal": lambda: Normal(2),
    "mixture": lambda: Mixture(2, 2),
    "estimated mixture": lambda: EstimatedMixture(2, 2),
    "factorized": lambda: Factorized(2),
}
MIXTURES = {name: PRIORS[name] for name in ("mixture", "estimated mixture")}
SCHEDULES = ["constant", "cosine", "one-cycle"]
each_prior = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
each_mixture = pytest.mark.parametrize("prior", MIXTURES.values(), ids=MIXTURES)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
each_device = pytest.mark.parametrize("device", DEVICES)
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES)


class Line(nn.Module):
    """An objective of one's own: least squares, and a record of the rows that it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> Terms:
        self.seen += x[:, 0].tolist()
        nothing = torch.zeros(len(x))
        return Terms(nothing, (self.slope * x[:, 0] - x[:, 1]).square(), nothing)


class Interrupted(Exception):  # noqa: N818
    pass


class InterruptAfter:
    """A progress bar that raises at its n-th call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, steps: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def assert_same_bits(one: nn.Module, other: nn.Module) -> None:
    expected = other.state_dict()
    assert one.state_dict().keys() == expected.keys()
    assert [name for name, value in one.state_dict().items() if not torch.equal(value, expected[name])] == []


def made(make_model, prior: Callable[[], nn.Module]) -> nn.Module:
    """The same untrained model each time, its prior included."""
    torch.manual_seed(5)
    return make_model(prior())
