"""What the benchmarks of detectors share: one fit, measured and timed, and what many tables of them come to."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from detectors import DETECTORS, Dataset
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from radogaga.experiments.runs import Row, Run

REFERENCE = "mean_squared_distance"
OURS = ("radogaga", "untrained")
MEASURES = ("auroc", "auprc")


def measure(method: str, train: Dataset, test: Dataset, anomaly: NDArray[np.bool_], seed: int) -> Row:
    """Return how well a detector ranks test rows, and the processor time of its fit and its scores."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peers warn of repeated rows and of EM that has not converged
        score = DETECTORS[method](train, seed)
        fitted = time.process_time()
        normality = np.nan_to_num(np.asarray(score(test), float))
    scored = time.process_time()
    return {
        "method": method,
        "seed": seed,
        "auroc": float(roc_auc_score(anomaly, -normality)),
        "auprc": float(average_precision_score(anomaly, -normality)),
        "fit_seconds": fitted - start,
        "score_seconds": scored - fitted,
    }


def seeds_of(method: str, seeds: int) -> Iterable[int]:
    """Return the seeds that a method is run with: peers, most of which draw nothing, have one."""
    return range(seeds if method in OURS else 1)


def by_table(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each table and method: means over its seeds, and the deviation of AUROC where it has several."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["table"], row["method"]), []).append(row)
    return [_mean(group) for group in groups.values()]


def _mean(group: Sequence[Row]) -> Row:
    figures = {
        key: float(np.mean([row[key] for row in group])) for key in (*MEASURES, "fit_seconds", "score_seconds")
    }
    spread = {"auroc_sd": float(np.std([row["auroc"] for row in group], ddof=1))} if len(group) > 1 else {}
    return {"table": group[0]["table"], "method": group[0]["method"], "seeds": len(group)} | figures | spread


def summary(rows: Sequence[Row], reference: str = REFERENCE) -> list[Row]:
    """Return a row for each method: means, differences from a reference with standard errors, ranks, times as ratios.

    Only tables that every method has are counted.

    Parameters
    ----------
    rows : sequence of dict
        A row for each table and method, as `by_table` returns them.
    reference : str
        The method that differences are taken from, table by table.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = {(row["table"], row["method"]): row for row in rows}
    names = [name for name in dict.fromkeys(row["table"] for row in rows) if all((name, m) in found for m in methods)]
    lines: list[Row] = [{"method": method, "tables": len(names)} for method in methods]
    for key in MEASURES:
        values = np.array([[found[name, method].get(key, np.nan) for name in names] for method in methods])
        ranks = np.mean([rankdata(-column) for column in values.T], 0)
        for line, own, rank in zip(lines, values, ranks, strict=True):
            line |= {key: float(own.mean()), f"{key}_rank": float(rank)}
            if reference in methods and line["method"] != reference:
                difference = own - values[methods.index(reference)]
                line[f"{key}_difference"] = float(difference.mean())
                line[f"{key}_error"] = float(difference.std(ddof=1) / np.sqrt(len(names)))
    for line in lines:
        own_rows = [found[name, line["method"]] for name in names]
        spreads = [row["auroc_sd"] for row in own_rows if "auroc_sd" in row]
        line |= {"auroc_sd_of_seeds": float(np.mean(spreads))} if spreads else {}
        line |= {"seconds": float(np.mean([row["fit_seconds"] + row["score_seconds"] for row in own_rows]))}
    for peer in ("mixture", "isolation_forest"):
        for line in lines:
            if peer in methods:
                line[f"times_{peer}"] = line["seconds"] / lines[methods.index(peer)]["seconds"]
    return lines


def as_text(lines: Sequence[Row]) -> str:
    """Return a summary as a table to print, the best AUROC first."""
    text = [f"{'':22}{'AUROC':>7}{'':>16}{'rank':>6}{'AUPRC':>8}{'':>16}{'rank':>6}{'/mixture':>10}{'/forest':>9}"]
    for line in sorted(lines, key=lambda line: -line["auroc"]):
        figures = [
            f"{line[key]:7.4f} {_difference(line, key):>16}{line[f'{key}_rank']:6.2f}" for key in MEASURES
        ]
        times = [f"{line.get(f'times_{peer}', np.nan):9.2f}" for peer in ("mixture", "isolation_forest")]
        text.append(f"{line['method']:22}" + " ".join(figures + times))
    return "\n".join([*text, f"{lines[0]['tables']} tables; differences from {REFERENCE}"])


def _difference(line: Row, key: str) -> str:
    return f"{line[f'{key}_difference']:+.4f}±{line[f'{key}_error']:.4f}" if f"{key}_difference" in line else ""


def print_row(run: Run, row: Row) -> None:
    """Print what a run has come to."""
    print(f"{run.name:60}{row['auroc']:7.3f}{row['auprc']:7.3f}{row['fit_seconds'] + row['score_seconds']:8.1f} s", flush=True)
