"""Experiment 5.1's result as a terminal table, plots named as the authors' and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.table import Table

from radogaga._utils import html as report
from radogaga._utils.files import write_bytes, write_text
from radogaga.experiments import plots as plotting
from radogaga.experiments.baselines.beta_vae import BetaVAE
from radogaga.experiments.image_isometry.experiment import Config
from radogaga.experiments.runs import Row, environment, read_arrays
from radogaga.images import Pictures
from radogaga.method.objective import RateDistortion

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
COLUMNS = ISOMETRY | QUALITY
"""Each figure of a row: its heading and its format."""

TERMINAL = (
    "active",
    "probe_r",
    "diag_ratio",
    "off_rms",
    "condition_ratio",
    "psnr",
    "over_pca",
    "ssim_over_pca",
    "rate",
)

METRICS = {"mse": "squared error", "ssim": "1 - SSIM"}

MODELS = {
    "recommended": "RaDOGAGA(d) from PCA under the metric, which reconstructions count by as well, with stiffness; its "
    "noise has a twentieth of the last latent's variance",
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


def with_pca(out: Path, rows: Sequence[Row]) -> list[Row]:
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


def write(out: Path, config: Config, rows: Sequence[Row]) -> None:
    """Write the plots as PNG and ``report.html`` with all of them inside."""
    pictures: dict[str, bytes] = {}
    for row in rows:
        arrays = read_arrays(out, f"{row['metric']}-{row['model']}")
        metric, model = row["metric"], row["model"]
        drawn = {
            f"{model}_isometric_{metric}": _probe(row, arrays),
            f"{model}_variance_df_{metric}": _spectrum(arrays),
            f"{model}_reconstructions_{metric}": _reconstructions(arrays["shown"]),
        }
        if row["active"]:
            drawn[f"{model}_gram_{metric}"] = _gram(arrays)
            drawn[f"{model}_traverse_top9_{metric}"] = _traverses(arrays, ranks=range(9))
        if arrays["traversed"].max(initial=0) > 9:
            drawn[f"{model}_traverse_later_{metric}"] = _traverses(arrays, ranks=range(9, 1000))
        pictures |= {name: report.png(figure) for name, figure in drawn.items()}
    for name, image in pictures.items():
        write_bytes(out / f"{name}.png", image)
    write_text(out / "report.html", _page(config, rows, pictures))


def write_samples(out: Path, name: str, model: RateDistortion | BetaVAE, test: Pictures, step: int) -> None:
    """Write how a model in training rebuilds a few pictures, as ``out/samples/NAME.png``."""
    x = test[:8]
    training = model.training
    model.eval()
    with torch.no_grad():
        rebuilt = _rebuild(model, x.to(next(model.parameters()).device)).cpu()
    model.train(training)
    shown = (255 * torch.stack([x, rebuilt.clamp(0, 1)])).round().to(torch.uint8).numpy()
    figure = Figure(figsize=(7, 2.2), layout="constrained")
    plotting.picture_grid(figure.subplots(), shown, names=["held out", f"step {step}"])
    write_bytes(out / "samples" / f"{name}.png", report.png(figure))


def _rebuild(model: RateDistortion | BetaVAE, x: torch.Tensor) -> torch.Tensor:
    if isinstance(model, BetaVAE):
        out: torch.Tensor = model.decoder(model.encode(x)[0])
        return out
    rebuilt: torch.Tensor = model.autoencoder.decode(model.autoencoder.encode(x))
    return rebuilt


def terminal_table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table for the terminal."""
    table = Table(title="Isometry on held-out pictures, active latents")
    for heading in ("metric", "model"):
        table.add_column(heading, no_wrap=True)
    for key in TERMINAL:
        table.add_column(COLUMNS[key][0], justify="right")
    previous = None
    for row in rows:
        if previous and row["metric"] != previous:
            table.add_section()
        previous = row["metric"]
        table.add_row(row["metric"], row["model"], *(_cell(row, key) for key in TERMINAL))
    return table


def _page(config: Config, rows: Sequence[Row], pictures: dict[str, bytes]) -> str:
    parts = [
        report.paragraph(
            "Experiment 5.1 of Kato et al., ICML 2020: is a unit step in latent space a unit step in pictures?"
        ),
        report.heading("How isometric"),
        _table(rows, ISOMETRY),
        report.heading("At what rate, how well rebuilt"),
        _table(rows, QUALITY),
        report.paragraph(READING),
    ]
    for row in rows:
        parts += _section(row, pictures)
    parts += [report.heading("How it was made"), report.preformatted(_made(config))]
    return report.page("RaDOGAGA: isometry on images", parts)


def _table(rows: Sequence[Row], columns: dict[str, tuple[str, str]]) -> str:
    return report.table(
        ["metric", "model", *(heading for heading, _ in columns.values())],
        [[row["metric"], row["model"], *(_cell(row, key) for key in columns)] for row in rows],
        words=2,
        group_starts=[i for i, row in enumerate(rows) if i and row["metric"] != rows[i - 1]["metric"]],
    )


def _section(row: Row, pictures: dict[str, bytes]) -> list[str]:
    metric, model = row["metric"], row["model"]
    captions = {
        "isometric": "Figure 4: inner products of pairs of tangent vectors after the decoder (upright) against before "
        "(across), ten pairs a picture, in active and in all latents; on the line they are equal.",
        "variance_df": "Figure 5: variance of each latent times the constant (bars) and the distortion when it is set "
        "to its mean (dots).",
        "gram": "Mean of J'AJ times the constant over pictures, active latents: the identity where it is isometric.",
        "traverse_top9": "Figure 6: the leading latents, one a row, from -2 to +2 standard deviations around the mean.",
        "traverse_later": "The same for latents further down.",
        "reconstructions": "Held-out pictures, rebuilt from clean and from noisy latents.",
    }
    parts = [report.heading(f"{model}, {METRICS[metric]}"), report.paragraph(f"{MODELS[model]}.")]
    for kind, caption in captions.items():
        if image := pictures.get(f"{model}_{kind}_{metric}"):
            parts.append(report.picture(image, caption))
    return parts


def _made(config: Config) -> str:
    return "\n".join(f"{key}: {value}" for key, value in (config.described() | environment()).items())


def _cell(row: Row, key: str) -> str:
    value = row.get(key)
    return "" if value is None else format(value, COLUMNS[key][1])


def _probe(row: Row, arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    count = {"active": row["active"], "all": row["latents"]}
    r = {"active": row.get("probe_r"), "all": row["probe_r_all"]}
    for axes, which in zip(figure.subplots(1, 2), ("active", "all"), strict=True):
        before, after = arrays[f"probe_{which}_z"], arrays[f"probe_{which}_x"]
        shown = "" if r[which] is None else f", r = {r[which]:.4f}"
        plotting.probe_scatter(axes, before, after, title=f"{count[which]} {which} latents{shown}")
    figure.supxlabel("inner product of latent vectors", fontsize=8)
    figure.supylabel("of their images, under the metric", fontsize=8)
    return figure


def _spectrum(arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(6.4, 3), layout="constrained")
    axes = figure.subplots()
    live, variance = arrays["live"], arrays["spectrum"]
    rest = np.setdiff1d(np.arange(len(variance)), live)
    ordered = np.concatenate([variance[live], np.sort(variance[rest])[::-1]])
    plotting.spectrum(axes, ordered, arrays["importance"], title="")
    axes.legend(fontsize=7, frameon=False)
    axes.set_ylabel("distortion", fontsize=8)
    return figure


def _gram(arrays: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(3.6, 3.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(arrays["gram"], cmap="RdBu_r", vmin=-1.2, vmax=1.2)
    figure.colorbar(image, ax=axes)
    axes.tick_params(labelsize=7)
    return figure


def _traverses(arrays: dict[str, np.ndarray], *, ranks: range) -> Figure:
    chosen = [i for i, rank in enumerate(arrays["traversed"]) if rank in ranks]
    figure = Figure(figsize=(6, 0.62 * len(chosen) + 0.3), layout="constrained")
    names = [str(arrays["traversed"][i]) for i in chosen]
    plotting.picture_grid(figure.subplots(), arrays["traverses"][chosen], names=names)
    return figure


def _reconstructions(shown: np.ndarray) -> Figure:
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    plotting.picture_grid(figure.subplots(), shown, names=["held out", "rebuilt", "from noisy"])
    return figure
