"""What a column holds: numbers, truths, moments, durations as floats and back, or categories."""

from __future__ import annotations

import warnings
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from radogaga.errors import InputError
from radogaga.units import Array

_MICROSECONDS = 1e6
# From the first second of year 1 to the last of 9999, in seconds from 1970.
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
_LARGEST_WHOLE = 2.0**53


class Kind(StrEnum):
    """What a column holds; all but categories are measured, as floats with NaN where one is missing."""

    NUMBER = "number"
    WHOLE = "whole number"
    TRUTH = "boolean"
    MOMENT = "date"
    DURATION = "duration"
    CATEGORY = "category"


_BY_DTYPE = {
    "f": Kind.NUMBER,
    "i": Kind.WHOLE,
    "u": Kind.WHOLE,
    "b": Kind.TRUTH,
    "M": Kind.MOMENT,
    "m": Kind.DURATION,
}
# As pandas calls what objects are.
_BY_VALUES = {
    "empty": Kind.NUMBER,
    "floating": Kind.NUMBER,
    "mixed-integer-float": Kind.NUMBER,
    "decimal": Kind.NUMBER,
    "integer": Kind.WHOLE,
    "boolean": Kind.TRUTH,
    "datetime": Kind.MOMENT,
    "datetime64": Kind.MOMENT,
    "date": Kind.MOMENT,
    "timedelta": Kind.DURATION,
    "timedelta64": Kind.DURATION,
    "string": Kind.CATEGORY,
    "categorical": Kind.CATEGORY,
    "mixed": Kind.CATEGORY,
    "mixed-integer": Kind.CATEGORY,
}


def kind_of(column: pd.Series[Any]) -> Kind:
    """Return what a column holds.

    Raises
    ------
    InputError
        If it is nothing that can be told apart: bytes, complex numbers, intervals, times without a day.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga.tables.kinds import kind_of
    >>> [str(kind_of(pd.Series(values))) for values in ([1, 2], [True, None], ["a", 1], [None, 0.5])]
    ['whole number', 'boolean', 'category', 'number']
    """
    if known := _BY_DTYPE.get(column.dtype.kind):
        return known
    held = pd.api.types.infer_dtype(column, skipna=True)
    if held not in _BY_VALUES:
        raise InputError(
            f"Expected numbers, text, booleans or dates in column {column.name}; got {held}. Convert or drop it."
        )
    return _BY_VALUES[held]


def measure(column: pd.Series[Any], kind: Kind) -> Array:
    """Return a column as floats, NaN where a value is missing: dates as seconds from 1970 (UTC), durations as seconds.

    Raises
    ------
    InputError
        If a value is of another kind.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga.tables.kinds import Kind, measure
    >>> measure(pd.Series(pd.to_datetime(["1970-01-02", None])), Kind.MOMENT)
    array([86400.,    nan])
    """
    if column.isna().all():
        return np.full(len(column), np.nan)
    try:
        if kind is Kind.MOMENT:
            return _seconds(_moments(column))
        if kind is Kind.DURATION:
            return _seconds(pd.to_timedelta(_none_of(column, "biufM")).to_numpy("timedelta64[us]"))
        return _none_of(column, "Mmc").to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"Expected {kind}s in column {column.name}, as when the model was fitted; got other values ({reason}). "
            "Convert them, or fit again."
        ) from None


def restore(x: Array, kind: Kind) -> Any:
    """Return floats as values of their kind again, the nearest ones, NaN as missing.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tables.kinds import Kind, restore
    >>> restore(np.array([0.9, 0.2]), Kind.TRUTH)
    array([ True, False])
    """
    if kind is Kind.MOMENT:
        return _from_seconds(x.clip(_FIRST, _LAST), "datetime64[us]")
    if kind is Kind.DURATION:
        return _from_seconds(x.clip(-_LAST, _LAST), "timedelta64[us]")
    if kind is Kind.TRUTH:
        true = pd.array(x > 0.5, dtype="boolean")
        true[np.isnan(x)] = pd.NA
        return true if np.isnan(x).any() else true.to_numpy(bool)
    if kind is Kind.WHOLE:
        whole = np.rint(x)
        return whole.astype(np.int64) if (np.abs(whole) < _LARGEST_WHOLE).all() else whole
    return x


def restored(value: float, kind: Kind) -> Any:
    """Return one float as a value of its kind.

    Examples
    --------
    >>> from radogaga.tables.kinds import Kind, restored
    >>> str(restored(86400.0, Kind.MOMENT))
    '1970-01-02 00:00:00'
    """
    return pd.Series(restore(np.array([value]), kind)).iat[0]


def _none_of(column: pd.Series[Any], kinds: str) -> pd.Series[Any]:
    if column.dtype.kind in kinds:
        raise TypeError(f"it is {column.dtype}")
    return column


def _moments(column: pd.Series[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a format that it cannot guess: then it says no, or reads on
        times = pd.to_datetime(_none_of(column, "biufm"), utc=True)
    return times.dt.tz_localize(None).to_numpy("datetime64[us]")


def _seconds(times: Any) -> Array:
    seconds: Array = times.astype(np.int64) / _MICROSECONDS
    seconds[np.isnat(times)] = np.nan
    return seconds


def _from_seconds(x: Array, dtype: str) -> Any:
    # NaN has no whole number; what a cast makes of it is overwritten.
    times = np.where(np.isnan(x), 0, x * _MICROSECONDS).astype(np.int64).astype(dtype)
    times[np.isnan(x)] = "NaT"
    return times
