"""The columns of a table that are no categories, as one array of floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radogaga.errors import InputError
from radogaga.tabular.columns.types import ColumnType, to_float
from radogaga.tabular.defaults import MIN_GROWING_SHARE, MIN_ROWS_TO_DETECT_GROWTH
from radogaga.tabular.standardize import Array

_PLAIN = {ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN}


def numeric_columns(table: pd.DataFrame | Array, types: Sequence[ColumnType], columns: Sequence[int]) -> Array:
    """Return some columns as floats, ``(n, M) -> (n, D)``, NaN where a value is missing."""
    if isinstance(table, np.ndarray):
        return table if len(columns) == table.shape[1] else table[:, list(columns)]
    x = np.empty((len(table), len(columns)))
    # Numbers all at once: ten thousand columns one by one take seconds.
    dtypes = table.dtypes.tolist()
    plain = [types[j] in _PLAIN and dtypes[j].kind in "biuf" for j in columns]
    if any(plain):
        chosen = [j for j, is_plain in zip(columns, plain, strict=True) if is_plain]
        x[:, plain] = table.iloc[:, chosen].to_numpy(np.float64, na_value=np.nan)
    for place, (j, is_plain) in enumerate(zip(columns, plain, strict=True)):
        if not is_plain:
            x[:, place] = to_float(table.iloc[:, j], types[j])
    return x


def check_finite(x: Array, names: Sequence[Any]) -> None:
    """Raise `InputError` if a number is infinite."""
    if np.isinf(x).any():
        row, column = np.argwhere(np.isinf(x))[0]
        raise InputError(
            f"Expected finite numbers; got {x[row, column]} in row {row}, column {names[column]!r}. "
            "Drop or fill such rows first."
        )


def grows_with_rows(x: Array) -> NDArray[np.bool_]:
    """Return which columns of whole numbers never fall from row to row and grow often, ``(n, D) -> (D,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.columns.numeric import grows_with_rows
    >>> grows_with_rows(np.stack([7.0 * np.arange(100), np.arange(100) % 5, np.arange(100) // 50], 1))
    array([ True, False, False])
    """
    if len(x) < MIN_ROWS_TO_DETECT_GROWTH:
        return np.zeros(x.shape[1], np.bool_)
    head = x[:MIN_ROWS_TO_DETECT_GROWTH]
    grows = (np.diff(head, axis=0) >= 0).all(0) & (head == np.floor(head)).all(0)
    for j in np.flatnonzero(grows):
        step = np.diff(x[:, j])
        grows[j] = (step >= 0).all() and (step > 0).mean() >= MIN_GROWING_SHARE and (x[:, j] == np.floor(x[:, j])).all()
    return grows
