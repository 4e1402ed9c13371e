import numpy as np
from matplotlib.figure import Figure

from radogaga._utils import html as report
from radogaga.experiments import plots as plotting


def test_a_page_escapes_what_it_is_given_and_needs_nothing_beside_it():
    figure = Figure()
    plotting.seed_spread(figure.subplots(), {"a": [0.5, np.nan], "b": []}, label="r", scale="log")
    parts = [
        report.heading("<h>"),
        report.paragraph("a < b"),
        report.table(["x"], [["<td>"]], group_starts=[0]),
        report.picture(report.png(figure), "caption & more"),
        report.preformatted("$ command"),
    ]
    page = report.page("<title>", parts)
    assert ">&lt;td&gt;</td>" in page
    assert "a &lt; b" in page
    assert 'src="http' not in page
    assert "data:image/png;base64," in page


def test_a_density_scatter_marks_equality_and_keeps_outliers_inside():
    axes = Figure().subplots()
    plotting.density_scatter(axes, np.zeros(3), np.array([-100.0, 0.0, 100.0]), title="t", limits=(-1, 1))
    heights = axes.collections[0].get_offsets()[:, 1]
    assert heights.min() == -1
    assert heights.max() == 1
