"""Held-out log density, in nats a row, of five density estimators on numeric tables.

    python benchmarks/density.py --out DIR [--every 1] [--seeds 1] [--methods radogaga,mixture,kernel,forde,flow]

Tables: the checking half of oddbench_dev and the tables of adbench, in the folder RADOGAGA_DATA or --data. Of ADBench's
tables the first half of the normal rows trains and the other half is tested; ODDBench's have a split of their own, of
which the normal test rows are tested; of either at most 2,000 rows, drawn at random. --every 3 takes every third table.

The same for all methods: columns with fewer than 10 different values among the training rows, or one value in more than
half of them, have no density and are left out, and tables with fewer than two columns or 100 training rows left, too.
To columns whose values repeat uniform noise is added, as wide as the smallest step between two of them (dequantised).
Then columns are standardised by the training rows.

The median over rows is what methods are ranked by, since single rows can be 1e5 nats; ranks by the mean, which alone
is a proper score, stand beside it. Each result is kept in DIR as it comes, and a stopped run goes on.
FORDE and the spline flow need: pip install 'radogaga[peers]'.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import adbench
import oddbench
from comparison import mean_ranks
from densities import DENSITIES
from detectors import Dataset
from radogaga.datasets.paths import data_home
from radogaga.experiments.runs import Arrays, Row, Run, claim_folder, run_all, write_result

LEAST_TRAIN, MOST_ROWS = 100, 2_000
LEAST_VALUES, LARGEST_SHARE = 10, 0.5
ROUNDING = 1e-9  # steps smaller than this share of a column's range are errors of rounding
MEASURES = ("median", "mean")


@lru_cache(maxsize=1)
def halves(path: Path, seed: int) -> tuple[Dataset, Dataset, int]:
    """Return normal rows to train on and to test, standardised, and how many of their columns were dequantised."""
    train, test, anomaly = oddbench.read(path) if path.parent.name == "oddbench_dev" else adbench_halves(path)
    random = np.random.default_rng(seed)
    train, test = (x[random.permutation(len(x))[:MOST_ROWS]] for x in (train, test[~anomaly]))
    kept = is_continuous(train)
    train, test = train[:, kept], test[:, kept]
    steps = np.array([step(column) for column in train.T])
    train, test = (x + random.uniform(-0.5, 0.5, x.shape) * steps for x in (train, test))
    centre, spread = train.mean(0), train.std(0)
    return (train - centre) / spread, (test - centre) / spread, int((steps > 0).sum())


def adbench_halves(path: Path) -> tuple[Dataset, Dataset, NDArray[np.bool_]]:
    return adbench.split(path, "one-class", True, 0)  # noqa: FBT003


def is_continuous(x: Dataset) -> NDArray[np.bool_]:
    """Return which columns have many values, none of them in most of the rows."""
    counts = [np.unique(column, return_counts=True)[1] for column in x.T]
    return np.array([len(c) >= LEAST_VALUES and c.max() <= LARGEST_SHARE * len(x) for c in counts])


def step(column: Dataset) -> float:
    """Return the smallest step between two values of a column if values repeat, else 0."""
    values = np.unique(column)
    steps = np.diff(values)
    steps = steps[steps > ROUNDING * np.ptp(values)]
    return float(steps.min()) if len(values) < len(column) and len(steps) else 0.0


def is_numeric(path: Path) -> bool:
    train = halves(path, 0)[0]
    return train.shape[1] >= 2 and len(train) >= LEAST_TRAIN


def run(path: Path, method: str, seed: int) -> tuple[Row, Arrays]:
    train, test, dequantised = halves(path, seed)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers warn of EM that has not converged, and of deprecated calls
        nats = np.nan_to_num(DENSITIES[method](train, seed)(test), nan=-np.inf, neginf=-np.inf)
    row = {"table": path.stem, "method": method, "seed": seed, "rows": len(train), "columns": train.shape[1]}
    row |= {"dequantised": dequantised, "median": float(np.median(nats)), "mean": float(nats.mean())}
    return row | {"seconds": time.process_time() - start}, {}


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each method: its mean rank, the share of tables where it is best, its distance from the best.

    Only tables that every method has are counted. A mean that is not finite is the worst there can be.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row["table"], row["method"]), []).append(row)
    names = [name for name in dict.fromkeys(row["table"] for row in rows) if all((name, m) in cells for m in methods)]
    lines: list[Row] = [{"method": method, "tables": len(names)} for method in methods]
    for key in MEASURES:
        values = np.array([[_over_seeds(cells[name, method], key) for name in names] for method in methods])
        for line, own, rank in zip(lines, values, mean_ranks(values), strict=True):
            behind = values.max(0) - own
            line |= {f"{key}_rank": float(rank), f"{key}_best": float((behind == 0).mean())}
            line |= {f"{key}_behind": float(np.median(behind))}
    for line in lines:
        own_rows = [row for name in names for row in cells[name, line["method"]]]
        line |= {"seconds": float(np.mean([row["seconds"] for row in own_rows]))}
    return lines


def _over_seeds(rows: Sequence[Row], key: str) -> float:
    return float(np.mean([-np.inf if row[key] is None else row[key] for row in rows]))


def as_text(lines: Sequence[Row]) -> str:
    """Return a summary as a table to print."""
    head = "".join(f"{key + ': rank':>15}{'best':>8}{'behind':>9}" for key in MEASURES)
    text = [f"{lines[0]['tables']:3} tables  {head}{'seconds':>9}"]
    for line in sorted(lines, key=lambda line: line["median_rank"]):
        figures = (f"{line[f'{k}_rank']:15.2f}{line[f'{k}_best']:8.2f}{line[f'{k}_behind']:9.2f}" for k in MEASURES)
        text.append(f"{line['method']:12}{''.join(figures)}{line['seconds']:9.1f}")
    return "\n".join(text)


def print_row(run: Run, row: Row) -> None:
    print(f"{run.name:55}{row['median']:10.2f}{row['mean'] or -np.inf:12.2f}{row['seconds']:8.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=data_home())
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--methods", default=",".join(DENSITIES), help="of " + ", ".join(DENSITIES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = {"experiment": "likelihood", "every": options.every}
    claim_folder(options.out, config)
    tables = oddbench.tables(options.data / "oddbench_dev", "checking") + adbench.tables(options.data / "adbench")
    runs = [
        Run(f"{path.stem}-{method}-{seed}", run, (path, method, seed))
        for path in filter(is_numeric, tables[:: options.every])
        for method in options.methods.split(",")
        for seed in range(options.seeds)
    ]
    with threadpool_limits(1):
        rows = run_all(runs, options.out, jobs=1, on_done=print_row)
    lines = summary(rows)
    print(as_text(lines))
    kinds = {"summary": lines, "table": rows}
    write_result(options.out, "likelihood", config, [{"kind": kind} | row for kind in kinds for row in kinds[kind]])


if __name__ == "__main__":
    main()
