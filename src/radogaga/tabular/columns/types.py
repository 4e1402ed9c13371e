"""What a column holds: numbers, truths, moments, durations as floats and back, or categories."""

from __future__ import annotations

import warnings
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from radogaga.errors import InputError
from radogaga.tabular.standardize import Array

_MICROSECONDS = 1e6
# From the first second of year 1 to the last of 9999, in seconds from 1970.
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
_LARGEST_WHOLE = 2.0**53


class ColumnType(StrEnum):
    """What a column holds; all but categories become floats, NaN where a value is missing."""

    NUMBER = "number"
    INTEGER = "whole number"
    BOOLEAN = "boolean"
    DATETIME = "date"
    DURATION = "duration"
    CATEGORY = "category"


_BY_DTYPE = {
    "f": ColumnType.NUMBER,
    "i": ColumnType.INTEGER,
    "u": ColumnType.INTEGER,
    "b": ColumnType.BOOLEAN,
    "M": ColumnType.DATETIME,
    "m": ColumnType.DURATION,
}
# As pandas calls what objects are.
_BY_VALUES = {
    "empty": ColumnType.NUMBER,
    "floating": ColumnType.NUMBER,
    "mixed-integer-float": ColumnType.NUMBER,
    "decimal": ColumnType.NUMBER,
    "integer": ColumnType.INTEGER,
    "boolean": ColumnType.BOOLEAN,
    "datetime": ColumnType.DATETIME,
    "datetime64": ColumnType.DATETIME,
    "date": ColumnType.DATETIME,
    "timedelta": ColumnType.DURATION,
    "timedelta64": ColumnType.DURATION,
    "string": ColumnType.CATEGORY,
    "categorical": ColumnType.CATEGORY,
    "mixed": ColumnType.CATEGORY,
    "mixed-integer": ColumnType.CATEGORY,
}


def infer_type(column: pd.Series[Any]) -> ColumnType:
    """Return what a column holds.

    Raises
    ------
    InputError
        If it is nothing that can be told apart: bytes, complex numbers, intervals, times without a day.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga.tabular.columns.types import infer_type
    >>> [str(infer_type(pd.Series(values))) for values in ([1, 2], [True, None], ["a", 1], [None, 0.5])]
    ['whole number', 'boolean', 'category', 'number']
    """
    if known := _BY_DTYPE.get(column.dtype.kind):
        return known
    held = pd.api.types.infer_dtype(column, skipna=True)
    if held not in _BY_VALUES:
        raise InputError(
            f"Expected numbers, text, booleans or dates in column {column.name!r}; got {held}. Convert or drop it."
        )
    return _BY_VALUES[held]


def to_float(column: pd.Series[Any], kind: ColumnType) -> Array:
    """Return a column as floats, NaN where a value is missing: dates as seconds from 1970 (UTC), durations as seconds.

    Raises
    ------
    InputError
        If a value is of another kind.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga.tabular.columns.types import ColumnType, to_float
    >>> to_float(pd.Series(pd.to_datetime(["1970-01-02", None])), ColumnType.DATETIME)
    array([86400.,    nan])
    """
    if column.isna().all():
        return np.full(len(column), np.nan)
    try:
        if kind is ColumnType.DATETIME:
            return _seconds(_datetimes(column))
        if kind is ColumnType.DURATION:
            return _seconds(_durations(column).to_numpy("timedelta64[us]"))
        return _check_dtype(column, "Mmc").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"Expected {kind}s in column {column.name!r}, as when the model was fitted; got other values ({reason}). "
            "Convert them, or fit again."
        ) from None


def restore(x: Array, kind: ColumnType) -> Any:
    """Return floats as values of their kind again, the nearest ones, NaN as missing.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.columns.types import ColumnType, restore
    >>> restore(np.array([0.9, 0.2]), ColumnType.BOOLEAN)
    array([ True, False])
    """
    if kind is ColumnType.DATETIME:
        return _from_seconds(x.clip(_FIRST, _LAST), "datetime64[us]")
    if kind is ColumnType.DURATION:
        return _from_seconds(x.clip(-_LAST, _LAST), "timedelta64[us]")
    if kind is ColumnType.BOOLEAN:
        true = pd.array(x > 0.5, dtype="boolean")
        true[np.isnan(x)] = pd.NA
        return true if np.isnan(x).any() else true.to_numpy(bool)
    if kind is ColumnType.INTEGER:
        whole = np.rint(x)
        return whole.astype(np.int64) if (np.abs(whole) < _LARGEST_WHOLE).all() else whole
    return x


def restore_one(value: float, kind: ColumnType) -> Any:
    """Return one float as a value of its kind.

    Examples
    --------
    >>> from radogaga.tabular.columns.types import ColumnType, restore_one
    >>> str(restore_one(86400.0, ColumnType.DATETIME))
    '1970-01-02 00:00:00'
    """
    return pd.Series(restore(np.array([value]), kind)).iat[0]


def _check_dtype(column: pd.Series[Any], column_types: str) -> pd.Series[Any]:
    if column.dtype.kind in column_types:
        raise TypeError(f"it is {column.dtype}")
    return column


def _datetimes(column: pd.Series[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a format that it cannot guess: then it says no, or reads on
        times = pd.to_datetime(_check_dtype(column, "biufm"), utc=True)
    return times.dt.tz_localize(None).to_numpy("datetime64[us]")


def _durations(column: pd.Series[Any]) -> Any:
    column = _check_dtype(column, "biufM")
    if column.dtype.kind != "m":  # clock times may come without seconds
        column = column.where(column.isna(), column.astype(str).str.replace(r"^(\d{1,2}:\d{2})$", r"\1:00", regex=True))
    return pd.to_timedelta(column)


def _seconds(times: Any) -> Array:
    seconds: Array = times.astype(np.int64) / _MICROSECONDS
    seconds[np.isnat(times)] = np.nan
    return seconds


def _from_seconds(x: Array, dtype: str) -> Any:
    # NaN has no whole number; what a cast makes of it is overwritten.
    times = np.where(np.isnan(x), 0, x * _MICROSECONDS).astype(np.int64).astype(dtype)
    times[np.isnan(x)] = "NaT"
    return times
