"""Experiment 5.1: is the embedding of face images isometric, under squared error and under 1 - SSIM?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from radogaga.errors import InputError
from radogaga.experiments.baselines.beta_vae import BetaVAE
from radogaga.experiments.image_isometry.analysis import Embedding, analyse, of_beta_vae, of_rate_distortion
from radogaga.experiments.image_isometry.methods import METHODS, Task, fitted_prior, latents_of
from radogaga.experiments.runs import Row, Run
from radogaga.images import Images, Pictures, read_images
from radogaga.method.alignment import align
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.objective import RateDistortion
from radogaga.method.priors.factorized import Factorized
from radogaga.method.training.data import iter_batches
from radogaga.method.training.history import History
from radogaga.version import __version__

METRICS = ("mse", "ssim")
RESCALED = "beta-vae-rescaled"
TRAINED_AS = {RESCALED: "beta-vae-plain", "radogaga-aligned": "radogaga", "radogaga-log-aligned": "radogaga-log"}
"""Rows that take another's training: the rescaled beta-VAE is the plain one, counted in other units; aligned ones have
their latents turned and scaled by `radogaga.align` after it."""
MODELS = (*METHODS, *TRAINED_AS)
PCA_NOISE = (0.3, 0.5, 0.8, 1.25, 2.0, 3.0)
STEPS = {"small": 4000, "paper": 500_000}

Progress = Callable[[str, str, RateDistortion | BetaVAE], None]


@dataclass(frozen=True)
class Config:
    """What a table of this experiment is made with.

    Attributes
    ----------
    images : Path
        Array that ``radogaga images prepare`` wrote.
    out : Path
        The experiment's folder.
    metrics, models : tuple of str
        Which rows.
    size : {"small", "paper"}
        Which networks.
    steps : int
        Training steps of each row.
    precision : {"fp32", "bf16"}
        What the networks compute in while training.
    seed : int
        Draws starts, batches and noise.
    device : str
        Where to train.
    """

    images: Path
    out: Path
    metrics: tuple[str, ...] = METRICS
    models: tuple[str, ...] = MODELS
    size: Literal["small", "paper"] = "small"
    steps: int = STEPS["small"]
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0
    device: str = "cpu"

    def described(self) -> dict[str, Any]:
        """Return all settings, as a result's reader needs them."""
        return {**asdict(self), "images": self.images.name, "out": None}

    def fixed(self) -> dict[str, Any]:
        """Return the settings that rows in one folder have to share; which rows there are may grow."""
        shape = list(read_images(self.images).array.shape)
        return {
            "experiment": "isometry",
            "radogaga": __version__,
            "images": [self.images.name, shape],
            "size": self.size,
            "steps": self.steps,
            "precision": self.precision,
            "seed": self.seed,
        }


def check(config: Config) -> None:
    """Refuse what cannot be run.

    Raises
    ------
    InputError
        If a metric or a model has an unknown name, the pictures cannot be read, or they are too small or too few.
    """
    for kind, names, known in (("metric", config.metrics, METRICS), ("model", config.models, MODELS)):
        for name in names:
            if name not in known:
                raise InputError(f"Expected a {kind} among {', '.join(known)}; got {name!r}.")
    _refuse_unfit(config, read_images(config.images))


def plan(config: Config, progress: Progress) -> list[Run]:
    """Return the table's runs, metric by metric."""
    return [
        Run(f"{metric}-{model}", run, (config, metric, model, progress))
        for metric in config.metrics
        for model in config.models
    ]


def checkpoint(config: Config, metric: str, model: str) -> Path:
    """Return where a row's training keeps its state."""
    return config.out / "checkpoints" / f"{metric}-{TRAINED_AS.get(model, model)}.safetensors"


def run(config: Config, metric: Literal["mse", "ssim"], model: str, progress: Progress) -> tuple[Row, dict[str, Any]]:
    """Train one row and measure it on held-out pictures."""
    images = read_images(config.images)
    test = Pictures(images.array, images.test)
    task = Task(
        train=Pictures(images.array, images.train, flip=True),
        metric=metric,
        size=config.size,
        steps=config.steps,
        seed=config.seed,
        precision=config.precision,
        device=config.device,
        checkpoint=checkpoint(config, metric, model),
        progress=lambda trained, _: progress(metric, model, trained),
    )
    start = time.perf_counter()
    trained, history = METHODS[TRAINED_AS.get(model, model)](task)
    trained.to(config.device).eval()
    if model.endswith("-aligned"):
        assert isinstance(trained, RateDistortion)
        align(trained, task.train)
    seconds = time.perf_counter() - start
    if isinstance(trained, RateDistortion):
        # Rates compare only if each is taken under the likeliest density of its kind.
        trained.prior = fitted_prior(trained.autoencoder, task.train, trained.noise).to(config.device).eval()
    trained.save(config.out / "models" / f"{metric}-{model}")
    row: Row = {"metric": metric, "model": model, "seconds": seconds, "pictures": len(test)}
    figures, arrays = analyse(_embedding(trained, task, model), test, torch.device(config.device))
    if model == "pca":
        assert isinstance(trained, RateDistortion)
        arrays |= _pca_curve(trained, task, test)
    return row | figures, arrays | _curve(history)


def _embedding(trained: RateDistortion | BetaVAE, task: Task, model: str) -> Embedding:
    if isinstance(trained, BetaVAE):
        return of_beta_vae(trained, task.distortion, rescaled=model == RESCALED)
    return of_rate_distortion(trained)


def _curve(history: History) -> dict[str, np.ndarray]:
    return {f"history_{name}": np.asarray(values) for name, values in vars(history).items()}


@torch.no_grad()
def _pca_curve(model: RateDistortion, task: Task, test: Pictures) -> dict[str, np.ndarray]:
    """Return PCA's rate in nats and PSNR at noisy latents, each shrunk as is best, over several widths of the noise."""
    train, z = latents_of(model.autoencoder, task.train), latents_of(model.autoencoder, test)
    mean, variance = train.mean(0), train.var(0)
    rates, psnr = [], []
    for factor in PCA_NOISE:
        noise = model.noise.scaled(factor * 10**0.5)
        noisy = z + noise(z)
        rate = -Factorized.fit(train, noise).log_prob(noisy).mean() - z.shape[1] * noise.entropy
        shrunk = mean + (noisy - mean) * variance / (variance + noise.variance)
        rates.append(float(rate))
        psnr.append(-10 * math.log10(_mean_squared_error(model.autoencoder, shrunk, test)))
    return {"pca_rate": np.asarray(rates), "pca_psnr": np.asarray(psnr)}


def _mean_squared_error(autoencoder: Autoencoder, z: Tensor, test: Pictures) -> float:
    total, start = 0.0, 0
    for part in iter_batches(test):
        decoded = autoencoder.decode(z[start : start + len(part)])
        total += float((part.to(z) - decoded).square().flatten(1).mean(1).sum())
        start += len(part)
    return total / start


def _refuse_unfit(config: Config, images: Images) -> None:
    shape = images.array.shape
    if config.size == "paper" and shape[1:] != (64, 64, 3):
        raise InputError(
            f"Expected pictures of 64 x 64 x 3 for the paper's networks; got {shape[1]} x {shape[2]} x {shape[3]}. "
            "Prepare them with --size 64, or pass --size small."
        )
    if min(shape[1:3]) < 16 or shape[1] % 4 or shape[2] % 4:
        raise InputError(
            f"Expected pictures with sides of 16 pixels or more that 4 divides; got {shape[1]} x {shape[2]}. "
            "Prepare them anew with --size 32 or 64."
        )
    if min(len(images.train), len(images.test)) < 50:
        raise InputError(
            f"Expected at least 50 pictures to train on and 50 to test on; got {len(images.train)} and "
            f"{len(images.test)}. Prepare more."
        )
