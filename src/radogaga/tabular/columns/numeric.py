"""The columns of a table that are no categories, as one array of floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from radogaga._utils.checks import warn_user
from radogaga.errors import InputError
from radogaga.tabular.columns.types import ColumnType, to_float
from radogaga.tabular.defaults import ROWS_TO_DETECT_COUNTING
from radogaga.tabular.standardize import Array

_DAY = 86_400.0
_PLAIN = {ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN}


def numeric_columns(frame: pd.DataFrame, types: Sequence[ColumnType]) -> Array:
    """Return the columns that are no categories as floats, ``(n, M) -> (n, D)``, NaN where a value is missing."""
    x = np.empty(frame.shape)
    # Numbers all at once: ten thousand columns one by one take seconds.
    plain = [kind in _PLAIN and dtype.kind in "biuf" for kind, dtype in zip(types, frame.dtypes, strict=True)]
    if any(plain):
        x[:, plain] = frame.iloc[:, np.flatnonzero(plain)].to_numpy(np.float64, na_value=np.nan)
    numbers = np.flatnonzero([kind != ColumnType.CATEGORY for kind in types])
    for j in numbers[~np.asarray(plain)[numbers]]:
        x[:, j] = to_float(frame.iloc[:, j], types[j])
    return x if len(numbers) == len(types) else x[:, numbers]


def check_finite(x: Array, names: Sequence[Any]) -> None:
    """Raise `InputError` if a number is infinite."""
    if np.isinf(x).any():
        row, column = np.argwhere(np.isinf(x))[0]
        raise InputError(
            f"Expected finite numbers; got {x[row, column]} in row {row}, column {names[column]}. "
            "Drop or fill such rows first."
        )


def warn_of_row_numbers(x: Array, names: Sequence[Any]) -> None:
    """Warn if a column counts up by one from row to row."""
    if len(x) < ROWS_TO_DETECT_COUNTING:
        return
    maybe = np.flatnonzero((np.diff(x[:ROWS_TO_DETECT_COUNTING], axis=0) == 1).all(0)).tolist()
    counting = [j for j in maybe if (np.diff(x[:, j]) == 1).all()]
    if counting:
        warn_user(
            f"Column {str(names[counting[0]])!r} counts up by one from row to row, as row numbers do, which say "
            "nothing of what is normal. Drop it, or pass it as --id."
        )


def day_and_week(seconds: Array) -> Array:
    """Return sine and cosine of the hour of the day and of the day of the week, ``(n,) -> (n, 4)``."""
    day, week = 2 * np.pi * seconds / _DAY, 2 * np.pi * seconds / (7 * _DAY)
    return np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], 1)
