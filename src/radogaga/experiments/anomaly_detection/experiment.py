"""Experiment 5.3: anomaly detection on four data sets, many random halves, and an honest field around it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from radogaga.datasets import anomaly as sets
from radogaga.datasets.fetch import locate
from radogaga.errors import InputError
from radogaga.experiments.anomaly_detection import methods
from radogaga.experiments.anomaly_detection.peers import PEERS, PYOD, has_pyod
from radogaga.experiments.anomaly_detection.selection import COMPARED, compare
from radogaga.experiments.anomaly_detection.settings import AS_PUBLISHED
from radogaga.experiments.runs import Row, Run
from radogaga.version import __version__

PUBLISHED: dict[str, methods.Method] = {
    "dagmm": methods.dagmm,
    "radogaga-d": methods.radogaga_published,
    "radogaga-log": partial(methods.radogaga_published, log=True),
}
CHOSEN: dict[str, methods.Method] = {
    "radogaga-d-chosen": methods.radogaga_chosen,
    "radogaga-log-chosen": partial(methods.radogaga_chosen, log=True),
    "untrained-chosen": methods.untrained_chosen,
}
UNTUNED: dict[str, methods.Method] = {"radogaga-untuned": methods.radogaga_untuned}
FAMILIES = {"published": PUBLISHED, "chosen": CHOSEN, "untuned": UNTUNED, "peer": {**PEERS, **PYOD}}
METHODS = {name: method for family in FAMILIES.values() for name, method in family.items()}
QUICK_RUNS, QUICK_EFFORT = 3, 0.2


@dataclass(frozen=True)
class Config:
    """What a table of this experiment is made with.

    Attributes
    ----------
    data, methods : tuple of str
        Which data sets, and which rows of the table.
    runs : int
        How many random halves.
    quick : bool
        Whether to train for a fifth of the steps.
    published : bool
        Whether the published family trains as long as it was published.
    seed : int
        The first run's seed.
    columns : int
        In how many columns KDDCup is written, 121, 120 or 118.
    """

    data: tuple[str, ...] = tuple(sets.RHO)
    methods: tuple[str, ...] = ()
    runs: int = 20
    quick: bool = False
    published: bool = False
    seed: int = 0
    columns: int = 121

    def described(self) -> dict[str, Any]:
        """Return all settings, as a result's reader needs them."""
        return asdict(self)

    def fixed(self) -> dict[str, Any]:
        """Return the settings that rows in one folder have to share; which rows there are may grow."""
        shared = {name: getattr(self, name) for name in ("quick", "published", "columns")}
        return {"experiment": "anomaly", "radogaga": __version__, **shared}

    def effort(self, family: str) -> float:
        """Return the share of the full training that a family's methods get."""
        if self.published and family == "published":
            return AS_PUBLISHED
        return QUICK_EFFORT if self.quick else 1.0


def named_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that names of methods and families stand for; a family's, only those that can run here.

    Raises
    ------
    InputError
        If a name is unknown, or one of PyOD's is asked for by name and PyOD is not installed.
    """
    found: dict[str, None] = {}
    for name in names:
        if name in FAMILIES:
            found |= dict.fromkeys(m for m in FAMILIES[name] if m not in PYOD or has_pyod())
        elif name not in METHODS:
            raise InputError(f"Expected methods among {', '.join([*METHODS, *FAMILIES])}; got {name!r}.")
        elif name in PYOD and not has_pyod():
            raise InputError(f"Expected PyOD for {name}; it is not installed. Run: pip install 'radogaga[peers]'")
        else:
            found[name] = None
    return tuple(found)


def plan(config: Config) -> list[Run]:
    """Return the table's runs, the data sets in order, the methods in order within each.

    Raises
    ------
    InputError
        If a data set is unknown, its file is not there, or KDDCup is wanted in another number of columns.
    """
    if config.columns not in sets.ONE_HOT:
        raise InputError(f"Expected 121, 120 or 118 columns; got {config.columns}.")
    for name in config.data:
        if name not in sets.RHO:
            raise InputError(f"Expected a data set among {', '.join(sets.RHO)}; got {name!r}.")
        locate("kddcup" if name.startswith("kddcup") else name)
    seeds = range(config.seed, config.seed + config.runs)
    # Run by run, so that whatever is there when somebody stops the table compares like with like.
    return [
        Run(f"{data}-{method}-{seed}", run, (config, data, method, seed))
        for data in config.data
        for seed in seeds
        for method in config.methods
    ]


def run(config: Config, data: str, method: str, seed: int) -> tuple[Row, dict[str, NDArray[Any]]]:
    """Train one method on one random half and measure it on the other; a training that fails is a row as well."""
    halves, rho = _halves(data, seed, config.columns)
    family = family_of(method)
    row: Row = {"data": data, "method": method, "family": family, "scaling": _scaling_of(data, method)}
    row |= {"run": seed - config.seed, "seed": seed}
    start = time.perf_counter()
    try:
        fitted = METHODS[method](data, halves.train_x, seed, config.effort(family))
        trained = time.perf_counter()
        scores, distinct = _score_each_once(fitted, halves.test_x)
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


def with_differences(rows: Sequence[Row]) -> list[Row]:
    """Return rows with ``difference``: F1 less that of the best other peer on the same split, None without one."""
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


def selection(config: Config, halves: int = 5) -> list[Row]:
    """Return the held-out log densities that settings were chosen by, on the training halves of the first runs."""
    seeds = range(config.seed, config.seed + min(config.runs, halves))
    return [
        row
        for data in config.data
        if data in COMPARED
        for row in compare(data, [_halves(data, seed, config.columns)[0].train_x for seed in seeds])
    ]


def family_of(method: str) -> str:
    """Return the family that a method's row belongs to."""
    return next(family for family, members in FAMILIES.items() if method in members)


@lru_cache(maxsize=1)
def _read(name: str, columns: int) -> sets.Anomalies:
    return sets.load(name, columns=columns)


@lru_cache(maxsize=1)
def _halves(data: str, seed: int, columns: int) -> tuple[sets.Split, float]:
    """Return a run's split; the methods of one run follow each other, so the last one is kept."""
    whole = sets.reverse(_read("kddcup", columns), seed) if data == "kddcup-rev" else _read(data, columns)
    return sets.split(whole, seed), whole.rho


def _score_each_once(fitted: methods.Fitted, x: torch.Tensor) -> tuple[NDArray[np.float64], int]:
    """Return all rows' scores and how many rows were scored: two in three of KDDCup's repeat another one."""
    distinct, place = torch.unique(x, dim=0, return_inverse=True)
    scores = fitted.score(distinct).detach().double().numpy()
    if not np.isfinite(scores).all():
        raise FloatingPointError("Expected finite scores; got nan or inf.")
    return scores[place.numpy()], len(distinct)


def _scaling_of(data: str, method: str) -> str:
    if "@" in method:
        return method.partition("@")[2]
    if method == "isolation-forest":
        return "none"
    if method in UNTUNED:
        return "its own"
    if method in PUBLISHED:
        return "min-max"
    if method in CHOSEN and not data.startswith("kddcup"):
        return "asinh"
    return "standard"


def _curves(scores: NDArray[np.float64], anomaly: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
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
