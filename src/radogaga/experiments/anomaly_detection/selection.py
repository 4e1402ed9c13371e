"""How experiment 5.3's settings were chosen: held-out log density within training halves, without labels."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import torch
from torch import Tensor

from radogaga.experiments.anomaly_detection.halves import read_halves
from radogaga.experiments.anomaly_detection.methods import fit_density, start
from radogaga.experiments.anomaly_detection.settings import CHOSEN, SCALINGS, Config, Settings
from radogaga.experiments.runs import Arrays, Row, Run
from radogaga.method.density.residuals import GaussianResidual, StudentTResidual

RESIDUALS: dict[str, type[GaussianResidual] | type[StudentTResidual]] = {
    "gaussian": GaussianResidual,
    "student_t": StudentTResidual,
}
# KDDCup is not compared: on indicator columns a density has no bound, and its mean only says where that shows.
COMPARED = ("thyroid", "arrhythmia")
_HALVES = 5


def plan(config: Config) -> list[Run]:
    """Return one run for each data set that is compared and each scaling."""
    return [
        Run(f"selection-{data}-{scaling}", select, (config, data, scaling))
        for data in config.data
        if data in COMPARED
        for scaling in SCALINGS
    ]


def select(config: Config, data: str, scaling: str) -> tuple[Row, Arrays]:
    """Return a scaling's held-out log density with each distribution of the residual, the mean over training halves."""
    start_time = time.perf_counter()
    halves = [read_halves(data, seed, config.columns)[0].train_x for seed in range(_HALVES)]
    row: Row = {"data": data, "scaling": scaling}
    for name, residual in RESIDUALS.items():
        settings = replace(CHOSEN[data], scaling=SCALINGS[scaling], residual=residual)
        row[name] = statistics.fmean(held_out_log_density(settings, x, seed) for seed, x in enumerate(halves))
    return row | {"seconds": time.perf_counter() - start_time}, {}


def held_out_log_density(settings: Settings, x: Tensor, seed: int) -> float:
    """Return the median log density of a fifth of the rows under a model started on the others, nats, raw units.

    The start stands for the trained model, which stays near it. The residual always counts, since densities on some of
    the directions do not compare; the median, since a few rows far off decide a mean.
    """
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    held_out, rest = x[order].tensor_split([len(order) // 5])
    torch.manual_seed(seed)
    density = fit_density(settings, start(settings, rest, log=False), rest, seed)
    return float(density.log_prob(held_out, include_residual=True).median())
