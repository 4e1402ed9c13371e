"""A fitted model and its explanations as plain words and figures, for a terminal, a page or JSON to show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radogaga._utils.checks import format_value
from radogaga.tabular.columns.encoder import TableEncoder
from radogaga.tabular.columns.types import ColumnType, restore_one
from radogaga.tabular.explanation import Explanation
from radogaga.tabular.model import TabularModel
from radogaga.tabular.scoring import SelectedRows
from radogaga.tabular.standardize import Array

_BLOCKS = " ▁▂▃▄▅▆▇█"


def summarize(model: TabularModel) -> str:
    """Return one line on what was fitted: rows, columns by type, latents, the threshold.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import RaDOGAGA
    >>> from radogaga.tabular.summary import summarize
    >>> fitted = RaDOGAGA(max_steps=0, random_state=0).fit(np.random.RandomState(0).normal(size=(100, 2)))
    >>> summarize(fitted.model_)
    '100 rows, 2 columns (2 numbers), 2 latents, alarms under ... nats'
    """
    encoder = model.encoder
    types = ", ".join(_count(count, kind) for kind, count in Counter(encoder.column_types).items())
    return (
        f"{encoder.rows:,} rows, {len(encoder.column_types)} columns ({types}), {model.n_components} latents, "
        f"alarms under {model.calibration.threshold:.1f} nats"
    )


def facts(model: TabularModel) -> list[tuple[str, str]]:
    """Return what a model is, as names and values: spectrum, resolution, isometry, training, threshold."""
    isometry, history, scores = model.isometry, model.history, model.calibration.scores
    ratio = model.explained_variance_ratio
    loss = np.add(np.add(history.rate, history.reconstruction), history.isometry)
    curve = (
        f"{sparkline(loss)} {loss[0]:.1f} to {loss[-1]:.1f} nats, {history.step[-1]:,} steps" if len(loss) else "none"
    )
    facts = []
    if isometry is not None:
        facts = [
            ("spectrum", f"{sparkline(ratio)} {ratio.sum():.1%} of the variance, the first latent {ratio[0]:.1%}"),
            ("resolution", f"{model.resolution:.3g} of a column's spread"),
            ("isometry", f"diagonal {isometry.diag_mean:.3f} (theory {float(isometry.prediction.mean()):.3f}), "
                         f"off it {isometry.off_rms:.3f}, r of inner products {isometry.probe_r:.3f}"),
            ("training", curve),
        ]  # fmt: skip
    if model.categorical is not None and (known := _dependencies(model)):
        facts.append(("depend", known))
    threshold = f"{model.calibration.threshold:.4g} nats, by {len(scores):,} calibration rows"
    return [*facts, ("threshold", f"{threshold} of {scores[0]:.1f} to {scores[-1]:.1f}")]


def _dependencies(model: TabularModel) -> str:
    """Return which columns' categories depend on which others'."""
    assert model.categorical is not None
    labels, columns = model.encoder.labels, model.encoder.code_column
    pairs = [(j, table.parent) for j, table in enumerate(model.categorical.tables) if table.parent >= 0]
    return ", ".join(f"{labels[columns[j]]} on {labels[columns[parent]]}" for j, parent in pairs)


def describe_columns(model: TabularModel) -> list[tuple[str, str]]:
    """Return each column's name and what it holds."""
    encoder = model.encoder
    categories = dict(zip(encoder.category_columns, encoder.category_encoders, strict=True))
    lines = []
    for j, (name, kind) in enumerate(zip(encoder.labels, encoder.column_types, strict=True)):
        if j in categories:
            category = categories[j]
            held = f"{len(category.values):,} categories: {', '.join(value[:20] for value in category.values[:3])}"
            held += ", some missing" if category.missing else ""
            held += "; constant" if category.levels == 1 else ""
        else:
            held = _describe_number(encoder, encoder.number_columns.index(j), kind)
        lines.append((name, held))
    return lines


def _describe_number(encoder: TableEncoder, j: int, kind: ColumnType) -> str:
    found = encoder.missing_codes[:, j]
    codes = " and ".join(format_value(restore_one(value, kind)) for value in found[~np.isnan(found)])
    held = f"{kind}, median {format_value(restore_one(encoder.median[j], kind))}"
    held += ", some missing" if encoder.has_missing[j] else ""
    held += f" (as {codes})" if codes else ""
    if not encoder.has_position[j]:
        return f"{held}; {'its cycles count, not when it is' if encoder.cycles[j] else 'grows with the rows, left out'}"
    return f"{held}; constant" if encoder.low[j] == encoder.high[j] else held


def explanations_as_json(model: TabularModel, explanation: Explanation, selected: SelectedRows) -> list[dict[str, Any]]:
    """Return explained rows as plain objects, every column of them, the lowest contribution first."""
    p_values = model.calibration.p_value(explanation.score)
    alarms = model.calibration.is_anomaly(explanation.score)
    return [
        {
            "row": row,
            "id": _plain(id_),
            "score": float(explanation.score[i]),
            "p_value": float(p_values[i]),
            "alarm": bool(alarms[i]),
            "typical_score": float(explanation.baseline[i]),
            "columns": [
                {
                    "column": explanation.columns[j],
                    "value": _plain(explanation.values.iat[i, j]),
                    "typical": _plain(explanation.typical.iat[i, j]),
                    "contribution": float(explanation.contributions[i, j]),
                    "novel": bool(explanation.novel[i, j]),
                }
                for j in explanation.contributions[i].argsort(kind="stable")
            ],
        }
        for i, (row, id_) in enumerate(zip(selected.rows, selected.ids, strict=True))
    ]


def are_explanations(path: Path) -> bool:
    """Return whether a file holds what `explanations_as_json` gave."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, list) and all(
        isinstance(row, dict) and {"row", "typical_score", "columns"} <= row.keys() for row in content
    )


def sparkline(values: Sequence[float] | Array, *, max_width: int = 60) -> str:
    """Return numbers as a row of blocks, the smallest lowest; of more than `max_width`, evenly spaced ones.

    Examples
    --------
    >>> from radogaga.tabular.summary import sparkline
    >>> sparkline([0.0, 1.0, 2.0, 1.0])
    '▁▄█▄'
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[np.linspace(0, len(x) - 1, min(max_width, len(x))).round().astype(int)]
    if not len(x):
        return ""
    height = (x - x.min()) / max(np.ptp(x), 1e-300)
    return "".join(_BLOCKS[1 + int(h * 7)] for h in height)


def _count(count: int, kind: ColumnType) -> str:
    if count == 1:
        return f"1 {kind}"
    return f"{count} categories" if kind == ColumnType.CATEGORY else f"{count} {kind}s"


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, bool | int | float | str) else str(value)
