"""The estimator, untuned, against other detectors on tables of ODDBench that nothing was chosen by.

    python benchmarks/oddbench.py --out DIR [--half checking|choosing] [--seeds 2] [--methods radogaga,knn,...]

The tables lie in the folder oddbench_dev of RADOGAGA_DATA, or in --data: NAME.npz with train (normal rows), test,
test_labels (1 = anomaly). ODDBench states no licence and its files have no checksums that are known here, so they are
neither shipped nor fetched. In sorted order every other table, from the first on, is in the choosing half: constants
of the method were chosen by it. The others are the checking half. RaDOGAGA is fitted with each seed, the others with
one. Times are processor times of one thread. Each result is kept in DIR as it comes, and a stopped run goes on.
LUNAR needs PyOD: pip install 'radogaga[peers]'.
"""

from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from comparison import as_text, by_table, measure, print_row, seeds_of, summary
from detectors import DETECTORS, Dataset
from radogaga.datasets.paths import data_home
from radogaga.experiments.runs import Arrays, Row, Run, claim_folder, run_all, write_result

METHODS = ("radogaga", "mean_squared_distance", "knn", "lof", "mixture", "isolation_forest", "lunar")
HALVES = {"choosing": 0, "checking": 1}


def tables(folder: Path, half: str) -> list[Path]:
    """Return the tables of a half: every other one of a folder, in sorted order."""
    found = sorted(folder.glob("*.npz"))
    if len(found) < 2:
        raise SystemExit(f"Expected tables NAME.npz in {folder}; found {len(found)}. Set RADOGAGA_DATA or pass --data.")
    return found[HALVES[half] :: 2]


@lru_cache(maxsize=1)
def read(path: Path) -> tuple[Dataset, Dataset, NDArray[np.bool_]]:
    """Return training rows, test rows and which of these are anomalies."""
    with np.load(path, allow_pickle=False) as table:
        return table["train"].astype(float), table["test"].astype(float), table["test_labels"] == 1


def run(path: Path, method: str, seed: int) -> tuple[Row, Arrays]:
    return {"table": path.stem} | measure(method, *read(path), seed), {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=data_home() / "oddbench_dev")
    parser.add_argument("--half", choices=HALVES, default="checking")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--methods", default=",".join(METHODS), help="of " + ", ".join(DETECTORS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = {"experiment": "oddbench", "half": options.half}
    claim_folder(options.out, config)
    runs = [
        Run(f"{path.stem}-{method}-{seed}", run, (path, method, seed))
        for path in tables(options.data, options.half)
        for method in options.methods.split(",")
        for seed in seeds_of(method, options.seeds)
    ]
    with threadpool_limits(1):
        rows = by_table(run_all(runs, options.out, jobs=1, on_done=print_row))
    lines = summary(rows)
    print(as_text(lines))
    kinds = {"summary": lines, "table": rows}
    write_result(options.out, "oddbench", config, [{"kind": kind} | row for kind in kinds for row in kinds[kind]])


if __name__ == "__main__":
    main()
