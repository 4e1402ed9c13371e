"""A fitted estimator and its explanations for a person to read: in a terminal, as a page, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.table import TableEncoder as Lines
from rich.text import Text

from radogaga._utils import html as report
from radogaga.tabular.columns.types import ColumnType, restored
from radogaga.tabular.estimator import RaDOGAGA
from radogaga.tabular.explanation import Explanation, shown
from radogaga.tabular.scoring import Chosen
from radogaga.tabular.standardize import Array

_BLOCKS = " ▁▂▃▄▅▆▇█"
_MOST_LINES = 12


def summary(model: RaDOGAGA) -> str:
    """Return one line on what was fitted: rows, columns by kind, latents, the threshold.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import RaDOGAGA
    >>> from radogaga.tabular.summary import summary
    >>> model = RaDOGAGA(max_steps=0, random_state=0).fit(np.random.RandomState(0).normal(size=(100, 2)))
    >>> summary(model)
    '100 rows, 2 columns (2 numbers), 2 latents, alarms under ... nats'
    """
    table = model._table
    column_types = ", ".join(_many(count, kind) for kind, count in Counter(table.column_types).items())
    return (
        f"{table.rows:,} rows, {len(table.column_types)} columns ({column_types}), {model.n_components_} latents, "
        f"alarms under {model.offset_:.1f} nats"
    )


def portrait(model: RaDOGAGA) -> Iterator[RenderableType]:
    """Give what a terminal shows of a model, part by part."""
    yield Text(summary(model))
    yield _lines(("column", "holds"), _columns(model)[: 4 * _MOST_LINES], right=0)
    if len(model._table.column_types) > 4 * _MOST_LINES:
        yield Text(f"... {len(model._table.column_types)} columns in all")
    for name, value in _facts(model):
        yield Text(f"{name:<12} {value}")


def page(model: RaDOGAGA, title: str) -> str:
    """Return one HTML page that shows a model: columns, spectrum, training curve."""
    parts = [report.paragraph(summary(model))]
    parts += [report.table(("", ""), _facts(model), words=2)]
    parts += [report.heading("Spectrum and training"), report.picture(*_figure(model))]
    parts += [report.heading("Columns"), report.table(("column", "holds"), _columns(model), words=2, wrap=True)]
    return report.page(title, parts)


def explanations(model: RaDOGAGA, explanation: Explanation, chosen: Chosen) -> Iterator[RenderableType]:
    """Give what a terminal shows of explained rows: a line and a table for each."""
    p_values = model.p_value_of(explanation.score)
    for i, (row, id_) in enumerate(zip(chosen.rows, chosen.ids, strict=True)):
        alarm = "an alarm" if explanation.score[i] < model.offset_ else "no alarm"
        name = f"Row {row}" + ("" if id_ is None else f" ({id_})")
        yield Text(
            f"{name}: log density {explanation.score[i]:.1f} nats, p-value {p_values[i]:.2g}, {alarm}; "
            f"{explanation.score[i] - explanation.baseline[i]:+.1f} nats from a typical row",
            style="bold",
        )
        yield _contributions(explanation, i)
        for j in np.flatnonzero(explanation.changed_constant[i] & ~explanation.unseen[i])[:_MOST_LINES]:
            yield Text(
                f"{explanation.columns[j]} was {shown(explanation.typical.iat[i, j])} in all training rows and is "
                f"{shown(explanation.values.iat[i, j])}: such a column carries no density."
            )
        yield Text()


def as_json(model: RaDOGAGA, explanation: Explanation, chosen: Chosen) -> list[dict[str, Any]]:
    """Return explained rows as plain objects, every column of them, the lowest contribution first."""
    p_values = model.p_value_of(explanation.score)
    return [
        {
            "row": row,
            "id": _plain(id_),
            "score": float(explanation.score[i]),
            "p_value": float(p_values[i]),
            "alarm": bool(explanation.score[i] < model.offset_),
            "typical_score": float(explanation.baseline[i]),
            "columns": [
                {
                    "column": explanation.columns[j],
                    "value": _plain(explanation.values.iat[i, j]),
                    "typical": _plain(explanation.typical.iat[i, j]),
                    "contribution": float(explanation.contributions[i, j]),
                    "unseen": bool(explanation.unseen[i, j]),
                    "changed_constant": bool(explanation.changed_constant[i, j]),
                }
                for j in explanation.contributions[i].argsort(kind="stable")
            ],
        }
        for i, (row, id_) in enumerate(zip(chosen.rows, chosen.ids, strict=True))
    ]


def sparkline(values: Sequence[float] | Array, *, most: int = 60) -> str:
    """Return numbers as a row of blocks, the least lowest; of more than `most`, as many evenly spaced ones.

    Examples
    --------
    >>> from radogaga.tabular.summary import sparkline
    >>> sparkline([0.0, 1.0, 2.0, 1.0])
    '▁▄█▄'
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[np.linspace(0, len(x) - 1, min(most, len(x))).round().astype(int)]
    if not len(x):
        return ""
    height = (x - x.min()) / max(np.ptp(x), 1e-300)
    return "".join(_BLOCKS[1 + int(h * 7)] for h in height)


def _facts(model: RaDOGAGA) -> list[tuple[str, str]]:
    isometry, history = model.isometry_, model.history_
    ratio = model.explained_variance_ratio_
    loss = np.add(np.add(history.rate, history.reconstruction), history.isometry)
    held_out = f"{len(model.calibration_scores_):,} calibration rows"
    curve = (
        f"{sparkline(loss)} {loss[0]:.1f} to {loss[-1]:.1f} nats, {history.step[-1]:,} steps" if len(loss) else "none"
    )
    return [
        ("spectrum", f"{sparkline(ratio)} {ratio.sum():.1%} of the variance, the first latent {ratio[0]:.1%}"),
        ("resolution", f"{model.resolution_:.3g} of a column's spread"),
        ("detail", model.smoothness),
        ("isometry", f"diagonal {isometry.diag_mean:.3f} (theory {float(isometry.prediction.mean()):.3f}), "
                     f"off it {isometry.off_rms:.3f}, r of inner products {isometry.probe_r:.3f}"),
        ("training", curve),
        ("threshold", f"{model.offset_:.4g} nats, by {held_out} of {model.calibration_scores_[0]:.1f} to "
                      f"{model.calibration_scores_[-1]:.1f}"),
    ]  # fmt: skip


def _columns(model: RaDOGAGA) -> list[tuple[str, str]]:
    table = model._table
    varying = set(table.source_column[model._units.varying].tolist())
    words = iter(table.category_encoders)
    measured = iter(zip(table.median, table.has_missing, table.missing_codes.T, strict=True))
    lines = []
    for j, (name, kind) in enumerate(zip(model._names, table.column_types, strict=True)):
        if kind == ColumnType.CATEGORY:
            vocabulary = next(words)
            first = ", ".join(value[:20] for value in vocabulary.values[:3])
            held, missing, standing = f"{len(vocabulary.values):,} categories: {first}", vocabulary.missing, ""
        else:
            median, missing, missing_codes = next(measured)
            held = f"{kind}, median {shown(restored(median, kind))}"
            standing = " and ".join(shown(restored(value, kind)) for value in missing_codes[~np.isnan(missing_codes)])
        held += ", some missing" if missing else ""
        held += f" (as {standing})" if standing else ""
        lines.append((name, held if j in varying else f"{held}; constant, carries no density"))
    return lines


def _contributions(explanation: Explanation, i: int) -> Lines:
    order = explanation.contributions[i].argsort(kind="stable")
    order = order[np.abs(explanation.contributions[i][order]).argsort(kind="stable")[::-1]][:_MOST_LINES]
    largest = max(float(np.abs(explanation.contributions[i]).max()), 1e-300)
    rows = []
    for j in sorted(order, key=lambda j: explanation.contributions[i, j]):
        nats = float(explanation.contributions[i, j])
        new = " (new)" if explanation.unseen[i, j] else ""
        value, typical = shown(explanation.values.iat[i, j]) + new, shown(explanation.typical.iat[i, j])
        rows.append((explanation.columns[j], value, typical, f"{nats:+.2f}", "█" * round(12 * abs(nats) / largest)))
    left = len(explanation.columns) - len(rows)
    if left:
        rest = explanation.contributions[i].sum() - explanation.contributions[i][order].sum()
        rows.append((f"{left} others", "", "", f"{rest:+.2f}", ""))
    return _lines(("column", "value", "typical", "nats", ""), rows, right=3)


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: int) -> Lines:
    """Return a terminal's table, its column `right` set to the right, if it is not the first."""
    table = Lines(box=None, pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if right and i == right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _figure(model: RaDOGAGA) -> tuple[bytes, str]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    spectrum, training = figure.subplots(1, 2)
    spectrum.bar(range(1, model.n_components_ + 1), model.explained_variance_ratio_)
    spectrum.set(xlabel="latent", ylabel="share of the variance")
    for name in ("rate", "reconstruction", "isometry"):
        training.plot(model.history_.step, getattr(model.history_, name), label=name)
    training.set(xlabel="step", ylabel="nats")
    training.legend(fontsize=7, frameon=False)
    return report.png(
        figure
    ), "Left: what each latent carries of the variance. Right: the terms of the loss as trained."


def _many(count: int, kind: ColumnType) -> str:
    if count == 1:
        return f"1 {kind}"
    return f"{count} categories" if kind == ColumnType.CATEGORY else f"{count} {kind}s"


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, bool | int | float | str) else str(value)
