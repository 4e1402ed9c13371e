"""The estimator, untuned, against other detectors on seven tables: AUROC, AUPRC and mean rank over five random halves.

    python benchmarks/tables.py --out DIR [--seeds 5] [--methods radogaga,knn,...] [--quick]

Random halves, anomalies dropped from the training half (see `radogaga.datasets.anomaly.split`); of wine and digits each
class is left out in turn, as the anomalies. For every method alike at most 5,000 training rows and 20,000 test rows,
columns that vary, standardised. Each result is kept in DIR as it comes, and a stopped run goes on. Needs PyOD:
pip install 'radogaga[peers]'. --quick: one pair of halves, no LUNAR, the two KDDCup tables left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import average_precision_score, roc_auc_score

from detectors import DETECTORS, Dataset
from radogaga.datasets import anomaly as sets
from radogaga.experiments.runs import Row, Run, claim_folder, run_all

MOST_TRAIN, MOST_TEST = 5_000, 20_000
CLASSES = {"wine": (load_wine, 3), "digits": (load_digits, 10)}
TABLES = ("thyroid", "arrhythmia", "kddcup", "kddcup-rev", "breast-cancer", *CLASSES)


def cases(tables: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield tables, those of several classes once for each that is left out."""
    for table in tables:
        for left_out in range(CLASSES[table][1] if table in CLASSES else 1):
            yield table, left_out


@lru_cache(maxsize=1)
def read(table: str) -> sets.Anomalies:
    return sets.load("kddcup" if table == "kddcup-rev" else table)


@lru_cache(maxsize=1)
def halves(table: str, left_out: int, seed: int) -> tuple[Dataset, Dataset, NDArray[np.bool_]]:
    """Return training rows, test rows and which of these are anomalies, in standardised columns."""
    if table in sets.RHO:
        data = sets.reverse(read(table), seed) if table == "kddcup-rev" else read(table)
    else:
        x, y = (CLASSES[table][0] if table in CLASSES else load_breast_cancer)(return_X_y=True)
        data = sets.Anomalies(torch.from_numpy(x), y == left_out, [], rho=0.0)  # malignant is class 0
    split, random = sets.split(data, seed), np.random.default_rng(seed)
    train = split.train_x[random.permutation(len(split.train_x))[:MOST_TRAIN]].double().numpy()
    some = np.sort(random.permutation(len(split.test_y))[:MOST_TEST])
    test, varies = split.test_x[some].double().numpy(), train.max(0) > train.min(0)
    train, test = train[:, varies], test[:, varies]
    centre, spread = train.mean(0), train.std(0)
    return (train - centre) / spread, (test - centre) / spread, split.test_y[some]


def run(table: str, left_out: int, method: str, seed: int) -> tuple[Row, dict[str, NDArray[Any]]]:
    """Fit one method on one half and measure it on the other, each distinct row once."""
    train, test, anomaly = halves(table, left_out, seed)
    start = time.perf_counter()
    score = DETECTORS[method](train, seed)
    fitted = time.perf_counter()
    distinct, place = np.unique(test, axis=0, return_inverse=True)
    normality = np.asarray(score(distinct), float)[place.ravel()]
    row = {"table": table, "left_out": left_out, "method": method, "seed": seed}
    row |= {"auroc": float(roc_auc_score(anomaly, -normality))}
    row |= {"auprc": float(average_precision_score(anomaly, -normality))}
    return row | {"fit_seconds": fitted - start, "score_seconds": time.perf_counter() - fitted}, {}


def summary(rows: Sequence[Row]) -> str:
    """Return the table: a line for each method, means over seeds and classes left out, then over tables; mean ranks.

    Only table and seed pairs that every method has are counted.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = {(row["table"], row["left_out"], row["seed"], row["method"]): row for row in rows}
    keys = [key for key in dict.fromkeys(k[:3] for k in found) if all((*key, m) in found for m in methods)]
    tables = list(dict.fromkeys(key[0] for key in keys))
    lines = [f"{'':18}{'AUROC':>7}{'AUPRC':>7}{'ranks':>13}  " + "".join(f"{table:>15}" for table in tables)]
    figures = {}
    for figure in ("auroc", "auprc"):
        values = np.array(
            [[np.mean([found[*key, m][figure] for key in keys if key[0] == t]) for t in tables] for m in methods]
        )
        figures[figure] = values, np.mean([rankdata(-column) for column in values.T], 0)
    for i, method in enumerate(methods):
        (auroc, rank), (auprc, other) = ((values[i], ranks[i]) for values, ranks in figures.values())
        single = "".join(f"{f'{a:.3f}/{p:.3f}':>15}" for a, p in zip(auroc, auprc, strict=True))
        lines.append(f"{method:18}{auroc.mean():7.4f}{auprc.mean():7.4f}{rank:7.2f}{other:6.2f}  {single}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", default=",".join(DETECTORS), help="of " + ", ".join(DETECTORS))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    methods, tables, seeds = options.methods.split(","), TABLES, range(options.seeds)
    if options.quick:
        methods = [method for method in methods if method != "lunar"]
        tables, seeds = tuple(table for table in TABLES if not table.startswith("kdd")), range(1)
    torch.set_num_threads(1)
    claim_folder(options.out, {"experiment": "tables", "most_train": MOST_TRAIN, "most_test": MOST_TEST})
    runs = [
        Run(f"{table}-{left_out}-{method}-{seed}", run, (table, left_out, method, seed))
        for seed in seeds
        for table, left_out in cases(tables)
        for method in methods
    ]

    def on_done(done: Run, row: Row) -> None:
        print(done.name, f"{row['auroc']:.3f}", flush=True)

    print(summary(run_all(runs, options.out, jobs=1, on_done=on_done)))


if __name__ == "__main__":
    main()
