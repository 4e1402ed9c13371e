"""One HTML page that shows a fitted model: columns, spectrum, training curve."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from radogaga._utils import html
from radogaga.tabular.model import TabularModel
from radogaga.tabular.summary import describe_columns, facts, summarize


def render_page(model: TabularModel, title: str) -> str:
    """Return the page of a model; it needs nothing beside it."""
    return html.page(
        title,
        [
            html.paragraph(summarize(model)),
            html.table(("", ""), facts(model), words=2),
            html.heading("Spectrum and training"),
            html.picture(
                _figure(model),
                "Left: what each latent carries of the variance. Right: the terms of the loss as trained.",
            ),
            html.heading("Columns"),
            html.table(("column", "holds"), describe_columns(model), words=2, wrap=True),
        ],
    )


def _figure(model: TabularModel) -> bytes:
    figure = Figure(figsize=(9, 3), layout="constrained")
    spectrum, training = figure.subplots(1, 2)
    spectrum.bar(range(1, model.n_components + 1), model.explained_variance_ratio)
    spectrum.set(xlabel="latent", ylabel="share of the variance")
    for name in ("rate", "reconstruction", "isometry"):
        training.plot(model.history.step, getattr(model.history, name), label=name)
    training.set(xlabel="step", ylabel="nats")
    training.legend(fontsize=7, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
