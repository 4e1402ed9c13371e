"""Experiment 5.3: anomaly detection on four data sets, over many random halves, beside other detectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from radogaga.datasets.anomaly import ONE_HOT, RHO
from radogaga.datasets.fetch import locate
from radogaga.errors import InputError
from radogaga.experiments.anomaly_detection import selection
from radogaga.experiments.anomaly_detection.families import METHODS, family_of, scaling_of
from radogaga.experiments.anomaly_detection.halves import read_halves
from radogaga.experiments.anomaly_detection.methods import Fitted
from radogaga.experiments.anomaly_detection.report import write
from radogaga.experiments.anomaly_detection.settings import Config
from radogaga.experiments.anomaly_detection.summary import terminal_table
from radogaga.experiments.experiment import Experiment, check_known
from radogaga.experiments.runs import Arrays, Row, Run


def check(config: Config) -> None:
    """Raise `InputError` if a data set's file is not there and cannot be fetched."""
    for name in config.data:
        locate("kddcup" if name.startswith("kddcup") else name)


def plan(config: Config) -> list[Run]:
    """Return the runs: how settings were chosen, then the table's, data set by data set."""
    if config.columns not in ONE_HOT:
        raise InputError(f"Expected 121, 120 or 118 columns; got {config.columns}.")
    check_known("data set", config.data, RHO)
    # Seed by seed, so that the runs of a stopped table are of the same halves for all methods.
    return selection.plan(config) + [
        Run(f"{data}-{method}-{seed}", run, (config, data, method, seed))
        for data in config.data
        for seed in range(config.seed, config.seed + config.runs)
        for method in config.methods
    ]


def run(config: Config, data: str, method: str, seed: int) -> tuple[Row, Arrays]:
    """Train one method on one random half and measure it on the other; a training that fails is a row as well."""
    halves, rho = read_halves(data, seed, config.columns)
    family = family_of(method)
    row: Row = {"data": data, "method": method, "family": family, "scaling": scaling_of(data, method)}
    row |= {"run": seed - config.seed, "seed": seed}
    start = time.perf_counter()
    try:
        fitted = METHODS[method](data, halves.train_x, seed, config.effort(family))
        trained = time.perf_counter()
        scores, distinct = _score_distinct(fitted, halves.test_x)
    except (InputError, FloatingPointError) as error:
        failed = dict.fromkeys(("precision", "recall", "f1", "auroc", "auprc"), 0.0)
        seconds = time.perf_counter() - start
        return row | failed | {"collapsed": True, "error": str(error), "fit_seconds": seconds, "seconds": seconds}, {}
    scored = time.perf_counter()
    row |= measure(scores, halves.test_y, rho)
    row["collapsed"] = fitted.collapsed or row["auroc"] < 0.5
    row |= {"fit_seconds": trained - start, "score_rows_per_second": distinct / (scored - trained)}
    return row | {"seconds": scored - start}, _curves(scores, halves.test_y)


def measure(scores: NDArray[np.floating], anomaly: NDArray[np.bool_], rho: float) -> Row:
    """Return precision, recall and F1 of calling the lowest share rho of the scores anomalies, AUROC and AUPRC.

    Examples
    --------
    >>> import numpy as np
    >>> measure(np.array([-9.0, 1.0, 2.0, 3.0]), np.array([True, False, False, False]), rho=0.25)["f1"]
    1.0
    """
    called = np.zeros_like(anomaly)
    called[np.argsort(scores, kind="stable")[: round(rho * len(scores))]] = True
    hits = int((called & anomaly).sum())
    return {
        "precision": hits / max(int(called.sum()), 1),
        "recall": hits / max(int(anomaly.sum()), 1),
        "f1": 2 * hits / max(int(called.sum() + anomaly.sum()), 1),
        "auroc": float(roc_auc_score(anomaly, -scores)),
        "auprc": float(average_precision_score(anomaly, -scores)),
    }


def compare_with_peers(out: Path, rows: Sequence[Row]) -> list[Row]:
    """Return the table's rows with ``difference``: F1 less that of the best other peer on the same split, or None."""
    rows = [row for row in rows if "method" in row]
    splits: dict[tuple[str, int], dict[str, float]] = {}
    for row in rows:
        if row["family"] == "peer":
            splits.setdefault((row["data"], row["seed"]), {})[row["method"]] = row["f1"]
    compared = []
    for row in rows:
        peers = splits.get((row["data"], row["seed"]), {})
        others = [f1 for method, f1 in peers.items() if method != row["method"]]
        compared.append(row | {"difference": row["f1"] - max(others) if others else None})
    return compared


def _score_distinct(fitted: Fitted, x: torch.Tensor) -> tuple[NDArray[np.float64], int]:
    """Return all rows' scores and how many rows were scored: two in three of KDDCup's repeat another one."""
    distinct, place = torch.unique(x, dim=0, return_inverse=True)
    scores = fitted.score(distinct).detach().double().numpy()
    if not np.isfinite(scores).all():
        raise FloatingPointError("Expected finite scores; got nan or inf.")
    return scores[place.numpy()], len(distinct)


def _curves(scores: NDArray[np.float64], anomaly: NDArray[np.bool_]) -> Arrays:
    """Return what the plots need of a run: histograms over a robust range, and a precision-recall curve."""
    low, high = float(np.quantile(scores, 0.01)), float(np.quantile(scores, 0.999))
    edges = np.linspace(low, high + 1e-9 * (1 + abs(high)), 61)
    inside = scores.clip(edges[0], edges[-1])
    precision, recall, _ = precision_recall_curve(anomaly, -scores)
    thin = np.unique(np.linspace(0, len(recall) - 1, 200).astype(int))
    return {
        "edges": edges,
        "histogram_normal": np.histogram(inside[~anomaly], edges)[0],
        "histogram_anomaly": np.histogram(inside[anomaly], edges)[0],
        "precision_curve": precision[thin],
        "recall_curve": recall[thin],
    }


ANOMALY_DETECTION = Experiment(
    "anomaly", check=check, plan=plan, table=terminal_table, report=write, compare=compare_with_peers
)
