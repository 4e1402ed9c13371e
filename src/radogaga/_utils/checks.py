"""Checks of a user's input, and values and names as messages show them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from radogaga.errors import InputError

_PACKAGES = (str(Path(__file__).parents[1]), str(Path(sklearn.__file__).parent))


def warn_user(text: str) -> None:
    """Warn at the line of the caller's code that led here, outside of this package and of scikit-learn."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGES):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UserWarning, stacklevel=level)


def format_value(value: Any) -> str:
    """Return a cell as messages show it, 40 characters at most.

    Examples
    --------
    >>> from radogaga._utils.checks import format_value
    >>> format_value(1234.5678), format_value(None)
    ('1235', 'missing')
    """
    if pd.isna(value):
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:40]


def list_names(names: Iterable[Any], shown: int = 5) -> str:
    """Return the first names in quotes, and the number of the others.

    Examples
    --------
    >>> from radogaga._utils.checks import list_names
    >>> list_names(["a", "b", "c"], shown=2)
    "'a', 'b' and 1 more"
    """
    names = list(map(str, names))
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more


def check_rows(x: ArrayLike | Tensor, *, columns: int | None = None, min_rows: int = 1, name: str = "x") -> Tensor:
    """Return rows as a two-dimensional float tensor of finite numbers, or raise `InputError`.

    Parameters
    ----------
    x : array-like
        Rows and columns of numbers. Floating tensors and arrays keep their precision, others become float64.
    columns : int, optional
        Required number of columns.
    min_rows : int
        Least number of rows.
    name : str
        Name of the rows in error messages.

    Raises
    ------
    InputError
        If there is text, a missing or infinite number, or a wrong shape.

    Examples
    --------
    >>> from radogaga._utils.checks import check_rows
    >>> check_rows([[1, 2], [3, 4]]).shape
    torch.Size([2, 2])
    >>> check_rows([[1.0, float("nan")]])
    Traceback (most recent call last):
    radogaga.errors.InputError: Expected finite numbers in x; got nan in row 0, column 1. Drop or fill such rows first.
    """
    rows = _as_float_tensor(x, name)
    if rows.ndim != 2:
        raise InputError(
            f"Expected {name} as rows and columns; got an array of shape {tuple(rows.shape)}. "
            "Reshape a single row to (1, columns), a single column to (rows, 1)."
        )
    if columns is not None and rows.shape[1] != columns:
        raise InputError(
            f"Expected {columns} columns in {name}; got {rows.shape[1]}. "
            "Pass the columns that the model was made for, in the same order."
        )
    if len(rows) < min_rows:
        raise InputError(f"Expected at least {min_rows} rows in {name}; got {len(rows)}. Pass more rows.")
    finite = torch.isfinite(rows)
    if not finite.all():
        row, column = (int(i) for i in (~finite).nonzero()[0])
        raise InputError(
            f"Expected finite numbers in {name}; got {rows[row, column].item()} in row {row}, column {column}. "
            "Drop or fill such rows first."
        )
    return rows


def check_no_constant_columns(rows: Tensor, name: str = "x") -> None:
    """Raise `InputError` if a column is constant, since it has no scale."""
    constant = (rows == rows[0]).all(0).nonzero().flatten().tolist()
    if constant:
        named = ", ".join(map(str, constant[:5])) + (", ..." if len(constant) > 5 else "")
        raise InputError(
            f"Expected columns that vary in {name}; got a constant column ({named}). Drop it: it carries no density."
        )


def check_device(name: str) -> None:
    """Raise `InputError` if torch cannot use a device here.

    Examples
    --------
    >>> from radogaga._utils.checks import check_device
    >>> check_device("cpu")
    """
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(f"Expected a device that torch can use; got {name!r} ({reason}). Try 'cpu'.") from None


def _as_float_tensor(x: ArrayLike | Tensor, name: str) -> Tensor:
    if isinstance(x, Tensor) and not x.is_complex():
        return x if x.is_floating_point() else x.to(torch.float64)
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InputError(f"Expected {name} as rows and columns; got ragged rows ({error}). Make them equal.") from None
    if array.dtype.kind in "cmM":
        raise InputError(f"Expected numbers in {name}; got {array.dtype.name}. Turn them into real numbers first.")
    if array.dtype not in (np.float32, np.float64):
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Expected numbers in {name}; got {array.dtype.name} ({error}). Encode text as numbers first."
            ) from None
    # A tensor shares its array's memory, which has to be writable.
    return torch.as_tensor(np.require(array, requirements=["C", "W"]))
