"""From encoded training rows to a `TabularModel`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from radogaga._utils.checks import warn_user
from radogaga._utils.random import isolated_seed
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.isometry import measure_isometry
from radogaga.tabular import defaults
from radogaga.tabular.calibration import Calibration
from radogaga.tabular.columns.encoder import TableEncoder
from radogaga.tabular.density_fit import fit_density
from radogaga.tabular.model import TabularModel
from radogaga.tabular.outliers import outlier_bounds
from radogaga.tabular.preprocessing import Split, split
from radogaga.tabular.standardize import Array, Standardizer
from radogaga.tabular.training import TrainingConfig, train


def fit_model(
    encoder: TableEncoder,
    x: Array,
    config: TrainingConfig,
    *,
    random: np.random.RandomState,
    contamination: float | None = None,
    alarm_rate: float | None = None,
    n_jobs: int | None = None,
    parameters: dict[str, Any] | None = None,
) -> TabularModel:
    """Return the model of encoded training rows.

    Parameters
    ----------
    encoder : TableEncoder
        Fitted to the table.
    x : ndarray
        Its rows as numbers, ``(n, K)``, n at least 2, in an order that does not depend on how they came.
    config : TrainingConfig
        The settings of the training.
    random : RandomState
        Splits the rows.
    contamination : float, optional
        Share of the training rows under the threshold.
    alarm_rate : float, optional
        Highest rate at which new normal rows are called anomalies; by default near .01.
    n_jobs : int, optional
        Threads that score.
    parameters : dict, optional
        What the model notes as its settings.
    """
    standardizer = Standardizer.fit(x)
    _warn_of_constants(encoder, standardizer)
    rows = split(x, random, alarm_rate)
    trained, held_out = _clipped(standardizer, rows)
    device = torch.device(config.device)
    trained, held_out = trained.to(device), None if held_out is None else held_out.to(device)
    with isolated_seed(config.seed, device):
        model, history = fitted = train(trained, held_out, config)
        density = fit_density(fitted, trained, held_out, config.smoothness, seed=config.seed)
    measured = trained[: defaults.MAX_ROWS_MEASURED].double()
    made = TabularModel(
        encoder,
        standardizer,
        density,
        Calibration(np.empty(0), 0.0),
        rows.train[:0],
        _variance_ratio(model.autoencoder, measured),
        measure_isometry(density.model, measured, rows=defaults.MAX_JACOBIANS, seed=config.seed),
        history,
        parameters or {},
    )
    return _calibrated(made, x, rows, contamination, alarm_rate, n_jobs)


def _calibrated(
    model: TabularModel,
    x: Array,
    rows: Split,
    contamination: float | None,
    alarm_rate: float | None,
    n_jobs: int | None,
) -> TabularModel:
    """Return a model with its threshold, its calibration scores and the rows that explanations refer to."""
    held_out = rows.calibration is not None
    scores = model.score_numbers(x if rows.calibration is None else rows.calibration, n_jobs)
    calibration = Calibration.fit(scores, alarm_rate, held_out=held_out)
    if contamination is not None:
        calibration = replace(calibration, threshold=float(np.quantile(model.score_numbers(x, n_jobs), contamination)))
    candidates = rows.train[: defaults.MAX_REFERENCE_ROWS]
    score = model.score_numbers(candidates, n_jobs)
    return replace(model, calibration=calibration, reference_rows=candidates[score >= np.median(score)])


def _clipped(standardizer: Standardizer, rows: Split) -> tuple[Tensor, Tensor | None]:
    """Return standardised rows to train on and to stop by in single precision, outliers clipped."""

    def standardized(x: Array) -> Tensor:
        s = standardizer.transform(x).clip(-defaults.TRAINING_CLIP, defaults.TRAINING_CLIP)
        return torch.as_tensor(s, dtype=torch.float32)

    x = standardized(rows.train)
    low, high = outlier_bounds(x)
    return x.clamp(low, high), None if rows.stopping is None else standardized(rows.stopping).clamp(low, high)


def _warn_of_constants(encoder: TableEncoder, standardizer: Standardizer) -> None:
    varying = set(encoder.source_column[standardizer.varying].tolist())
    if constant := [name for j, name in enumerate(encoder.labels) if j not in varying]:
        listed = ", ".join(constant[:5]) + (", ..." if len(constant) > 5 else "")
        warn_user(
            f"{len(constant)} of {len(encoder.labels)} columns are constant and do not count ({listed}). Drop them."
        )


@torch.no_grad()
def _variance_ratio(autoencoder: Autoencoder, x: Tensor) -> Array:
    s = autoencoder.scaling(x)
    z = autoencoder.encode_scaled(s)
    residual = (s - autoencoder.decode_scaled(z)).square().sum(1).mean()
    variance = z.var(0, correction=0)
    ratio: Array = (variance / (variance.sum() + residual)).cpu().numpy()
    return ratio
