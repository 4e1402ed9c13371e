import numpy as np
from matplotlib.figure import Figure

from radogaga.experiments import plots


def test_a_figure_becomes_a_png():
    figure = Figure()
    plots.seed_spread(figure.subplots(), {"a": [0.5, np.nan], "b": []}, label="r", scale="log")
    assert plots.png(figure).startswith(b"\x89PNG")


def test_panels_beyond_their_number_are_not_drawn():
    figure, places = plots.panels(5, columns=3, width=1, height=1)
    assert len(places) == 5
    assert [axes.get_visible() for axes in figure.axes] == [True] * 5 + [False]


def test_a_density_scatter_marks_equality_and_keeps_outliers_inside():
    axes = Figure().subplots()
    plots.density_scatter(axes, np.zeros(3), np.array([-100.0, 0.0, 100.0]), title="t", limits=(-1, 1))
    heights = axes.collections[0].get_offsets()[:, 1]
    assert heights.min() == -1
    assert heights.max() == 1
