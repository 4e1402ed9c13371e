"""Experiment 5.1's result: a table, plots named as the authors' and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from radogaga._utils import html
from radogaga.experiments import plots
from radogaga.experiments.image_isometry.settings import Config
from radogaga.experiments.page import write_report
from radogaga.experiments.runs import Arrays, Row, read_arrays
from radogaga.experiments.tables import Columns, Table, format_row, headings

ISOMETRY = {
    "active": ("active", "d"),
    "latents": ("latents", "d"),
    "probe_r": ("r", ".4f"),
    "probe_r_predicted": ("r by theory", ".4f"),
    "probe_r_all": ("r, all", ".4f"),
    "diag_mean": ("diag", ".3f"),
    "diag_sd": ("± sd", ".3f"),
    "diag_predicted": ("predicted", ".3f"),
    "diag_ratio": ("diag / predicted", ".3f"),
    "diag_ratio_sd": ("± sd of ratio", ".3f"),
    "diag_ratio_latent_sd": ("of its means", ".3f"),
    "off_rms": ("off-diag", ".3f"),
    "condition": ("condition", ".1f"),
    "condition_ratio": ("condition / predicted", ".2f"),
    "importance_r": ("importance r", ".4f"),
    "importance_worst": ("worst factor", ".2f"),
}
QUALITY = {
    "rate": ("rate, nats", ".1f"),
    "bits_per_pixel": ("bits per pixel", ".4f"),
    "psnr": ("PSNR", ".2f"),
    "psnr_noisy": ("PSNR, noisy", ".2f"),
    "over_pca": ("dB over PCA", "+.2f"),
    "over_pca_at_rate": ("dB over PCA at its rate", "+.2f"),
    "ssim": ("SSIM", ".3f"),
    "ssim_over_pca": ("SSIM over PCA", "+.3f"),
    "ssim_noisy": ("SSIM, noisy", ".3f"),
    "seconds": ("seconds", ".0f"),
}
_SHORT = ("active", "probe_r", "diag_ratio", "off_rms", "condition_ratio", "psnr", "over_pca", "ssim_over_pca", "rate")
TERMINAL = {key: (ISOMETRY | QUALITY)[key] for key in _SHORT}

CAPTIONS = {
    "isometric": "Figure 4: inner products of pairs of tangent vectors after the decoder (upright) against before "
    "(across), ten pairs a picture, in active and in all latents; on the line they are equal.",
    "variance_df": "Figure 5: variance of each latent times the constant (bars) and the distortion when it is set "
    "to its mean (dots).",
    "gram": "Mean of J'AJ times the constant over pictures, active latents: the identity where it is isometric.",
    "traverse_top9": "Figure 6: the leading latents, one a row, from -2 to +2 standard deviations around the mean.",
    "traverse_later": "The same for latents further down.",
    "reconstructions": "Held-out pictures, rebuilt from clean and from noisy latents.",
}

METRICS = {"mse": "squared error", "ssim": "1 - SSIM"}

MODELS = {
    "recommended": "RaDOGAGA(d) from PCA under the metric, which measures reconstructions as well, with an isometry "
    "penalty; its noise has a twentieth of the last latent's variance",
    "radogaga": "RaDOGAGA(d) from a random start",
    "radogaga-aligned": "the same, its latents turned and scaled after training by the one linear map that makes J'AJ "
    "on training pictures what theory has on average, which gradients are slow to find; it rebuilds what it did",
    "radogaga-log": "RaDOGAGA(log d) with the authors' weights, from a random start",
    "radogaga-log-aligned": "the same, its latents turned and scaled after training",
    "beta-vae": "beta-VAE, its distortion decomposed as RaDOGAGA's is: the authors' baseline",
    "beta-vae-plain": "beta-VAE as it is commonly trained",
    "beta-vae-rescaled": "the plain beta-VAE, each latent counted in its posterior's standard deviations",
    "pca": "PCA under the metric: isometric where the metric is constant, and what isometry alone is worth",
}

READING = (
    "All figures are taken on held-out pictures. A latent is active if its variance is at least its noise's; figures "
    "are over active latents unless they say 'all'. r is the correlation of inner products of isotropic tangent "
    "vectors before and after the decoder, taken exactly by Jacobians; by theory it is under 1 where the diagonal is "
    "not the same for all latents. diag, off-diag and condition describe J'AJ times 2 l2 s2, the identity where the "
    "embedding is isometric; 'predicted' is what theory has for the diagonal with the rate at noisy latents, v / (v + "
    "s2). Where a model fixes no constant (beta-VAE as it is), the mean diagonal is set to 1. Importance compares "
    "variance times the constant with the distortion when a latent is set to its mean: the correlation of logarithms, "
    "and the worst factor between the two. The rate is the information in noisy latents. PSNR is that of the mean "
    "squared error over all pictures; 'noisy' adds the noise that the rate pays for. 'Over PCA' compares with PCA of "
    "as many components under the metric, 'at its rate' at noisy latents with PCA's noise chosen so that its rate is "
    "the same and its latents shrunk as is best for squared error; it is left out beyond the rates that were measured "
    "of PCA."
)


def terminal_table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table for the terminal."""
    return Table("Isometry on held-out pictures, active latents", *_cells(rows, TERMINAL))


def write(out: Path, config: Config, rows: Sequence[Row]) -> None:
    """Write the plots as PNG and ``report.html`` with all of them inside."""
    parts = [
        html.paragraph(
            "Experiment 5.1 of Kato et al., ICML 2020: is a unit step in latent space a unit step in pictures?"
        ),
        html.heading("How isometric"),
        html.table(*_cells(rows, ISOMETRY), words=2, grouped=True),
        html.heading("At what rate, how well rebuilt"),
        html.table(*_cells(rows, QUALITY), words=2, grouped=True),
        html.paragraph(READING),
    ]
    pictures: dict[str, bytes] = {}
    for row in rows:
        metric, model = row["metric"], row["model"]
        parts += [html.heading(f"{model}, {METRICS[metric]}"), html.paragraph(f"{MODELS[model]}.")]
        figures = _figures(row, read_arrays(out, f"{metric}-{model}"))
        for kind, caption in CAPTIONS.items():
            if kind in figures:
                image = pictures[f"{model}_{kind}_{metric}"] = plots.png(figures[kind])
                parts.append(html.picture(image, caption))
    write_report(out, "RaDOGAGA: isometry on images", parts, config, pictures)


def compare_with_pca(out: Path, rows: Sequence[Row]) -> list[Row]:
    """Return the rows with what each has over PCA in decibels and in SSIM, where PCA is among them."""
    found = {row["metric"]: row for row in rows if row["model"] == "pca"}
    return [row | (_over_pca(out, row, found[row["metric"]]) if row["metric"] in found else {}) for row in rows]


def _over_pca(out: Path, row: Row, pca: Row) -> Row:
    curve = read_arrays(out, f"{pca['metric']}-pca")
    order = curve["pca_rate"].argsort()
    rate, psnr = curve["pca_rate"][order], curve["pca_psnr"][order]
    figures: Row = {"over_pca": row["psnr"] - pca["psnr"], "ssim_over_pca": row["ssim"] - pca["ssim"]}
    if rate[0] <= row["rate"] <= rate[-1]:
        figures["over_pca_at_rate"] = row["psnr_noisy"] - float(np.interp(row["rate"], rate, psnr))
    return figures


def _cells(rows: Sequence[Row], columns: Columns) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the cells of a table."""
    cells = [[row["metric"], row["model"], *format_row(row, columns)] for row in rows]
    return ["metric", "model", *headings(columns)], cells


def _figures(row: Row, arrays: Arrays) -> dict[str, Figure]:
    """Return the plots of a row by kind; those of active latents only if there are any."""
    figures = {
        "isometric": _probe(row, arrays),
        "variance_df": _spectrum(arrays),
        "reconstructions": _reconstructions(arrays["shown"]),
    }
    if row["active"]:
        figures["gram"] = _gram(arrays)
        figures["traverse_top9"] = _traverses(arrays, ranks=range(9))
    if arrays["traversed"].max(initial=0) > 9:
        figures["traverse_later"] = _traverses(arrays, ranks=range(9, 1000))
    return figures


def _probe(row: Row, arrays: Arrays) -> Figure:
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    count = {"active": row["active"], "all": row["latents"]}
    r = {"active": row.get("probe_r"), "all": row["probe_r_all"]}
    for axes, which in zip(figure.subplots(1, 2), ("active", "all"), strict=True):
        before, after = arrays[f"probe_{which}_z"], arrays[f"probe_{which}_x"]
        shown = "" if r[which] is None else f", r = {r[which]:.4f}"
        plots.probe_scatter(axes, before, after, title=f"{count[which]} {which} latents{shown}")
    figure.supxlabel("inner product of latent vectors", fontsize=8)
    figure.supylabel("of their images, under the metric", fontsize=8)
    return figure


def _spectrum(arrays: Arrays) -> Figure:
    figure = Figure(figsize=(6.4, 3), layout="constrained")
    live, variance = arrays["live"], arrays["spectrum"]
    rest = np.setdiff1d(np.arange(len(variance)), live)
    ordered = np.concatenate([variance[live], np.sort(variance[rest])[::-1]])
    plots.spectrum(figure.subplots(), ordered, arrays["importance"])
    return figure


def _gram(arrays: Arrays) -> Figure:
    figure = Figure(figsize=(3.6, 3.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(arrays["gram"], cmap="RdBu_r", vmin=-1.2, vmax=1.2)
    figure.colorbar(image, ax=axes)
    axes.tick_params(labelsize=7)
    return figure


def _traverses(arrays: Arrays, *, ranks: range) -> Figure:
    chosen = [i for i, rank in enumerate(arrays["traversed"]) if rank in ranks]
    figure = Figure(figsize=(6, 0.62 * len(chosen) + 0.3), layout="constrained")
    names = [str(arrays["traversed"][i]) for i in chosen]
    plots.picture_grid(figure.subplots(), arrays["traverses"][chosen], names=names)
    return figure


def _reconstructions(shown: np.ndarray) -> Figure:
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    plots.picture_grid(figure.subplots(), shown, names=["held out", "rebuilt", "from noisy"])
    return figure
