"""Experiment 5.2: how well the latent density is the data's density, on toy data whose density is known."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from radogaga.datasets import Toy, flat, read_toy, rolled, warped
from radogaga.errors import InputError
from radogaga.experiments.runs import Row, Run
from radogaga.experiments.toy_density import methods
from radogaga.method.density.density import Density
from radogaga.method.isometry import measure_isometry
from radogaga.method.objective import RateDistortion
from radogaga.version import __version__

SOURCES = {"flat": flat, "rolled": rolled, "warped": warped}
METHODS: dict[str, methods.Method] = {
    "untrained": methods.untrained,
    "dagmm": methods.dagmm,
    "dagmm-helped": methods.dagmm_helped,
    "radogaga-factorized": methods.radogaga_factorized,
    "radogaga-d": methods.radogaga_d,
    "radogaga-log": methods.radogaga_log,
    "default": methods.default,
}
PCA = "pca+mixture"
FULL_STEPS, QUICK_STEPS = 10_000, 2_000
ROWS = 10_000


@dataclass(frozen=True)
class Config:
    """What a table of this experiment is made with.

    Attributes
    ----------
    data : str or None
        Path of the authors' ``toy.csv`` for the flat source; without it, rows are drawn by the same law.
    seeds : int
        How many seeds, from 0.
    quick : bool
        Whether to train for a fifth of the steps.
    seed : int
        The first seed.
    device : str
        Where to train.
    sources, methods : tuple of str
        Which data, and which rows of the table.
    """

    data: str | None = None
    seeds: int = 5
    quick: bool = False
    seed: int = 0
    device: str = "cpu"
    sources: tuple[str, ...] = tuple(SOURCES)
    methods: tuple[str, ...] = (PCA, *METHODS)

    @property
    def steps(self) -> int:
        """Training steps of each run."""
        return QUICK_STEPS if self.quick else FULL_STEPS

    def described(self) -> dict[str, Any]:
        """Return all settings, as a result's reader needs them."""
        path = self.data and Path(self.data).name
        return {**asdict(self), "data": path, "steps": self.steps, "rows": ROWS}

    def fixed(self) -> dict[str, Any]:
        """Return the settings that rows in one folder have to share; which rows there are may grow."""
        found = self.data and hashlib.sha256(Path(self.data).read_bytes()).hexdigest()
        return {
            "experiment": "density",
            "radogaga": __version__,
            "steps": self.steps,
            "rows": ROWS,
            "toy_sha256": found,
        }


def plan(config: Config) -> list[Run]:
    """Return the table's runs, the sources in order, the methods in order within each.

    Raises
    ------
    InputError
        If a source or a method has an unknown name, or the toy file cannot be read.
    """
    _refuse_unknown("source", config.sources, SOURCES)
    _refuse_unknown("method", config.methods, (PCA, *METHODS))
    if config.data:
        read_toy(config.data)
    return [
        Run(f"{source}-{method}-{seed}", run, (config, source, method, seed))
        for source in config.sources
        for method in config.methods
        for seed in range(config.seed, config.seed + config.seeds)
    ]


def load_source(config: Config, source: str) -> Toy:
    """Return a source's rows: the same ones for every seed, which draws start, batches and noise only."""
    if source == "flat" and config.data:
        return read_toy(config.data)
    return SOURCES[source](rows=ROWS)


def run(config: Config, source: str, method: str, seed: int) -> tuple[Row, dict[str, np.ndarray]]:
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


def measure(model: RateDistortion, toy: Toy) -> tuple[Row, dict[str, np.ndarray]]:
    """Return a model's figures against the true density, and the log densities of every row.

    Errors are estimated minus true log density in nats, with the volume by the constant and exactly; there are none
    where the model has more latents than the manifold has dimensions, since a density there has other units.
    """
    x = toy.x.float()
    density = Density(model, features=x.shape[1])
    constant = density.log_prob(x).double()
    exact = density.log_prob(x, volume="exact").double()
    isometry = measure_isometry(model, x)
    true = toy.log_density
    row: Row = {
        "pearson": _pearson(constant.exp(), true.exp()),
        "pearson_log": _pearson(constant, true),
        "pearson_log_exact": _pearson(exact, true),
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
    arrays = {
        name: values.float().numpy() for name, values in (("true", true), ("constant", constant), ("exact", exact))
    }
    return row, arrays


def medians(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each source and method, every figure the median over its seeds."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["method"]), []).append(row)
    return [
        {"data": data, "method": method, "seeds": len(group), **_median_figures(group)}
        for (data, method), group in groups.items()
    ]


def _median_figures(group: Sequence[Row]) -> Row:
    figures = {}
    for key, value in group[0].items():
        values = [row[key] for row in group if isinstance(row.get(key), float)]
        if isinstance(value, float) and values:
            figures[key] = statistics.median(values)
    return figures


def _best_pca(x: Tensor, true: Tensor, seed: int) -> tuple[RateDistortion, str]:
    """Return the PCA + mixture that agrees best with the truth: an opponent that is allowed to know it.

    A larger one has to be better by 1e-4, so that a tie goes to the simpler.
    """
    best: tuple[float, RateDistortion, str] | None = None
    for dimensions in (3, 4, 6):
        for components in (3, 10, 30):
            model = methods.pca(x, seed, dimensions=dimensions, components=components)
            with torch.no_grad():
                r = _pearson(-model.rate(x).double(), true)
            if best is None or r > best[0] + 1e-4:
                best = r, model, f"{dimensions} dimensions, {components} components"
    assert best is not None
    return best[1], best[2]


def _pearson(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def _refuse_unknown(kind: str, names: Sequence[str], known: Sequence[str] | dict[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"Expected a {kind} among {', '.join(known)}; got {name!r}.")
