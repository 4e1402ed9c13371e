"""Experiment 5.1: is the embedding of face images isometric, under squared error and under 1 - SSIM?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from radogaga.errors import InputError
from radogaga.experiments.baselines.beta_vae import BetaVAE
from radogaga.experiments.experiment import Experiment, check_known
from radogaga.experiments.image_isometry.analysis import (
    Embedding,
    analyse,
    beta_vae_embedding,
    rate_distortion_embedding,
)
from radogaga.experiments.image_isometry.methods import METHODS, Task, fit_prior
from radogaga.experiments.image_isometry.report import compare_with_pca, terminal_table, write
from radogaga.experiments.image_isometry.samples import write_samples
from radogaga.experiments.image_isometry.settings import METRICS, MODELS, RESCALED, TRAINED_AS, Config, Metric
from radogaga.experiments.runs import Arrays, Row, Run
from radogaga.images.pictures import Pictures
from radogaga.images.reading import read_images
from radogaga.method.alignment import align
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.objective import RateDistortion
from radogaga.method.priors.factorized import Factorized
from radogaga.method.training.checkpoint import checkpoint_step
from radogaga.method.training.data import iter_batches
from radogaga.method.training.distributed import is_main
from radogaga.method.training.loop import encode

PCA_NOISE = (0.3, 0.5, 0.8, 1.25, 2.0, 3.0)


def check(config: Config) -> None:
    """Raise `InputError` if the pictures cannot be read, or are too small or too few."""
    images = read_images(config.images)
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


def plan(config: Config) -> list[Run]:
    """Return the table's runs, metric by metric."""
    check_known("metric", config.metrics, METRICS)
    check_known("model", config.models, MODELS)
    return [
        Run(f"{metric}-{model}", run, (config, metric, model), steps=config.steps)
        for metric in config.metrics
        for model in config.models
    ]


def run(config: Config, metric: Metric, model: str, on_step: Callable[[int], object]) -> tuple[Row, Arrays]:
    """Train one row and measure it on held-out pictures.

    How the model rebuilds a few of them is written to ``out/samples`` while it trains.
    """
    images = read_images(config.images)
    test = Pictures(images.array, images.test)

    def progress(trained: RateDistortion | BetaVAE) -> None:
        step = checkpoint_step(task.checkpoint)
        on_step(step)
        write_samples(config.out / "samples" / f"{metric}-{model}.png", trained, test, step)

    train = Pictures(images.array, images.train, flip=True)
    task = Task(config, metric, train, config.checkpoint(metric, model), progress)
    start = time.perf_counter()
    trained, history = METHODS[TRAINED_AS.get(model, model)](task)
    trained.to(config.device).eval()
    row: Row = {"metric": metric, "model": model, "seconds": time.perf_counter() - start, "pictures": len(test)}
    if not is_main():
        return row, {}
    if model.endswith("-aligned"):
        assert isinstance(trained, RateDistortion)
        align(trained, train, fit_prior=lambda _: trained.prior)
    row["seconds"] = time.perf_counter() - start
    if isinstance(trained, RateDistortion):
        # Rates compare only if each is taken under the density that fits best among those of its kind.
        fit_prior(trained, task)
        trained.prior.to(config.device).eval()
    trained.save(config.out / "models" / f"{metric}-{model}")
    figures, arrays = analyse(_embedding(trained, task, model), test, torch.device(config.device))
    if model == "pca":
        assert isinstance(trained, RateDistortion)
        arrays |= _pca_curve(trained, task, test)
    curve = {f"history_{name}": np.asarray(values) for name, values in vars(history).items()}
    return row | figures, arrays | curve


def _embedding(trained: RateDistortion | BetaVAE, task: Task, model: str) -> Embedding:
    if isinstance(trained, BetaVAE):
        return beta_vae_embedding(trained, task.distortion, rescaled=model == RESCALED)
    return rate_distortion_embedding(trained)


@torch.no_grad()
def _pca_curve(model: RateDistortion, task: Task, test: Pictures) -> Arrays:
    """Return PCA's rate in nats and PSNR at noisy latents, optimally shrunk, over several widths of the noise."""
    train, z = encode(model, task.train), encode(model, test)
    mean, variance = train.mean(0), train.var(0)
    rates, psnr = [], []
    for factor in PCA_NOISE:
        noise = model.noise.scaled(factor * 10**0.5)
        noisy = z + noise(z)
        prior = Factorized.fit(train, noise, steps=task.config.prior_steps)
        rates.append(float(-prior.log_prob(noisy).mean() - z.shape[1] * noise.entropy))
        shrunk = mean + (noisy - mean) * variance / (variance + noise.variance)
        psnr.append(-10 * math.log10(_mean_squared_error(model.autoencoder, shrunk, test)))
    return {"pca_rate": np.asarray(rates), "pca_psnr": np.asarray(psnr)}


def _mean_squared_error(autoencoder: Autoencoder, z: Tensor, test: Pictures) -> float:
    total, start = 0.0, 0
    for part in iter_batches(test):
        decoded = autoencoder.decode(z[start : start + len(part)])
        total += float((part.to(z) - decoded).square().flatten(1).mean(1).sum())
        start += len(part)
    return total / start


IMAGE_ISOMETRY = Experiment(
    "isometry", check=check, plan=plan, table=terminal_table, report=write, compare=compare_with_pca, parallel=False
)
