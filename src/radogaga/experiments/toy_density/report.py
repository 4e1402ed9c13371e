"""Experiment 5.2's result as a terminal table, plots and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from radogaga._utils import html as report
from radogaga._utils.files import write_bytes, write_text
from radogaga.experiments import plots as plotting
from radogaga.experiments.runs import Row, environment, read_arrays
from radogaga.experiments.toy_density.experiment import Config, medians

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

TERMINAL = ("pearson", "pearson_log", "pearson_log_exact", "log_error_exact_sd", "gram_diag_mean")

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


def write(out: Path, config: Config, rows: Sequence[Row]) -> None:
    """Write the plots as PNG and ``report.html`` with all of them inside."""
    pictures = {}
    for source in config.sources:
        pictures[f"scatter-{source}"] = report.png(_scatter(out, config, source))
        pictures[f"spread-{source}"] = report.png(_spread(config, source, rows))
    for name, image in pictures.items():
        write_bytes(out / f"{name}.png", image)
    write_text(out / "report.html", _page(config, rows, pictures))


def terminal_table(rows: Sequence[Row]) -> Table:
    """Return the medians as a table for the terminal."""
    summary = medians(rows)
    seeds = max(row["seeds"] for row in summary)
    table = Table(
        title=f"Density on toy data, medians over {seeds} seeds" if seeds > 1 else "Density on toy data, 1 seed"
    )
    table.add_column("data", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for key in TERMINAL:
        table.add_column(COLUMNS[key][0], justify="right")
    previous = None
    for row in summary:
        if previous and row["data"] != previous:
            table.add_section()
        previous = row["data"]
        table.add_row(row["data"], row["method"], *(_cell(row, key) for key in TERMINAL))
    return table


def _page(config: Config, rows: Sequence[Row], pictures: dict[str, bytes]) -> str:
    summary = medians(rows)
    starts = [i for i, row in enumerate(summary) if i and row["data"] != summary[i - 1]["data"]]
    headings = ["data", "method", "seeds", *(heading for heading, _ in COLUMNS.values())]
    cells = [[row["data"], row["method"], str(row["seeds"]), *(_cell(row, key) for key in COLUMNS)] for row in summary]
    parts = [
        report.paragraph(
            "Experiment 5.2 of Kato et al., ICML 2020: is the density in the latent space the data's own?"
        ),
        report.heading("Medians over seeds"),
        report.table(headings, cells, words=2, group_starts=starts),
        report.paragraph(READING),
        report.paragraph(CAUTION),
    ]
    for source in config.sources:
        about = SOURCES[source]
        parts += [
            report.heading(source),
            report.paragraph(f"{source}: {about}."),
            report.picture(
                pictures[f"scatter-{source}"],
                f"Estimated (upright) against true (across) log density in nats, seed {config.seed}, one dot a row. "
                "The median error is subtracted, and named in the title as the offset; on the line they are equal.",
            ),
            report.picture(
                pictures[f"spread-{source}"],
                "How far log densities are from perfect correlation, one dot a seed, the bar at the median.",
            ),
        ]
    parts += [report.heading("How it was made"), report.preformatted(_made(config))]
    return report.page("RaDOGAGA: density on toy data", parts)


def _made(config: Config) -> str:
    lines = [f"{key}: {value}" for key, value in (config.described() | environment()).items()]
    return "\n".join(lines)


def _cell(row: Row, key: str) -> str:
    value = row.get(key)
    return "" if value is None else format(value, COLUMNS[key][1])


def _scatter(out: Path, config: Config, source: str) -> Figure:
    panels = [(method, "constant") for method in config.methods]
    panels += [("default", "exact")] if "default" in config.methods else []
    columns = min(5, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.7 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for place, (method, volume) in zip(axes, panels, strict=False):
        arrays = read_arrays(out, f"{source}-{method}-{config.seed}")
        true, estimated = arrays["true"], arrays[volume]
        offset = float(np.median(estimated - true))
        r = float(np.corrcoef(true, estimated)[0, 1])
        name = f"{method}, {volume} volume" if method == "default" else method
        limits = (float(np.quantile(true, 0.0005)) - 1, float(true.max()) + 1)
        title = f"{name}\nr = {r:.3f}, offset {offset:+.1f}"
        plotting.density_scatter(place, true, estimated - offset, title=title, limits=limits)
    for place in axes[len(panels) :]:
        place.set_visible(False)
    figure.supxlabel("true log density, nats", fontsize=9)
    figure.supylabel("estimated log density, nats", fontsize=9)
    return figure


def _spread(config: Config, source: str, rows: Sequence[Row]) -> Figure:
    values: dict[str, list[float]] = {method: [] for method in config.methods}
    for row in rows:
        if row["data"] == source and row["pearson_log_exact"] is not None:
            values[row["method"]].append(1 - row["pearson_log_exact"])
    figure = Figure(figsize=(7, 0.35 * len(values) + 0.9), layout="constrained")
    plotting.seed_spread(
        figure.subplots(), values, label="1 - r of log density, exact volume (left is better)", scale="log"
    )
    return figure
