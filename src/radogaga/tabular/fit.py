"""From encoded training rows to a `TabularModel`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from radogaga._utils.checks import list_names, warn_user
from radogaga._utils.random import isolated_seed
from radogaga._utils.threads import one_blas_thread, one_thread_each
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.density.density import Density
from radogaga.method.isometry import measure_isometry
from radogaga.method.priors.kernel_density import KernelDensity
from radogaga.method.training.history import History
from radogaga.tabular import defaults
from radogaga.tabular.calibration import Calibration, warn_of_alarm_rate, warn_of_default_rate
from radogaga.tabular.categorical import CategoricalDensity
from radogaga.tabular.columns.encoder import EncodedRows, TableEncoder
from radogaga.tabular.columns.repeated_values import RepeatedValues
from radogaga.tabular.density_fit import fit_densities
from radogaga.tabular.left_out import left_out_codes, left_out_log_probs
from radogaga.tabular.model import TabularModel
from radogaga.tabular.outliers import outlier_bounds
from radogaga.tabular.preprocessing import Split, order_rows, split
from radogaga.tabular.standardize import Array, Standardizer
from radogaga.tabular.training import TrainingConfig, train
from radogaga.tabular.training_columns import TrainingColumns


def fit_model(
    encoder: TableEncoder,
    rows: EncodedRows,
    config: TrainingConfig,
    *,
    random: np.random.RandomState,
    sample_weight: Any = None,
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
    rows : EncodedRows
        What it makes of the table, at least 2 rows.
    config : TrainingConfig
        The settings of the training.
    random : RandomState
        Splits the rows.
    sample_weight : array-like, optional
        As how many rows each counts, ``(n,)``.
    contamination : float, optional
        Share of the training rows under the threshold.
    alarm_rate : float, optional
        Highest rate at which new normal rows are called anomalies; by default near .01, which is not promised.
    n_jobs : int, optional
        Threads that score.
    parameters : dict, optional
        What the model notes as its settings.
    """
    numbers = rows.x.shape[1]
    packed = order_rows(rows.packed, numbers, sample_weight, random)
    codes_vary = bool((packed[:, numbers:] != packed[0, numbers:]).any())
    standardizer = Standardizer.fit(packed[:, :numbers], may_be_constant=codes_vary)
    _warn_of_constants(encoder, standardizer, packed[:, numbers:])
    parts = split(packed, random, alarm_rate)
    made = TabularModel(
        encoder,
        standardizer,
        None,
        None,
        Calibration(np.empty(0), 0.0),
        parts.train[:0],
        np.empty(0),
        None,
        History(),
        parameters or {},
    )
    left_out = np.zeros(len(parts.train[: defaults.MAX_ROWS_TO_LEAVE_OUT]))
    if standardizer.varying.any():
        # Batches are small: threads would wait for each other, all the more beside other programs.
        with one_thread_each(), one_blas_thread():
            made, left_out = _with_densities(made, parts, config)
    if rows.codes.shape[1]:
        x, codes = made.unpack(parts.seen)
        made = replace(made, categorical=CategoricalDensity.fit(_kernel(made), made.latents(x), codes))
        left_out = left_out + _left_out_codes(made, parts.train[: len(left_out)], len(parts.seen))
    return _calibrated(made, packed, parts, left_out, contamination, alarm_rate, n_jobs)


def _with_densities(model: TabularModel, parts: Split, config: TrainingConfig) -> tuple[TabularModel, Array]:
    """Return a model with the densities of its numbers, and the scores of training rows without their own part."""
    standardizer = model.standardizer
    trained, held_out = _clipped(standardizer, parts)
    device = torch.device(config.device)
    trained, held_out = trained.to(device), None if held_out is None else held_out.to(device)
    with isolated_seed(config.seed, device):
        fitted = train(trained, held_out, config)
        density, ranking = fit_densities(fitted, trained, held_out, seed=config.seed)
    x, _ = model.unpack(parts.train[: defaults.MAX_ROWS_TO_LEAVE_OUT])
    log_probs = left_out_log_probs(ranking, torch.as_tensor(standardizer.transform(x)), trained, held_out)
    ranking.fit_scale(log_probs)
    positions = int(model.encoder.has_position.sum())
    repeated = RepeatedValues.fit(parts.seen[:, :positions])
    novelty = repeated.left_out_novelty(parts.seen[:, :positions], x[:, :positions]).sum(1)
    measured = trained[: defaults.MAX_ROWS_MEASURED].double()
    fitted_model = replace(
        model,
        density=density,
        ranking=ranking,
        repeated_values=repeated,
        explained_variance_ratio=_variance_ratio(density.model.autoencoder, measured),
        isometry=measure_isometry(density.model, measured, rows=defaults.MAX_JACOBIANS, seed=config.seed),
        history=fitted.history,
    )
    return fitted_model, ranking.combine(log_probs).cpu().numpy() - novelty


def _calibrated(
    model: TabularModel,
    packed: Array,
    parts: Split,
    left_out: Array,
    contamination: float | None,
    alarm_rate: float | None,
    n_jobs: int | None,
) -> TabularModel:
    """Return a model with its threshold, its calibration scores and the rows that explanations refer to."""
    scores = np.empty(0) if parts.calibration is None else model.score_packed(parts.calibration, n_jobs)
    if alarm_rate is not None:
        warn_of_alarm_rate(alarm_rate, len(scores), held_out=len(scores) > 0)
    if alarm_rate is None or not len(scores):
        # What is promised rests on held-out rows alone.
        scores = np.concatenate([scores, left_out[: max(defaults.MAX_ROWS_TO_LEAVE_OUT - len(scores), 0)]])
    calibration = Calibration.fit(scores, defaults.ALARM_RATE if alarm_rate is None else alarm_rate)
    if contamination is not None:
        threshold = float(np.quantile(model.score_packed(packed, n_jobs), contamination))
        calibration = replace(calibration, threshold=threshold)
    elif alarm_rate is None:
        warn_of_default_rate(len(scores))
    candidates = parts.train[: defaults.MAX_REFERENCE_ROWS]
    score = model.score_packed(candidates, n_jobs)
    x, codes = model.unpack(parts.train)
    return replace(
        model,
        calibration=calibration,
        reference_rows=candidates[score >= np.median(score)],
        training_columns=TrainingColumns.fit(x[:, : model.encoder.has_position.sum()], codes),
    )


def _left_out_codes(model: TabularModel, rows: Array, count: int) -> Array:
    """Return log P(k | z) of training rows, of `count`, without their own part."""
    assert model.categorical is not None
    x, codes = model.unpack(rows)
    kernel, z = _kernel(model), torch.as_tensor(model.latents(x))
    return left_out_codes(model.categorical, codes, kernel, z if kernel is None else z.to(kernel.centres), count)


def _kernel(model: TabularModel) -> KernelDensity | None:
    """Return the kernel density of a model's latents."""
    if model.ranking is None:
        return None
    expert = model.ranking.experts[0]
    assert isinstance(expert, Density)
    assert isinstance(expert.model.prior, KernelDensity)
    return expert.model.prior


def _clipped(standardizer: Standardizer, rows: Split) -> tuple[Tensor, Tensor | None]:
    """Return standardised rows to train on and to stop by in single precision, outliers clipped."""

    def standardized(x: Array) -> Tensor:
        s = standardizer.transform(x[:, : len(standardizer.varying)]).clip(
            -defaults.TRAINING_CLIP, defaults.TRAINING_CLIP
        )
        return torch.as_tensor(s, dtype=torch.float32)

    x = standardized(rows.train)
    low, high = outlier_bounds(x)
    return x.clamp(low, high), None if rows.stopping is None else standardized(rows.stopping).clamp(low, high)


def _warn_of_constants(encoder: TableEncoder, standardizer: Standardizer, codes: Array) -> None:
    varying = {*encoder.source_column[standardizer.varying].tolist()}
    varying |= {*encoder.code_column[(codes != codes[0]).any(0)].tolist()}
    left_out = {*np.array(encoder.number_columns, dtype=np.int64)[~encoder.has_position].tolist()}
    if constant := [name for j, name in enumerate(encoder.labels) if j not in varying | left_out]:
        warn_user(
            f"{len(constant)} of {len(encoder.labels)} columns are constant ({list_names(constant)}): another value in "
            "them costs as much as a category that was never seen."
        )


@torch.no_grad()
def _variance_ratio(autoencoder: Autoencoder, x: Tensor) -> Array:
    s = autoencoder.scaling(x)
    z = autoencoder.encode_scaled(s)
    residual = (s - autoencoder.decode_scaled(z)).square().sum(1).mean()
    variance = z.var(0, correction=0)
    ratio: Array = (variance / (variance.sum() + residual)).cpu().numpy()
    return ratio
