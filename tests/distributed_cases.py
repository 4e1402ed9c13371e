"""Trainings that workers share, for the test that their number does not matter; each runs in processes of its own."""

import os
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, distributed, nn

from radogaga import (
    DAGMM,
    MLP,
    Autoencoder,
    BetaVAE,
    DecomposedBetaVAE,
    EstimatedMixture,
    Factorized,
    GaussianNoise,
    Mixture,
    Normal,
    PCADecoder,
    PCAEncoder,
    Pictures,
    RateDistortion,
    ResidualFeatures,
    ResidualMLP,
    Scaling,
    SquaredError,
    UniformNoise,
    fit,
)
from radogaga.method.training.data import ArrayDataset

STEPS = 12
State = dict[str, Tensor]


def rows(seed: int = 0) -> ArrayDataset:
    random = torch.Generator().manual_seed(seed)
    return ArrayDataset(
        torch.randn(100, 4, generator=random, dtype=torch.float64) @ torch.diag(torch.arange(1.0, 5)).double()
    )


def autoencoder(dropout: float = 0.0) -> Autoencoder:
    torch.manual_seed(1)
    networks = ResidualMLP(4, 2, [8], dropout=dropout), ResidualMLP(2, 4, [8], dropout=dropout)
    return Autoencoder(*networks, latents=2, scaling=Scaling.standard(rows().x.float()))


def train(objective: nn.Module, data: object = None, **options: object) -> State:
    """Return parameters, and the training curve, of an objective that is trained in float64."""
    options = {"steps": STEPS, "batch_size": 16, "log_every": 5, "learning_rate": 0.01} | options
    history = fit(objective.double(), rows() if data is None else data, **options)
    curve = torch.tensor([history.rate, history.reconstruction, history.isometry], dtype=torch.float64)
    return {**objective.state_dict(), "curve": curve}


def rate_distortion(
    prior: Callable[..., nn.Module] = Normal,
    *arguments: int,
    noise: object = None,
    dropout: float = 0.0,
    **options: object,
) -> RateDistortion:
    networks = autoencoder(dropout)  # seeds the prior, too
    return RateDistortion(networks, prior(2, *arguments), SquaredError(), noise or GaussianNoise(0.3), **options)


def dagmm() -> DAGMM:
    return DAGMM(autoencoder(), EstimatedMixture(4, 2, dropout=0.5), prior_features=ResidualFeatures())


def pictures() -> State:
    random = np.random.RandomState(0)
    data = Pictures(random.randint(0, 256, (40, 8, 8, 1)).astype(np.uint8), flip=True)
    torch.manual_seed(1)
    networks = (one(3, (1, 8, 8), 6, [8], dropout=0.3) for one in (PCAEncoder, PCADecoder))
    model = RateDistortion(Autoencoder(*networks, 3, Scaling(1)), Normal(3), SquaredError(), GaussianNoise(0.3))
    model.isometry_penalty = 4.0
    # Pictures are float32, so this is what they become before anything else.
    model.autoencoder.register_forward_pre_hook(lambda module, x: tuple(one.double() for one in x))
    return train(_InDouble(model), data, batch_size=8)


def beta_vae(kind: type[BetaVAE]) -> State:
    torch.manual_seed(1)
    return train(kind(MLP([4, 8, 4]), MLP([2, 8, 4]), SquaredError(), 5.0))


class _InDouble(nn.Module):
    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, x: Tensor) -> object:
        return self.objective(x.double())


CASES: dict[str, Callable[[Path], State]] = {
    "normal prior": lambda _: train(rate_distortion()),
    "mixture": lambda _: train(rate_distortion(Mixture, 3)),
    "factorized, uniform noise": lambda _: train(rate_distortion(Factorized, noise=UniformNoise(1.0))),
    "estimated mixture": lambda _: train(rate_distortion(EstimatedMixture, 2)),
    "DAGMM": lambda _: train(dagmm()),
    "beta-VAE": lambda _: beta_vae(BetaVAE),
    "decomposed beta-VAE": lambda _: beta_vae(DecomposedBetaVAE),
    "dropout and isometry penalty": lambda _: train(rate_distortion(dropout=0.3, isometry_penalty=4.0)),
    "batches that workers share unequally": lambda _: train(rate_distortion(), batch_size=15),
    "clipped gradients": lambda _: train(rate_distortion(), max_grad_norm=0.5),
    "early stopping": lambda _: train(rate_distortion(), held_out=rows(1), steps=60, patience=2),
    "mirrored pictures": lambda _: pictures(),
    "a checkpoint": lambda folder: train(rate_distortion(dropout=0.3), checkpoint=folder / "checkpoint"),
}


class Doomed(nn.Module):
    """An objective that kills a process, once, in some step of a worker: by default the worker's own."""

    def __init__(self, objective: nn.Module, mark: Path, worker: int, step: int, victim: int | None) -> None:
        super().__init__()
        self.objective, self.mark, self.worker, self.left, self.victim = objective, mark, worker, step, victim

    def forward(self, x: Tensor) -> object:
        self.left -= 1
        if not self.left and distributed.get_rank() == self.worker and not self.mark.exists():
            self.mark.write_text("killed")
            os.kill(self.victim or os.getpid(), signal.SIGKILL)
            time.sleep(60)  # until Ray ends what the driver has left
        return self.objective(x)


def train_and_kill(folder: Path, worker: int, victim: int | None = None) -> None:
    """Train with checkpoints, and keep what the first worker ends with; a process is killed on the way."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    doomed = Doomed(rate_distortion(dropout=0.3), folder / "killed", worker, 8, victim)
    state = train(doomed, checkpoint=folder / "checkpoint")
    if distributed.get_rank() == 0:
        save_file({key: value.contiguous() for key, value in state.items()}, folder / "trained")


def work(rank: int, workers: int, folder: Path, cases: list[str]) -> None:
    """Train some cases as one of some workers, and keep what each ends with."""
    warnings.simplefilter("error")  # as in pytest's own process, with the same exception
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=workers)
    for name in cases:
        save_file({key: value.contiguous() for key, value in CASES[name](folder).items()}, folder / f"{name}-{rank}")
    distributed.destroy_process_group()
