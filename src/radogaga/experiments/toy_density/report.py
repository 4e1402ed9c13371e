"""Experiment 5.2's result: medians over seeds, plots and one page."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from radogaga._utils import html
from radogaga.experiments import plots
from radogaga.experiments.page import write_report
from radogaga.experiments.runs import Row, read_arrays
from radogaga.experiments.tables import Table, distinct, format_row, headings, number
from radogaga.experiments.toy_density.settings import Config

COLUMNS = {
    "pearson": ("r", ".4f"),
    "pearson_log": ("r log", ".4f"),
    "pearson_log_exact": ("r log exact", ".4f"),
    "log_error_mean": ("error", "+.3f"),
    "log_error_sd": ("± sd", ".3f"),
    "log_error_exact_mean": ("error exact", "+.3f"),
    "log_error_exact_sd": ("± sd exact", ".3f"),
    "gram_diag_mean": ("diag", ".3f"),
    "gram_diag_sd": ("± sd diag", ".3f"),
    "gram_diag_predicted": ("diag predicted", ".3f"),
    "gram_off_rms": ("off-diag", ".3f"),
    "probe_r": ("probe r", ".4f"),
    "pearson_log_before_refit": ("r log before EM", ".4f"),
    "seconds": ("seconds", ".0f"),
}
"""Each figure of a row: its heading and its format."""

TERMINAL = {
    key: COLUMNS[key] for key in ("pearson", "pearson_log", "pearson_log_exact", "log_error_exact_sd", "gram_diag_mean")
}

SOURCES = {
    "flat": "a linear isometric image of the source in 16 dimensions: the paper's data, where PCA is the right answer",
    "rolled": "each source coordinate rolled on a circle: curved but isometric, which PCA cannot follow",
    "warped": "intrinsically curved: no flat latent space is isometric to it, so only the exact volume can be right",
}

READING = (
    "Every method estimates the density at the rows it was trained on, and each estimate is compared with the true "
    "density. r is Pearson's correlation of densities, r log that of log densities; 'exact' takes the volume factor "
    "from the Jacobian at every row, the other columns take the one constant that isometry promises. Errors are "
    "estimated minus true log density, in nats. diag and off-diag describe the Gram matrix J'AJ times 2 l2 s2, the "
    "identity where the embedding is isometric (a little under it by theory, since the rate is taken under noise: "
    "'diag predicted'); probe r is the correlation of inner products of random tangent vectors "
    "before and after the decoder. All figures are medians over seeds."
)
CAUTION = (
    "PCA + mixture is the best of nine (3, 4 or 6 dimensions, 3, 10 or 30 components), chosen by its agreement with "
    "the truth, which no real user could do. The untrained row is the published network as it starts, with a mixture "
    "on its latents: a random network is close to linear on flat data, so r alone says little there, and the error in "
    "nats says more. DAGMM's latents have no fixed scale; its errors are shown as if they had the data's. The exact "
    "volume factor makes a density of any embedding, DAGMM's too, if its mixture is fitted to all latents; what "
    "isometry adds is that the constant comes close to it."
)


def terminal_table(rows: Sequence[Row]) -> Table:
    """Return the medians as a table for the terminal."""
    summary = medians(rows)
    seeds = max(row["seeds"] for row in summary)
    return Table(
        f"Density on toy data, medians over {seeds} seeds" if seeds > 1 else "Density on toy data, 1 seed",
        ["data", "method", *headings(TERMINAL)],
        [[row["data"], row["method"], *format_row(row, TERMINAL)] for row in summary],
    )


def write(out: Path, config: Config, rows: Sequence[Row]) -> None:
    """Write the plots as PNG and ``report.html`` with all of them inside."""
    summary = medians(rows)
    parts = [
        html.paragraph("Experiment 5.2 of Kato et al., ICML 2020: is the density in the latent space the data's own?"),
        html.heading("Medians over seeds"),
        html.table(
            ["data", "method", "seeds", *headings(COLUMNS)],
            [[row["data"], row["method"], str(row["seeds"]), *format_row(row, COLUMNS)] for row in summary],
            words=2,
            grouped=True,
        ),
        html.paragraph(READING),
        html.paragraph(CAUTION),
    ]
    pictures = {}
    for source in distinct(rows, "data"):
        own = [row for row in rows if row["data"] == source]
        first = [row for row in own if row["seed"] == own[0]["seed"]]
        scatter = pictures[f"scatter-{source}"] = plots.png(_scatter(out, first))
        spread = pictures[f"spread-{source}"] = plots.png(_spread(own))
        parts += [
            html.heading(source),
            html.paragraph(f"{source}: {SOURCES[source]}."),
            html.picture(
                scatter,
                f"Estimated (upright) against true (across) log density in nats, seed {own[0]['seed']}, one dot a row. "
                "The median error is subtracted, and named in the title as the offset; on the line they are equal.",
            ),
            html.picture(
                spread, "How far log densities are from perfect correlation, one dot a seed, the bar at the median."
            ),
        ]
    write_report(out, "RaDOGAGA: density on toy data", parts, config, pictures)


def medians(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each source and method, every figure the median over its seeds."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["method"]), []).append(row)
    return [
        {"data": data, "method": method, "seeds": len(group), **_median_figures(group)}
        for (data, method), group in groups.items()
    ]


def _median_figures(group: Sequence[Row]) -> Row:
    figures = {}
    for key, value in group[0].items():
        values = [row[key] for row in group if isinstance(row.get(key), float)]
        if isinstance(value, float) and values:
            figures[key] = statistics.median(values)
    return figures


def _scatter(out: Path, rows: Sequence[Row]) -> Figure:
    panels = [(row, "constant", "pearson_log") for row in rows]
    panels += [(row, "exact", "pearson_log_exact") for row in rows if row["method"] == "default"]
    figure, axes = plots.panels(len(panels), columns=5, width=2.4, height=2.7)
    for place, (row, volume, r) in zip(axes, panels, strict=True):
        arrays = read_arrays(out, f"{row['data']}-{row['method']}-{row['seed']}")
        true, estimated = arrays["true"], arrays[volume]
        offset = float(np.median(estimated - true))
        name = f"{row['method']}, {volume} volume" if row["method"] == "default" else row["method"]
        limits = (float(np.quantile(true, 0.0005)) - 1, float(true.max()) + 1)
        title = f"{name}\nr = {number(row[r], '.3f')}, offset {offset:+.1f}"
        plots.density_scatter(place, true, estimated - offset, title=title, limits=limits)
    figure.supxlabel("true log density, nats", fontsize=9)
    figure.supylabel("estimated log density, nats", fontsize=9)
    return figure


def _spread(rows: Sequence[Row]) -> Figure:
    values: dict[str, list[float]] = {method: [] for method in distinct(rows, "method")}
    for row in rows:
        if row["pearson_log_exact"] is not None:
            values[row["method"]].append(1 - row["pearson_log_exact"])
    figure = Figure(figsize=(7, 0.35 * len(values) + 0.9), layout="constrained")
    label = "1 - r of log density, exact volume (left is better)"
    plots.seed_spread(figure.subplots(), values, label=label, scale="log")
    return figure
