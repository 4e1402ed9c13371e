"""Experiment 5.3's runs, one row for each method: for the terminal, for files and for the page."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from radogaga._utils.files import write_text
from radogaga.experiments.runs import Row
from radogaga.experiments.tables import Table, distinct, number

PUBLISHED = {"kddcup": 0.9369, "thyroid": 0.4782, "arrhythmia": 0.4983, "kddcup-rev": 0.9380}
"""F1 of the row ``dagmm`` as published: Zong et al., ICLR 2018, which Kato et al., ICML 2020, quote."""

MEANS = ("f1", "precision", "recall", "auroc", "auprc", "difference")
MEDIANS = ("fit_seconds", "score_rows_per_second")


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each data set and method: means, sample standard deviations, medians and counts over runs.

    Data sets, families and methods keep the order in which they first appear; a family's methods are kept together.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["family"], row["method"]), []).append(row)
    data, families = distinct(rows, "data"), distinct(rows, "family")
    order = sorted(groups, key=lambda key: (data.index(key[0]), families.index(key[1])))
    return [_summary_row(groups[key]) for key in order]


def terminal_table(rows: Sequence[Row]) -> Table:
    """Return the summary as a table for the terminal."""
    headings = ["data", "family", "method", "runs", "F1", "precision", "recall", "AUROC", "AUPRC"]
    cells = [
        [row["data"], row["family"], row["method"], str(row["runs"]), spread(row, "f1")]
        + [number(row[f"{key}_mean"], ".3f") for key in MEANS[1:-1]]
        + [number(row["difference_mean"], "+.3f"), str(row["collapsed"])]
        for row in summary(rows)
    ]
    return Table("Anomaly detection, means over runs", [*headings, "to best peer", "collapsed"], cells, words=3)


def write_csv(out: Path, rows: Sequence[Row]) -> None:
    """Write every run as ``runs.csv`` and the summary as ``table.csv``; what is not known is an empty cell."""
    for name, table in (("runs", list(rows)), ("table", summary(rows))):
        text = io.StringIO()
        columns = dict.fromkeys(key for row in table for key in row)
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        write_text(out / f"{name}.csv", text.getvalue())


def _summary_row(group: Sequence[Row]) -> Row:
    row = {key: group[0].get(key) for key in ("data", "family", "method", "scaling")} | {"runs": len(group)}
    for key in MEANS:
        figures = _known(group, key)
        row[f"{key}_mean"] = statistics.fmean(figures) if figures else None
        row[f"{key}_sd"] = statistics.stdev(figures) if len(figures) > 1 else None
    row["collapsed"] = sum(bool(run.get("collapsed")) for run in group)
    return row | {key: statistics.median(_known(group, key)) if _known(group, key) else None for key in MEDIANS}


def f1(rows: Sequence[Row], method: str) -> list[float]:
    """Return a method's F1 of every run."""
    return _known([row for row in rows if row["method"] == method], "f1")


def published(row: Row) -> float | None:
    """Return the F1 that was published for a row, if any."""
    return PUBLISHED.get(row["data"]) if row["method"] == "dagmm" else None


def spread(row: Row, key: str, form: str = ".3f") -> str:
    """Return a mean, and its standard deviation if there was more than one run."""
    mean, sd = row[f"{key}_mean"], row[f"{key}_sd"]
    return number(mean, form) + ("" if sd is None else f" ± {sd:{form.lstrip('+')}}")


def _known(rows: Sequence[Row], key: str) -> list[float]:
    return [float(row[key]) for row in rows if row.get(key) is not None and math.isfinite(row[key])]
