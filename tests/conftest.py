"""Shared fixtures: a seed for every test, rows to learn from, small models, the authors' file."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from radogaga import (
    Autoencoder,
    GaussianNoise,
    Normal,
    RateDistortion,
    ResidualMLP,
    Scaling,
    SquaredError,
    initialize_pca,
)

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def rows() -> Tensor:
    """300 rows of 4 correlated features, away from the origin and in unequal units."""
    return torch.randn(300, 4) @ torch.randn(4, 4) * torch.tensor([1.0, 2.0, 0.5, 5.0]) + 3


@pytest.fixture
def make_model(rows: Tensor) -> Callable[..., RateDistortion]:
    """A small curved model of the rows; `curve` moves it off its linear start, the same way each time."""

    def make(prior: nn.Module | None = None, *, latents: int = 2, curve: float = 0.0, **options) -> RateDistortion:
        torch.manual_seed(1)
        networks = ResidualMLP(4, latents, [8]), ResidualMLP(latents, 4, [8])
        autoencoder = Autoencoder(*networks, latents=latents, scaling=Scaling.root_mean_square(rows))
        initialize_pca(autoencoder, rows)
        with torch.no_grad():
            for parameter in (p for network in networks for p in network.correction.parameters()):
                parameter.add_(curve * torch.randn_like(parameter))
        noise = options.pop("noise", GaussianNoise(std=0.1))
        return RateDistortion(autoencoder, prior or Normal(latents), SquaredError(), noise, **options)

    return make


@pytest.fixture
def toy_file() -> Path:
    """The authors' toy.csv, where there is one."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("RADOGAGA_DATA") or beside) / "toy" / "toy.csv"
    if not path.is_file():
        pytest.skip(f"the authors' toy data is not at {path}; set RADOGAGA_DATA to the folder that holds toy/toy.csv")
    return path


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def program(monkeypatch, capsys):
    """Run the program as its console script does, in this process: importing torch anew takes seconds."""

    from radogaga.cli import main as cli  # tests that do not need it start without it

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["radogaga", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Result(ended.value.code or 0, captured.out, captured.err)

    return run
