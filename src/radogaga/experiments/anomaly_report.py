"""Experiment 5.3's result as a terminal table, CSV files, plots and one page."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure
from rich.table import Table

from radogaga import plotting, report
from radogaga.datasets.anomaly import RHO
from radogaga.experiments.runs import Row, environment, read_arrays
from radogaga.storage import write_bytes, write_text

PUBLISHED = {"kddcup": 0.9369, "thyroid": 0.4782, "arrhythmia": 0.4983, "kddcup-rev": 0.9380}
"""F1 of the row ``dagmm`` as published: Zong et al., ICLR 2018, which Kato et al., ICML 2020, quote."""

MEANS = ("f1", "precision", "recall", "auroc", "auprc", "difference")
MEDIANS = ("fit_seconds", "score_rows_per_second")

ABOUT = {
    "kddcup": "network connections; its normal ones, a fifth of the rows, are the anomalies",
    "kddcup-rev": "the same connections; attacks, a quarter as many as the normal rows, are the anomalies",
    "thyroid": "patients; the rare hyperfunction of the thyroid is the anomaly",
    "arrhythmia": "electrocardiograms; the rare kinds of arrhythmia are the anomalies",
}
READING = (
    "Experiment 5.3 of Kato et al., ICML 2020: does the density tell anomalies from normal rows? Each run splits the "
    "rows into random halves, the same ones for every method, and drops the anomalies of the training half, so that "
    "training sees normal rows only. Of the tested rows, the share rho with the highest energy is called anomalies. "
    "Scores are scikit-learn's way up: higher is more normal. Figures are means over runs ± standard deviations (all "
    "of these are in table.csv), collapsed runs included; the best mean F1 is in bold. 'To best peer' is F1 minus "
    "that of the peer that did best on the same halves, picked with the labels in hand, which flatters the peers (for"
    " a peer: the best of the others). F1 of papers that test on all anomalies do not compare with these: a larger "
    "share of what they test are anomalies. Published is DAGMM's F1 as printed (ICLR 2018; quoted in ICML 2020); a "
    "dash where we know of none. Seconds to fit and rows scored a second are medians."
)
CAPTIONS = {
    "spread": "F1, one dot a run, the dark bar at the median; the red tick is the published mean. Look at the width: "
    "two methods whose dots overlap are not told apart by one run.",
    "scores": "Scores of the tested normal rows and anomalies, first run, each as a share of its own count on a log "
    "axis; far scores are in the outermost bins. The less the two overlap at the dashed line, the better the F1. "
    "RaDOGAGA's rows, then the two best peers.",
    "curves": "Precision (upright) against recall (across), first run, the area AUPRC in the legend, best first. In "
    "each panel the other families' lines are grey.",
    "scaling": "F1 of the peers that were run on several scalings of the same rows: mean and standard deviation over "
    "runs. How much of a difference between methods is one of scaling?",
}


class Config(Protocol):
    """What the page needs of an experiment's configuration."""

    @property
    def quick(self) -> bool:
        """Whether training was cut short."""

    def described(self) -> dict[str, Any]:
        """Return all settings."""


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each data set and method: means, sample standard deviations, medians and counts over runs.

    Data sets, families and methods keep the order in which they first appear; a family's methods are kept together.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["family"], row["method"]), []).append(row)
    data, families = _names(rows, "data"), _names(rows, "family")
    order = sorted(groups, key=lambda key: (data.index(key[0]), families.index(key[1])))
    return [_summary_row(groups[key]) for key in order]


def terminal_table(rows: Sequence[Row]) -> Table:
    """Return the summary as a table for the terminal."""
    table = Table(title="Anomaly detection, means over runs")
    for name in ("data", "family", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("runs", "F1", "precision", "recall", "AUROC", "AUPRC", "to best peer", "collapsed"):
        table.add_column(name, justify="right")
    previous = None
    for row in summary(rows):
        if previous and row["data"] != previous:
            table.add_section()
        previous = row["data"]
        figures = [_number(row[f"{key}_mean"], ".3f") for key in MEANS[1:-1]]
        difference = _number(row["difference_mean"], "+.3f")
        words = (row["data"], row["family"], row["method"], str(row["runs"]))
        table.add_row(*words, _spread(row, "f1"), *figures, difference, str(row["collapsed"]))
    return table


def write_csv(out: Path, rows: Sequence[Row]) -> None:
    """Write every run as ``runs.csv`` and the summary as ``table.csv``; what is not known is an empty cell."""
    for name, table in (("runs", list(rows)), ("table", summary(rows))):
        text = io.StringIO()
        columns = dict.fromkeys(key for row in table for key in row)
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        write_text(out / f"{name}.csv", text.getvalue())


def write(out: Path, config: Config, rows: Sequence[Row], settings: Sequence[Sequence[str]]) -> None:
    """Write the plots as PNG and ``report.html`` with all of them inside.

    Parameters
    ----------
    out : Path
        The experiment's folder, where the runs keep their arrays.
    config : Config
        What the runs were made with.
    rows : sequence of Row
        All runs.
    settings : sequence of sequences of str
        What was chosen and where it came from: a header, then rows of words.
    """
    pictures = {
        (data, kind): report.png(figure)
        for data in _names(rows, "data")
        for kind, figure in _figures(out, [row for row in rows if row["data"] == data]).items()
    }
    for (data, kind), image in pictures.items():
        write_bytes(out / f"{kind}-{data}.png", image)
    write_text(out / "report.html", _page(config, rows, settings, pictures))


def _summary_row(group: Sequence[Row]) -> Row:
    row = {key: group[0].get(key) for key in ("data", "family", "method", "scaling")} | {"runs": len(group)}
    for key in MEANS:
        figures = _known(group, key)
        row[f"{key}_mean"] = statistics.fmean(figures) if figures else None
        row[f"{key}_sd"] = statistics.stdev(figures) if len(figures) > 1 else None
    row["collapsed"] = sum(bool(run.get("collapsed")) for run in group)
    return row | {key: statistics.median(_known(group, key)) if _known(group, key) else None for key in MEDIANS}


def _page(
    config: Config, rows: Sequence[Row], settings: Sequence[Sequence[str]], pictures: dict[tuple[str, str], bytes]
) -> str:
    parts = [report.paragraph(READING)]
    if config.quick:
        parts.append(report.paragraph("A quick run: training was cut short, and no figure here is a result."))
    parts.append(report.heading("Means over runs"))
    for data in _names(rows, "data"):
        parts += [report.subheading(_about(data)), _table([row for row in summary(rows) if row["data"] == data])]
    if settings:
        header, *lines = settings
        parts.append(report.heading("What was chosen, and where each setting came from"))
        parts.append(report.table(header, lines, words=len(header), wrap=True))
    for data in _names(rows, "data"):
        parts.append(report.heading(data))
        parts += [report.picture(pictures[data, kind], CAPTIONS[kind]) for kind in CAPTIONS if (data, kind) in pictures]
    made = {"config": config.described(), "environment": environment()}
    parts += [report.heading("How it was made"), report.preformatted(json.dumps(made, indent=2))]
    return report.page("RaDOGAGA: anomaly detection", parts)


def _about(data: str) -> str:
    known = [ABOUT[data]] if data in ABOUT else []
    return f"{data}: {'; '.join([*known, f'rho = {RHO[data]}'])}" if data in RHO else data


def _table(rows: Sequence[Row]) -> str:
    """Return one data set's table; a family's name stands at its first row only."""
    headings = ["family", "method", "runs", "F1", "published", "to best peer", "precision", "recall", "AUROC", "AUPRC"]
    headings += ["collapsed", "fit, s", "rows/s"]
    starts = [i for i, row in enumerate(rows) if i == 0 or row["family"] != rows[i - 1]["family"]]
    best = max((row["f1_mean"] for row in rows if row["f1_mean"] is not None), default=None)
    bold = {(i, 3) for i, row in enumerate(rows) if best is not None and row["f1_mean"] == best}
    cells = [
        [row["family"] if i in starts else "", row["method"], str(row["runs"]), _spread(row, "f1", ".4f")]
        + [_number(_published(row), ".4f"), _spread(row, "difference", "+.3f")]
        + [_number(row[f"{key}_mean"], ".3f") for key in ("precision", "recall")]
        + [_spread(row, key) for key in ("auroc", "auprc")]
        + [str(row["collapsed"]), _number(row["fit_seconds"], ",.1f"), _number(row["score_rows_per_second"], ",.0f")]
        for i, row in enumerate(rows)
    ]
    return report.table(headings, cells, words=2, group_starts=starts[1:], best=bold)


def _figures(out: Path, rows: Sequence[Row]) -> dict[str, Figure]:
    """Return the plots of one data set by kind; that of the scalings only where there are several."""
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row["run"]):
        first.setdefault(row["method"], row)
    means = summary(rows)
    arrays = {name: read_arrays(out, f"{row['data']}-{name}-{row['seed']}") for name, row in first.items()}
    figures = {"spread": _runs_figure(rows, means), "scores": _scores_figure(means, arrays)}
    figures["curves"] = _curves_figure(means, first, arrays)
    scalings: dict[str, dict[str, list[float]]] = {}
    for row in means:
        base, at, scaling = row["method"].partition("@")
        if at and row["f1_mean"] is not None:
            scalings.setdefault(base, {})[scaling] = _f1(rows, row["method"])
    if any(len(group) > 1 for group in scalings.values()):
        figures["scaling"] = Figure(figsize=(7, 0.35 * max(map(len, scalings.values())) + 0.9), layout="constrained")
        plotting.grouped_means(figures["scaling"].subplots(), scalings, label="F1")
    return figures


def _runs_figure(rows: Sequence[Row], means: Sequence[Row]) -> Figure:
    values = {row["method"]: _f1(rows, row["method"]) for row in means}
    figure = Figure(figsize=(8, 0.27 * len(values) + 0.9), layout="constrained")
    axes = figure.subplots()
    plotting.seed_spread(axes, values, label="F1 (right is better)")
    plotting.ticks(axes, [_published(row) for row in means], label="published")
    return figure


def _scores_figure(means: Sequence[Row], arrays: dict[str, dict[str, Any]]) -> Figure:
    peers = [row for row in means if row["family"] == "peer" and row["f1_mean"] is not None]
    peers = sorted(peers, key=lambda row: -row["f1_mean"])[:2]
    shown = [row["method"] for row in means if row["method"].startswith("radogaga")] + [row["method"] for row in peers]
    # A table of other rows alone has a plot too.
    shown = shown or list(arrays)
    columns = min(4, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(3 * columns, 2.1 * lines + 0.5), layout="constrained")
    places = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, name in zip(places, shown, strict=False):
        kept = arrays[name]
        bins = kept["edges"], kept["histogram_normal"], kept["histogram_anomaly"]
        plotting.score_histogram(axes, *bins, title=name, share=RHO.get(means[0]["data"]))
    for axes in places[len(shown) :]:
        axes.set_visible(False)
    handles = places[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    figure.supxlabel("score (right is more normal)", fontsize=8)
    figure.supylabel("share of rows, log", fontsize=8)
    return figure


def _curves_figure(means: Sequence[Row], first: dict[str, Row], arrays: dict[str, dict[str, Any]]) -> Figure:
    families = _names(means, "family")
    curves = {name: (kept["recall_curve"], kept["precision_curve"]) for name, kept in arrays.items()}
    longest = max(sum(row["family"] == family for row in means) for family in families)
    figure = Figure(figsize=(3 * len(families), 3 + 0.15 * longest), layout="constrained")
    for axes, family in zip(figure.subplots(1, len(families), squeeze=False).ravel(), families, strict=True):
        names = [row["method"] for row in means if row["family"] == family]
        names.sort(key=lambda name: -(first[name]["auprc"] or 0))
        named = {f"{name}  {_number(first[name]['auprc'], '.3f')}": curves[name] for name in names}
        others = [curve for name, curve in curves.items() if name not in names]
        plotting.precision_recall(axes, named, title=family, behind=others)
    return figure


def _names(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))


def _known(rows: Sequence[Row], key: str) -> list[float]:
    return [float(row[key]) for row in rows if row.get(key) is not None and math.isfinite(row[key])]


def _f1(rows: Sequence[Row], method: str) -> list[float]:
    return _known([row for row in rows if row["method"] == method], "f1")


def _published(row: Row) -> float | None:
    return PUBLISHED.get(row["data"]) if row["method"] == "dagmm" else None


def _number(value: float | None, form: str) -> str:
    return "\N{EN DASH}" if value is None else format(value, form)


def _spread(row: Row, key: str, form: str = ".3f") -> str:
    """Return a mean, and its standard deviation if there was more than one run."""
    mean, sd = row[f"{key}_mean"], row[f"{key}_sd"]
    return _number(mean, form) + ("" if sd is None else f" ± {sd:{form.lstrip('+')}}")
