"""Plots of arrays on axes; no files, no models."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, ACCENT, SOFT = "#22313f", "#c0392b", "#5b8db8"

Array = NDArray[np.number]


def png(figure: Figure) -> bytes:
    """Return a figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def panels(count: int, *, columns: int, width: float, height: float, margin: float = 0.0) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, ``(count,)``: panels of a width and height in inches.

    The margin, in inches, is added to the figure's height.
    """
    columns = min(columns, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * lines + margin), layout="constrained")
    places = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    for unused in places[count:]:
        unused.set_visible(False)
    return figure, places[:count]


def density_scatter(axes: Axes, true: Array, estimated: Array, *, title: str, limits: tuple[float, float]) -> None:
    """Scatter estimated against true log densities, ``(n,)`` in nats, with the line of equality.

    The limits are those of both axes; points outside are drawn at the border.
    """
    axes.plot(limits, limits, color=ACCENT, linewidth=1, zorder=3)
    axes.scatter(true, estimated.clip(*limits), s=3, alpha=0.25, color=SOFT, linewidths=0, rasterized=True)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    _style(axes, title)


def seed_spread(axes: Axes, values: Mapping[str, Sequence[float]], *, label: str, scale: str = "linear") -> None:
    """Draw each method's figures as one dot a seed, with the median as a bar."""
    for place, figures in enumerate(values.values()):
        finite = [figure for figure in figures if np.isfinite(figure)]
        axes.scatter(finite, [place] * len(finite), s=14, alpha=0.6, color=SOFT, linewidths=0)
        if finite:
            axes.plot([np.median(finite)] * 2, [place - 0.3, place + 0.3], color=INK, linewidth=2)
    axes.set_xscale(scale)
    _name_lines(axes, list(values), label)
    axes.invert_yaxis()


def reference_marks(axes: Axes, values: Sequence[float | None], *, label: str) -> None:
    """Add to `seed_spread` a mark on every line that has a figure to compare with, and a legend if there is one."""
    known = [(value, place) for place, value in enumerate(values) if value is not None]
    if known:
        x, y = zip(*known, strict=True)
        axes.scatter(x, y, s=90, marker="|", color=ACCENT, linewidths=2, zorder=3, label=label)
        axes.figure.legend(loc="outside upper right", fontsize=7, frameon=False)


def score_histogram(
    axes: Axes, edges: Array, normal: Array, anomaly: Array, *, title: str, share: float | None = None
) -> None:
    """Draw the scores of normal rows and of anomalies, counts ``(b,)`` in bins ``(b + 1,)``, as shares of their sums.

    With the share of all rows that is called anomalies, a line marks the score under which they lie, to a bin's width.
    """
    kinds = (("normal", normal, SOFT), ("anomaly", anomaly, ACCENT))
    for label, counts, color in kinds:
        shares = counts / max(counts.sum(), 1)
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.3, label=label)
        axes.stairs(shares, edges, color=color, linewidth=0.8)
    if share is not None:
        counted = np.concatenate([[0], np.cumsum(normal + anomaly)])
        cut = float(np.interp(share * counted[-1], counted, edges))
        axes.axvline(cut, color=INK, linewidth=1, linestyle="--", label="called anomalies: left of this")
    # Anomalies are few: on a linear axis one tall bin of normal rows hides them.
    axes.set_yscale("log")
    axes.set_ylim(0.5 / max(counts.sum() for _, counts, _ in kinds), 1.5)
    axes.locator_params(axis="x", nbins=4)
    _style(axes, title)


def precision_recall(
    axes: Axes,
    curves: Mapping[str, tuple[Array, Array]],
    *,
    title: str,
    behind: Sequence[tuple[Array, Array]] = (),
) -> None:
    """Draw precision against recall, pairs of (recall, precision) by name, with others in grey behind them."""
    for recall, precision in behind:
        axes.plot(recall, precision, color="#d5dce3", linewidth=0.8, zorder=1)
    for place, (name, (recall, precision)) in enumerate(curves.items()):
        # Ten colours, then the same ones dashed.
        style = "-" if place < 10 else "--"
        axes.plot(recall, precision, color=f"C{place % 10}", linestyle=style, linewidth=1.3, label=name)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    _style(axes, title)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=7, frameon=False)


def grouped_means(axes: Axes, groups: Mapping[str, Mapping[str, Sequence[float]]], *, label: str) -> None:
    """Draw the mean of each case, with a standard deviation to either side, one colour a group and one line a case."""
    cases = list(dict.fromkeys(case for group in groups.values() for case in group))
    for place, (name, group) in enumerate(groups.items()):
        shift = 0.5 * ((place + 0.5) / len(groups) - 0.5)
        lines = [cases.index(case) + shift for case in group]
        means = [float(np.mean(figures)) for figures in group.values()]
        spreads = [float(np.std(figures, ddof=1)) if len(figures) > 1 else 0.0 for figures in group.values()]
        axes.errorbar(means, lines, xerr=spreads, fmt="o", markersize=4, capsize=2, linewidth=1, label=name)
    _name_lines(axes, cases, label)
    axes.set_ylim(len(cases) - 0.5, -0.5)
    axes.figure.legend(loc="outside right upper", fontsize=7, frameon=False)


def probe_scatter(axes: Axes, before: Array, after: Array, *, title: str) -> None:
    """Scatter inner products of tangent vectors, ``(n,)``, after the decoder against before, with the diagonal."""
    reach = 1.05 * float(np.abs(np.concatenate([before, after])).max(initial=1e-9))
    axes.plot([-reach, reach], [-reach, reach], color=ACCENT, linewidth=1, zorder=1)
    axes.scatter(before, after, s=6, alpha=0.5, color=SOFT, linewidths=0, zorder=2)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    _style(axes, title)


def spectrum(axes: Axes, variance: Array, measured: Array) -> None:
    """Draw each latent's variance, ``(N,)`` in the distortion's units, as a bar, and measured importances as dots.

    The importances, ``(A,)``, are those of the first A latents: the distortion when a latent is set to its mean.
    """
    axes.bar(np.arange(len(variance)), variance, width=0.8, color=SOFT, label="variance times the constant")
    axes.scatter(np.arange(len(measured)), measured, s=10, color=ACCENT, zorder=3, label="measured importance")
    axes.set_yscale("log")
    positive = np.concatenate([variance[variance > 0], measured[measured > 0]])
    if len(positive):
        axes.set_ylim(max(positive.min(), 1e-6 * positive.max()) / 2, 2 * positive.max())
    axes.set_xlabel("latent, by variance", fontsize=8)
    axes.set_ylabel("distortion", fontsize=8)
    axes.legend(fontsize=7, frameon=False)
    axes.tick_params(labelsize=7)


def picture_grid(axes: Axes, pictures: NDArray[np.uint8], *, names: Sequence[str]) -> None:
    """Draw pictures in rows and columns, ``(rows, columns, C, H, W)``, with a name for each row."""
    rows, columns, channels, height, width = pictures.shape
    image = pictures.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    axes.imshow(image if channels == 3 else image[..., 0], cmap=None if channels == 3 else "gray", vmin=0, vmax=255)
    axes.set_yticks([height * (row + 0.5) for row in range(rows)], list(names), fontsize=7)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, color=INK)
    axes.tick_params(labelsize=7)


def _name_lines(axes: Axes, names: Sequence[str], label: str) -> None:
    """Name the lines of a plot of one line a case, and its horizontal axis."""
    axes.grid(axis="x", color="#e3e8ed", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(names)), list(names), fontsize=8)
    axes.set_xlabel(label, fontsize=8)
    axes.tick_params(labelsize=7)
