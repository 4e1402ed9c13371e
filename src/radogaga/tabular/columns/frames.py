"""What people pass, as a data frame where it is more than an array of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from radogaga.errors import InputError


def as_frame(x: Any) -> pd.DataFrame | None:
    """Return tables of any library as a pandas data frame, or None for what is an array of numbers or no table.

    Polars, Arrow and others come by Arrow's own interface, lists and arrays of objects by their values.

    Raises
    ------
    InputError
        If two columns have one name, or there are no rows or no columns.

    Examples
    --------
    >>> import pyarrow
    >>> from radogaga.tabular.columns.frames import as_frame
    >>> as_frame(pyarrow.table({"a": [1.5, None], "b": ["x", "y"]}))
         a  b
    0  1.5  x
    1  NaN  y
    >>> as_frame([[1.0, 2.0]]) is None
    True
    """
    if isinstance(x, pd.DataFrame):
        return _usable(x)
    # A polars or pandas series streams, too, but as one column without a name.
    if hasattr(x, "__arrow_c_stream__") and hasattr(x, "columns"):
        import pyarrow as pa

        return _usable(pa.table(x).to_pandas(date_as_object=False))
    return _frame_of_objects(x)


def with_missing(x: Any) -> Any:
    """Return a masked array as an array with NaN, or None among objects, where it is masked; others as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.columns.frames import with_missing
    >>> with_missing(np.ma.masked_equal([[1, 2], [3, 4]], 2))
    array([[ 1., nan],
           [ 3.,  4.]])
    """
    if not isinstance(x, np.ma.MaskedArray):
        return x
    held = x.data.astype(np.float64 if x.dtype.kind in "biuf" else object)
    held[np.ma.getmaskarray(x)] = np.nan if held.dtype.kind == "f" else None
    return held


def is_numeric(frame: pd.DataFrame) -> bool:
    """Whether all columns are numbers or booleans by their type."""
    return all(dtype.kind in "biuf" for dtype in frame.dtypes)


def _frame_of_objects(x: Any) -> pd.DataFrame | None:
    try:
        array = np.asarray(x)
    except (TypeError, ValueError):  # ragged rows, a sparse matrix: scikit-learn's checks say it best
        return None
    if array.ndim != 2 or array.dtype.kind not in "OUSMm" or 0 in array.shape:
        return None
    # numpy makes text of every number beside a text; the list itself still knows.
    return pd.DataFrame(list(x) if isinstance(x, list | tuple) else array).infer_objects()


def _usable(frame: pd.DataFrame) -> pd.DataFrame:
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"Expected a name for each column; got two columns {name!r}. Rename or drop one.")
    if not len(frame):
        raise InputError(f"Expected rows; got 0 rows under {frame.shape[1]} columns. Pass a table that has some.")
    if not frame.shape[1]:
        raise InputError(f"Expected columns; got {len(frame)} rows of 0 feature(s). Pass a table that has some.")
    return frame
