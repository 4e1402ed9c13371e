"""The estimator, untuned, on 43 tables of ADBench, beside the published figures of 26 detectors.

    python benchmarks/adbench.py --out DIR [--protocol one-class|unsupervised] [--clean] [--seeds 3] [--methods ...]

The protocols are those of Livernoche et al., "On diffusion modeling for anomaly detection", ICLR 2024. One-class: the
first half of the normal rows trains; the other half and all anomalies are tested. Unsupervised: a bootstrap of all rows
trains, and all rows are tested. As published, tables under 1,000 rows are first drawn to 1,000 with replacement, so
that copies of training rows are among the tested; of tables over 50,000 rows as many are drawn. --clean makes no
copies: small tables are taken as they are, and in the unsupervised protocol all rows train once.

The tables lie in the folder adbench of RADOGAGA_DATA, or in --data; else those that are missing are fetched, with
checksums, from the authors' repository, Minqi824/ADBench (BSD-2-Clause). published_auroc.csv, published_auprc.csv and
published_unsup_auroc.csv in that folder, if they are there, give the published columns: a line for each table, a column
for each detector. RaDOGAGA is fitted with each seed, other methods with one. Each result is kept in DIR as it comes,
and a stopped run goes on.
"""

from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from comparison import REFERENCE, as_text, by_table, measure, print_row, seeds_of, summary
from detectors import DETECTORS, Dataset
from radogaga.datasets.paths import data_home
from radogaga.experiments.runs import Arrays, Row, Run, claim_folder, run_all, write_result

CHECKSUMS = Path(__file__).with_suffix(".sha256")
COMMIT = "3dac8221081e190f157d78e93bfa8867f90d0965"
SERVER = f"https://raw.githubusercontent.com/Minqi824/ADBench/{COMMIT}/adbench/datasets/Classical/"
PUBLISHED = {
    "one-class": {"auroc": "published_auroc.csv", "auprc": "published_auprc.csv"},
    "unsupervised": {"auroc": "published_unsup_auroc.csv"},
}
PUBLISHED_REFERENCE = "DTE-NP"
LEAST_ROWS, MOST_ROWS = 1_000, 50_000


def tables(folder: Path) -> list[Path]:
    """Return the paths of the tables, after fetching those that are missing."""
    server = pooch.create(folder, SERVER)
    server.load_registry(CHECKSUMS)
    return [Path(server.fetch(name)) for name in server.registry_files]


@lru_cache(maxsize=1)
def read(path: Path) -> tuple[Dataset, NDArray[np.bool_]]:
    """Return the rows of a table and which of them are anomalies."""
    with np.load(path, allow_pickle=False) as table:
        return table["X"].astype(float), table["y"] == 1


@lru_cache(maxsize=1)
def split(path: Path, protocol: str, clean: bool, seed: int) -> tuple[Dataset, Dataset, NDArray[np.bool_]]:  # noqa: FBT001
    """Return training rows, test rows and which of these are anomalies."""
    (x, anomaly), random = read(path), np.random.default_rng(seed)
    if len(x) > MOST_ROWS:
        some = random.choice(len(x), MOST_ROWS, replace=False)
        x, anomaly = x[some], anomaly[some]
    elif len(x) < LEAST_ROWS and not clean:
        some = random.integers(len(x), size=LEAST_ROWS)
        x, anomaly = x[some], anomaly[some]
    if protocol == "unsupervised":
        return x if clean else x[random.integers(len(x), size=len(x))], x, anomaly
    trains = ~anomaly & (np.cumsum(~anomaly) <= (~anomaly).sum() // 2)
    return x[trains], x[~trains], anomaly[~trains]


def run(path: Path, protocol: str, clean: bool, method: str, seed: int) -> tuple[Row, Arrays]:  # noqa: FBT001
    row = measure(method, *split(path, protocol, clean, seed), seed)
    return {"table": table_name(path)} | row, {}


def table_name(path: Path) -> str:
    """Return a table's name without its number, as published figures have it."""
    return path.stem.split("_", 1)[1]


def published(folder: Path, protocol: str, names: set[str]) -> list[Row]:
    """Return the published figures of some tables, a row for each table and detector."""
    rows: dict[tuple[str, str], Row] = {}
    for figure, file in PUBLISHED[protocol].items():
        if (folder / file).is_file():
            frame = pd.read_csv(folder / file, index_col="table")
            for table, own in frame.rename(str.lower).iterrows():
                for method, value in own.items():
                    rows.setdefault((str(table), str(method)), {})[figure] = float(value)
    lower = {name.lower(): name for name in names}
    return [{"table": lower[t], "method": method} | row for (t, method), row in rows.items() if t in lower]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=data_home() / "adbench")
    parser.add_argument("--protocol", choices=PUBLISHED, default="one-class")
    parser.add_argument("--clean", action="store_true", help="no copies of rows, and no published columns")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", default="radogaga", help="of " + ", ".join(DETECTORS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = {"experiment": "adbench", "protocol": options.protocol, "clean": options.clean}
    claim_folder(options.out, config)
    runs = [
        Run(f"{path.stem}-{method}-{seed}", run, (path, options.protocol, options.clean, method, seed))
        for path in tables(options.data)
        for method in options.methods.split(",")
        for seed in seeds_of(method, options.seeds)
    ]
    with threadpool_limits(1):
        rows = by_table(run_all(runs, options.out, jobs=1, on_done=print_row))
    peers = [] if options.clean else published(options.data, options.protocol, {row["table"] for row in rows})
    lines = summary(rows + peers, PUBLISHED_REFERENCE if peers else REFERENCE)
    print(as_text(lines))
    about = {"protocol": options.protocol, "rows": "clean" if options.clean else "published"}
    kinds = {"summary": lines, "table": rows}
    write_result(options.out, "adbench", config, [{"kind": k} | about | row for k in kinds for row in kinds[k]])


if __name__ == "__main__":
    main()
