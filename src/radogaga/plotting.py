"""Arrays onto axes; no files, no models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

INK, ACCENT, SOFT = "#22313f", "#c0392b", "#5b8db8"


def density_scatter(
    axes: Axes, true: NDArray[np.floating], estimated: NDArray[np.floating], *, title: str, limits: tuple[float, float]
) -> None:
    """Scatter estimated against true log densities, in nats, with the line on which they are equal.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    true, estimated : arrays
        Log densities, ``(n,)``.
    title : str
        Above the plot.
    limits : (float, float)
        Both axes' range, so that panels compare; points outside are drawn at the border.
    """
    axes.plot(limits, limits, color=ACCENT, linewidth=1, zorder=3)
    axes.scatter(true, estimated.clip(*limits), s=3, alpha=0.25, color=SOFT, linewidths=0, rasterized=True)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_title(title, fontsize=9, color=INK)
    axes.tick_params(labelsize=7)


def seed_spread(axes: Axes, values: Mapping[str, Sequence[float]], *, label: str, scale: str = "linear") -> None:
    """Draw each method's figure as one dot a seed, with its median as a bar.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    values : mapping
        A method's name to its figures.
    label : str
        What the figures are.
    scale : str
        matplotlib's scale of the figures' axis.
    """
    for place, figures in enumerate(values.values()):
        finite = [figure for figure in figures if np.isfinite(figure)]
        axes.scatter(finite, [place] * len(finite), s=14, alpha=0.6, color=SOFT, linewidths=0)
        if finite:
            axes.plot([np.median(finite)] * 2, [place - 0.3, place + 0.3], color=INK, linewidth=2)
    axes.set_xscale(scale)
    axes.grid(axis="x", color="#e3e8ed", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(values)), list(values), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(label, fontsize=8)
    axes.tick_params(labelsize=7)
