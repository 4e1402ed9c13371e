"""Rows as people have them, made ready to train on: checked, weights as copies, in one order, some held out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from radogaga.errors import InputError
from radogaga.units import Array

_FEW_ROWS, _ROWS_TO_HOLD_OUT_FROM, _LEAST_HELD_OUT = 20, 50, 20
_MOST_COPIES = 1_000_000


def numbers(estimator: BaseEstimator, x: Any, *, reset: bool) -> Array:
    """Return rows as finite numbers, ``(n, M)``, and let the estimator take note of its columns or check them.

    Raises
    ------
    InputError
        If there is text, a missing or an infinite number.
    ValueError
        If the shape or the columns' names are not what scikit-learn expects.
    """
    try:
        rows: Array = validate_data(estimator, x, reset=reset, dtype=np.float64, ensure_all_finite=False)
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise InputError(
            f"Expected columns of numbers; {error}. Drop columns of text or encode them first, by scikit-learn's "
            "OneHotEncoder or skrub's TableVectorizer."
        ) from None
    if len(bad := np.argwhere(~np.isfinite(rows))):
        row, column = bad[0]
        name = getattr(estimator, "feature_names_in_", np.arange(rows.shape[1]))[column]
        found = "NaN" if np.isnan(rows[row, column]) else rows[row, column]
        raise InputError(
            f"Expected finite numbers; got {found} in row {row}, column {name}. Drop or fill such rows first."
        )
    return rows


def ready(x: Array, sample_weight: Any, random: np.random.RandomState) -> Array:
    """Return rows in an order that their values alone decide, each as often as its weight says."""
    weight = np.ones(len(x)) if sample_weight is None else _weights(sample_weight, len(x))
    x, weight = x[weight > 0], weight[weight > 0]
    if len(x) < 2:
        raise InputError(f"Expected at least 2 rows with weight; got {len(x)} sample. Pass more rows.")
    # A fit does not depend on the order in which the rows came.
    order = np.lexsort(x.T[::-1])
    x, weight = x[order], weight[order]
    _warn_of_rows(x)
    return x if sample_weight is None else x[copies(weight, random)]


def say(text: str, above: int) -> None:
    """Warn the caller of `fit`, which is so many calls above."""
    warnings.warn(text, UserWarning, stacklevel=above + 2)


def copies(weight: Array, random: np.random.RandomState) -> NDArray[np.int64]:
    """Return row indices, each as often as its weight says.

    Whole weights, up to a million copies in all, are exact; others are drawn, evenly spaced from a random start, as
    many as there are rows with any weight: each comes up as often as it should, rounded up or down.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.preparation import copies
    >>> copies(np.array([2.0, 0.0, 1.0]), np.random.RandomState(0))
    array([0, 0, 2])
    """
    whole = np.rint(weight)
    if (weight == whole).all() and weight.sum() <= max(_MOST_COPIES, len(weight)):
        return np.repeat(np.arange(len(weight)), whole.astype(np.int64))
    reached = np.cumsum(weight / weight.max())
    drawn = np.count_nonzero(weight)
    steps = (np.arange(drawn) + random.uniform()) * (reached[-1] / drawn)
    return np.searchsorted(reached, steps, side="right").clip(max=int(np.flatnonzero(weight)[-1]))


def split(x: Array, random: np.random.RandomState) -> tuple[Array, Array | None, Array | None]:
    """Return rows to train on, to stop by and to calibrate on; the last two halve a tenth, where rows are enough.

    But for the columns' units, which all rows choose together, no row that has any part in the model is among those
    that the p-values rest on.
    """
    order = random.permutation(len(x))
    share = max(len(x) // 10, _LEAST_HELD_OUT)
    rest = x[order[share:]]
    if len(x) < _ROWS_TO_HOLD_OUT_FROM or (rest == rest[0]).all():
        return x[order], None, None
    return rest, x[order[: share // 2]], x[order[share // 2 : share]]


def _weights(weight: Any, rows: int) -> Array:
    """Return weights ``(n,)`` as finite numbers that are not negative and not all zero, or raise `InputError`."""
    weight = np.asarray(weight, dtype=np.float64)
    if weight.shape != (rows,):
        raise InputError(f"Expected sample_weight of shape ({rows},), one for each row; got {weight.shape}.")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise InputError("Expected finite sample_weight of 0 or more; got others. Set those to 0 to leave rows out.")
    if not weight.any():
        raise InputError("Expected a sample_weight above zero; got zero weights only. Leave it out to use all rows.")
    return weight


def _warn_of_rows(x: Array) -> None:
    if len(x) < _FEW_ROWS:
        say(
            f"{len(x)} rows are too few for a density to trust. Pass {_FEW_ROWS} or more, for p-values "
            f"{_ROWS_TO_HOLD_OUT_FROM} or more.",
            above=3,
        )
    distinct = 1 + int((x[1:] != x[:-1]).any(1).sum())
    if 1 < distinct < len(x) / 2:  # rows that are all equal are refused, not warned of
        say(
            f"Only {distinct} of {len(x)} rows differ: a density of repeated rows is a few peaks. Drop duplicates "
            "unless each is an event of its own.",
            above=3,
        )
