"""Experiment 5.2: how well the latent density is the data's density, on toy data whose density is known."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from radogaga._utils.linalg import pearson
from radogaga.datasets.toy import Toy, read_toy
from radogaga.experiments.experiment import Experiment, check_known
from radogaga.experiments.runs import Arrays, Row, Run
from radogaga.experiments.toy_density import methods
from radogaga.experiments.toy_density.methods import METHODS
from radogaga.experiments.toy_density.report import terminal_table, write
from radogaga.experiments.toy_density.settings import PCA, ROWS, SOURCES, Config
from radogaga.method.density.density import Density
from radogaga.method.isometry import measure_isometry
from radogaga.method.objective import RateDistortion


def check(config: Config) -> None:
    """Raise `InputError` if the toy file cannot be read."""
    if config.data:
        read_toy(config.data)


def plan(config: Config) -> list[Run]:
    """Return the table's runs, source by source and method by method."""
    check_known("source", config.sources, SOURCES)
    check_known("method", config.methods, (PCA, *METHODS))
    return [
        Run(f"{source}-{method}-{seed}", run, (config, source, method, seed))
        for source in config.sources
        for method in config.methods
        for seed in range(config.seed, config.seed + config.seeds)
    ]


def load_source(config: Config, source: str) -> Toy:
    """Return a source's rows: the same for every seed, which seeds initial weights, batches and noise only."""
    if source == "flat" and config.data:
        return read_toy(config.data)
    return SOURCES[source](rows=ROWS)


def run(config: Config, source: str, method: str, seed: int) -> tuple[Row, Arrays]:
    """Train one method on one source and measure it."""
    toy = load_source(config, source)
    x = toy.x.float().to(config.device)
    start = time.perf_counter()
    about: Row = {"data": source, "method": method, "seed": seed}
    if method == PCA:
        model, about["chosen"] = _best_pca(x, toy.log_density.to(x.device), seed)
        trained = methods.Trained(model)
    else:
        trained = METHODS[method](x, seed, config.steps)
    about["seconds"] = time.perf_counter() - start
    model = trained.model.cpu()
    row, arrays = measure(model, toy)
    if trained.prior_before_refit is not None:
        model.prior = trained.prior_before_refit.cpu()
        row["pearson_log_before_refit"] = measure(model, toy)[0]["pearson_log"]
    return about | row, arrays


def measure(model: RateDistortion, toy: Toy) -> tuple[Row, Arrays]:
    """Return a model's figures against the true density, and the log densities of every row.

    Errors are estimated minus true log density in nats, with the isometric and with the exact volume factor. They are
    None where the model has more latents than the manifold has dimensions, since a density there has other units.
    """
    x = toy.x.float()
    density = Density(model, features=x.shape[1])
    constant = density.log_prob(x).double()
    exact = density.log_prob(x, volume="exact").double()
    isometry = measure_isometry(model, x)
    true = toy.log_density
    row: Row = {
        "pearson": pearson(constant.exp(), true.exp()),
        "pearson_log": pearson(constant, true),
        "pearson_log_exact": pearson(exact, true),
        "log_error_mean": float((constant - true).mean()),
        "log_error_sd": float((constant - true).std()),
        "log_error_exact_mean": float((exact - true).mean()),
        "log_error_exact_sd": float((exact - true).std()),
        "gram_diag_mean": isometry.diag_mean,
        "gram_diag_sd": isometry.diag_sd,
        "gram_diag_predicted": float(isometry.prediction.mean()),
        "gram_off_rms": isometry.off_rms,
        "probe_r": isometry.probe_r,
    }
    if model.autoencoder.latents != methods.LATENTS:
        row |= dict.fromkeys((key for key in row if key.startswith("log_error")), None)
    arrays = {"true": true, "constant": constant, "exact": exact}
    return row, {name: values.float().numpy() for name, values in arrays.items()}


def _best_pca(x: Tensor, true: Tensor, seed: int) -> tuple[RateDistortion, str]:
    """Return the PCA + mixture that agrees best with the truth: an opponent that is allowed to know it.

    A larger one has to be better by 1e-4, so that a tie goes to the simpler.
    """
    best: tuple[float, RateDistortion, str] | None = None
    for dimensions in (3, 4, 6):
        for components in (3, 10, 30):
            model = methods.pca(x, seed, dimensions=dimensions, components=components)
            with torch.no_grad():
                r = pearson(-model.rate(x).double(), true)
            if best is None or r > best[0] + 1e-4:
                best = r, model, f"{dimensions} dimensions, {components} components"
    assert best is not None
    return best[1], best[2]


TOY_DENSITY = Experiment("density", check=check, plan=plan, table=terminal_table, report=write)
