"""Rows as people have them, made ready to train on: checked, repeated by weight, in one order, some held out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from radogaga._utils.checks import warn_user
from radogaga.errors import InputError
from radogaga.tabular.calibration import rows_needed
from radogaga.tabular.columns.encoder import EncodedRows, TableEncoder
from radogaga.tabular.columns.frames import as_frame, with_missing
from radogaga.tabular.defaults import (
    FEW_ROWS,
    MAX_REPEATED_ROWS,
    MIN_HELD_OUT,
    MIN_ROWS_TO_HOLD_OUT,
    MIN_ROWS_TO_HOLD_OUT_CALIBRATION,
    ROWS_PER_CALIBRATION,
    ROWS_PER_HELD_OUT,
)
from radogaga.tabular.standardize import Array


class Split(NamedTuple):
    """Rows by what they are for; where rows are few, all of them train.

    Attributes
    ----------
    train : ndarray
        Rows to train on.
    stopping, calibration : ndarray or None
        Rows to stop training by, and rows that p-values and the threshold rest on.
    """

    train: Array
    stopping: Array | None
    calibration: Array | None

    @property
    def seen(self) -> Array:
        """All rows that have a part in the densities."""
        return self.train if self.stopping is None else np.concatenate([self.train, self.stopping])


def fit_encoder(
    estimator: BaseEstimator, x: Any, sample_weight: Any, *, keep_position: bool = False
) -> tuple[TableEncoder, EncodedRows]:
    """Return the encoder of a table's columns, and its rows encoded; the estimator takes note of the columns.

    Raises
    ------
    InputError
        If there is an infinite number, or a column holds what can be neither measured nor told apart.
    ValueError
        If the shape or the columns' names are not what scikit-learn expects.
    """
    x = with_missing(x)
    frame = as_frame(x)
    named = hasattr(x, "columns")
    table = _as_numbers(estimator, x, reset=True) if frame is None else frame
    if frame is not None:
        _note_columns(estimator, frame, reset=True)
    chosen = _counted(sample_weight, len(table))
    counted = table[chosen] if frame is None else frame.iloc[chosen]
    encoder = TableEncoder.fit(counted, named=named, keep_position=keep_position)
    return encoder, encoder.encode(table)


def encode(estimator: BaseEstimator, encoder: TableEncoder, x: Any) -> EncodedRows:
    """Return rows as the numbers that a table's training rows became, and what in them is new.

    Raises
    ------
    InputError
        If there is an infinite number, or a column holds values of another kind than when the model was fitted.
    ValueError
        If the columns are not those of the training rows.
    """
    x = with_missing(x)
    frame = as_frame(x)
    if frame is None:
        return encoder.encode(_as_numbers(estimator, x, reset=False))
    _note_columns(estimator, frame, reset=False)
    return encoder.encode(frame)


def _note_columns(estimator: BaseEstimator, frame: pd.DataFrame, *, reset: bool) -> None:
    validate_data(estimator, frame, reset=reset, skip_check_array=True)


def _counted(sample_weight: Any, rows: int) -> NDArray[np.int64] | slice:
    """Return which rows a table's shares and medians are those of: each as often as it will count."""
    if sample_weight is None:
        return slice(None)
    return repeat_by_weight(_weights(sample_weight, rows), np.random.RandomState(0))


def _as_numbers(estimator: BaseEstimator, x: Any, *, reset: bool) -> Array:
    rows: Array = validate_data(estimator, x, reset=reset, dtype=np.float64, ensure_all_finite=False)
    return rows


def order_rows(x: Array, numbers: int, sample_weight: Any, random: np.random.RandomState) -> Array:
    """Return rows in an order that their values alone decide, each as often as its weight says."""
    weight = np.ones(len(x)) if sample_weight is None else _weights(sample_weight, len(x))
    x, weight = x[weight > 0], weight[weight > 0]
    if len(x) < 2:
        raise InputError(f"Expected at least 2 rows with weight; got {len(x)} sample. Pass more rows.")
    # A fit does not depend on the order in which the rows came.
    order = np.lexsort(x.T[::-1])
    x, weight = x[order], weight[order]
    _warn_of_rows(x[:, :numbers])
    return x if sample_weight is None else x[repeat_by_weight(weight, random)]


def repeat_by_weight(weight: Array, random: np.random.RandomState) -> NDArray[np.int64]:
    """Return row indices, each as often as its weight says.

    Whole weights, up to a million copies in all, are exact; others are drawn, evenly spaced from a random start, as
    many as there are rows with any weight: each comes up as often as it should, rounded up or down.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.preprocessing import repeat_by_weight
    >>> repeat_by_weight(np.array([2.0, 0.0, 1.0]), np.random.RandomState(0))
    array([0, 0, 2])
    """
    whole = np.rint(weight)
    if (weight == whole).all() and weight.sum() <= max(MAX_REPEATED_ROWS, len(weight)):
        return np.repeat(np.arange(len(weight)), whole.astype(np.int64))
    reached = np.cumsum(weight / weight.max())
    drawn = np.count_nonzero(weight)
    steps = (np.arange(drawn) + random.uniform()) * (reached[-1] / drawn)
    return np.searchsorted(reached, steps, side="right").clip(max=int(np.flatnonzero(weight)[-1]))


def split(x: Array, random: np.random.RandomState, alarm_rate: float | None = None) -> Split:
    """Return rows to train on, to stop by and to calibrate on, the last two a twentieth each.

    Fewer than 50 rows all train. Fewer than 20,000 leave none to calibrate on, unless an alarm rate is wanted: then as
    many are held out as it needs, but no more than a quarter.

    But for the columns' units and their categories, which all rows choose together, no row that has any part in the
    model is among those that the p-values rest on.
    """
    order = random.permutation(len(x))
    stop = max(len(x) // ROWS_PER_HELD_OUT, MIN_HELD_OUT)
    calibrate = stop if alarm_rate is not None or len(x) >= MIN_ROWS_TO_HOLD_OUT_CALIBRATION else 0
    if alarm_rate is not None:
        calibrate = max(calibrate, min(rows_needed(alarm_rate), len(x) // ROWS_PER_CALIBRATION))
    rest = x[order[stop + calibrate :]]
    if len(x) < MIN_ROWS_TO_HOLD_OUT or (rest == rest[0]).all():
        return Split(x[order], None, None)
    return Split(rest, x[order[:stop]], x[order[stop : stop + calibrate]] if calibrate else None)


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
    if len(x) < FEW_ROWS:
        warn_user(
            f"{len(x)} rows are too few for a density to trust. Pass {FEW_ROWS} or more, for p-values "
            f"{MIN_ROWS_TO_HOLD_OUT} or more.",
        )
    distinct = 1 + int((x[1:] != x[:-1]).any(1).sum())
    if 1 < distinct < len(x) / 2:  # rows that are all equal are refused, not warned of
        warn_user(
            f"Only {distinct} of {len(x)} rows differ: a density of repeated rows is a few peaks. Drop duplicates "
            "unless each is an event of its own.",
        )
