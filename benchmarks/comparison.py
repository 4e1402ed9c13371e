"""What the benchmarks of detectors share: one fit, measured and timed, and what many tables of them come to."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from detectors import DETECTORS, Dataset
from radogaga.experiments.runs import Row, Run

REFERENCE = "mean_squared_distance"
OURS = ("radogaga", "untrained")
MEASURES = ("auroc", "auprc")
TIMED_AGAINST = ("mixture", "isolation_forest")


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
    figures = {key: float(np.mean([row[key] for row in group])) for key in (*MEASURES, "fit_seconds", "score_seconds")}
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
    measures = [key for key in MEASURES if all(key in row for row in rows)]
    found = {(row["table"], row["method"]): row for row in rows}
    names = [name for name in dict.fromkeys(row["table"] for row in rows) if all((name, m) in found for m in methods)]
    lines: list[Row] = [{"method": method, "tables": len(names)} for method in methods]
    for key in measures:
        values = np.array([[found[name, method][key] for name in names] for method in methods])
        for line, own, rank in zip(lines, values, mean_ranks(values), strict=True):
            line |= {key: float(own.mean()), f"{key}_rank": float(rank)}
            if reference in methods and line["method"] != reference:
                difference = own - values[methods.index(reference)]
                line[f"{key}_difference"] = float(difference.mean())
                line[f"{key}_difference_error"] = float(difference.std(ddof=1) / np.sqrt(len(names)))
    for line in lines:
        own_rows = [found[name, line["method"]] for name in names]
        spreads = [row["auroc_sd"] for row in own_rows if "auroc_sd" in row]
        line |= {"auroc_sd_of_seeds": float(np.mean(spreads))} if spreads else {}
        seconds = [row["fit_seconds"] + row["score_seconds"] for row in own_rows if "fit_seconds" in row]
        line |= {"seconds": float(np.mean(seconds))} if seconds else {}
    for peer in TIMED_AGAINST:
        for line in lines:
            if peer in methods and "seconds" in line:
                line[f"times_{peer}"] = line["seconds"] / lines[methods.index(peer)]["seconds"]
    return lines


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean rank of each method over tables, 1 for the best, of figures ``(methods, tables)``."""
    return np.mean([rankdata(-column) for column in values.T], 0)


def as_text(lines: Sequence[Row]) -> str:
    """Return a summary as a table to print, the best AUROC first."""
    measures = [key for key in MEASURES if key in lines[0]]
    head = "".join(f"{key:>8}{'difference':>18}{'rank':>7}" for key in measures)
    head += "".join(f"{'/ ' + peer:>19}" for peer in TIMED_AGAINST)
    text = [f"{lines[0]['tables']:3} tables{'':13}{head}"]
    for line in sorted(lines, key=lambda line: -line["auroc"]):
        figures = "".join(f"{line[key]:8.4f}{_difference(line, key):>18}{line[f'{key}_rank']:7.2f}" for key in measures)
        times = "".join(f"{line.get(f'times_{peer}', np.nan):19.2f}" for peer in TIMED_AGAINST)
        text.append(f"{line['method']:23}{figures}{times}")
    return "\n".join(text)


def _difference(line: Row, key: str) -> str:
    return (
        f"{line[f'{key}_difference']:+.4f} ± {line[f'{key}_difference_error']:.4f}"
        if f"{key}_difference" in line
        else ""
    )


def print_row(run: Run, row: Row) -> None:
    """Print what a run has come to."""
    seconds = row["fit_seconds"] + row["score_seconds"]
    print(f"{run.name:60}{row['auroc']:7.3f}{row['auprc']:7.3f}{seconds:8.1f} s", flush=True)
