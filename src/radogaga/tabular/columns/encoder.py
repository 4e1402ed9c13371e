"""A table's columns as numbers and back: what was learned from the training rows, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from radogaga._utils.checks import list_names
from radogaga.errors import InputError
from radogaga.tabular.columns.categories import CategoryEncoder
from radogaga.tabular.columns.frames import as_frame, is_numeric
from radogaga.tabular.columns.missing_codes import detect_missing_codes, mask_missing_codes
from radogaga.tabular.columns.numeric import check_finite, day_and_week, numeric_columns, warn_of_row_numbers
from radogaga.tabular.columns.types import ColumnType, infer_type, restore
from radogaga.tabular.standardize import Array


class EncodedRows(NamedTuple):
    """Rows as numbers, and what in them is new.

    Attributes
    ----------
    x : ndarray
        Finite numbers, ``(n, K)``.
    novelty : ndarray
        Nats that each cell of the table costs for holding what no training row held, ``(n, M)``: 0 for all others.
    raw : DataFrame or ndarray
        The rows as they came.
    """

    x: Array
    novelty: Array
    raw: pd.DataFrame | Array

    @property
    def total_novelty(self) -> Array:
        """What each row costs for being new, ``(n,)``, in nats."""
        return self.novelty.sum(1) if self.novelty.strides[0] else np.zeros(len(self.x))

    def take(self, places: NDArray[np.int64]) -> EncodedRows:
        """Return the rows at some places."""
        raw = self.raw.iloc[places] if isinstance(self.raw, pd.DataFrame) else self.raw[places]
        return EncodedRows(self.x[places], self.novelty[places], raw)


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """The columns of a training table, each as one number or more.

    Numbers, booleans, dates and durations become floats, a missing value its column's median; columns where some were
    missing get an indicator of that, dates the sine and cosine of the hour of the day and of the day of the week.
    Categories become one-hot, two of them one indicator. All by scikit-learn's `SimpleImputer` and `OneHotEncoder`. A
    value missing where none was before is the median, and costs log(n + 1) nats, n the training rows. A number that
    stands for a missing value, -999 among ages, counts as missing: see `detect_missing_codes`.

    Attributes
    ----------
    names : tuple or None
        The columns' names, where the table was a data frame.
    column_types : tuple of ColumnType
        What each of the M columns holds.
    rows : int
        Number of training rows, n.
    median : ndarray
        Medians of the columns that are no categories.
    has_missing : ndarray of bool
        In which of them values were missing.
    missing_codes : ndarray
        The values of each that stand for a missing one, NaN for no more, as `detect_missing_codes` gives them.
    category_encoders : tuple of CategoryEncoder
        The categories of each other column.
    numeric : bool
        Whether the table was finite numbers alone, which need no encoding.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga import TableEncoder
    >>> frame = pd.DataFrame({"age": [31.0, None, 52.0], "drink": ["tea", "milk", "tea"]})
    >>> encoder = TableEncoder.fit(frame)
    >>> encoder.encode(frame).x
    array([[31.,  0.,  0.],
           [31.,  1.,  1.],
           [52.,  0.,  0.]])
    >>> encoder.decode(encoder.encode(frame).x)
        age drink
    0  31.0   tea
    1   NaN  milk
    2  52.0   tea
    """

    names: tuple[Any, ...] | None
    column_types: tuple[ColumnType, ...]
    rows: int
    median: Array
    has_missing: NDArray[np.bool_]
    missing_codes: Array
    category_encoders: tuple[CategoryEncoder, ...] = ()
    numeric: bool = False

    @classmethod
    def fit_numbers(cls, x: Array, names: Sequence[Any] | None = None) -> Self:
        """Learn the columns of an array, finite but for NaN, ``(n, M)``, with the names they had in a data frame."""
        check_finite(x, range(x.shape[1]))
        types = (ColumnType.NUMBER,) * x.shape[1]
        if names is not None:
            warn_of_row_numbers(x, names)
        x, codes = detect_missing_codes(x, range(x.shape[1]) if names is None else names, types)
        has_missing = _has_missing(x)
        named = None if names is None else tuple(names)
        return cls(named, types, len(x), _lower_median(x), has_missing, codes, numeric=not has_missing.any())

    @classmethod
    def fit(cls, frame: pd.DataFrame, *, named: bool = True) -> Self:
        """Learn the columns of a data frame, or of an array of objects, whose columns have no names."""
        types = tuple(infer_type(frame.iloc[:, j]) for j in range(frame.shape[1]))
        names = tuple(name if isinstance(name, str | int) else str(name) for name in frame) if named else None
        x = numeric_columns(frame, types)
        numbers = [(name, kind) for name, kind in zip(frame, types, strict=True) if kind != ColumnType.CATEGORY]
        number_names = [name for name, _ in numbers]
        check_finite(x, number_names)
        warn_of_row_numbers(x, number_names)
        x, codes = detect_missing_codes(x, number_names, [kind for _, kind in numbers])
        categories = [
            CategoryEncoder.fit(frame.iloc[:, j]) for j, kind in enumerate(types) if kind == ColumnType.CATEGORY
        ]
        return cls(names, types, len(frame), _lower_median(x), _has_missing(x), codes, tuple(categories))

    def select(self, x: Any) -> pd.DataFrame | Array:
        """Return the columns that the training table had, in its order, of a table of any kind.

        Raises
        ------
        InputError
            If columns are missing, or an array has another number of them.
        """
        frame = as_frame(x)
        if frame is not None and self.names is not None:
            if missing := [name for name in self.names if name not in frame.columns]:
                raise InputError(f"Expected the columns that the model was fitted to; {list_names(missing)} missing.")
            frame = frame[list(self.names)]
        rows: Any = np.asarray(x, dtype=np.float64) if frame is None else frame
        if rows.ndim != 2 or rows.shape[1] != len(self.column_types):
            raise InputError(
                f"Expected rows of {len(self.column_types)} columns; got an array of shape {tuple(rows.shape)}. "
                "Pass the columns that the model was fitted to, in the same order."
            )
        return rows.to_numpy(np.float64) if frame is not None and self.numeric and is_numeric(frame) else rows

    def encode(self, rows: pd.DataFrame | Array) -> EncodedRows:
        """Return rows as numbers, ``(n, M) -> (n, K)``, with what they cost for being new.

        Raises
        ------
        InputError
            If a number is infinite, or a column holds values of another type than the training rows' did.
        """
        if isinstance(rows, np.ndarray) and self.category_encoders + self._dates:
            rows = pd.DataFrame(rows)
        x = rows if isinstance(rows, np.ndarray) else numeric_columns(rows, self.column_types)
        check_finite(x, [self._name(j) for j in self._number_columns])
        x = mask_missing_codes(x, self.missing_codes)
        missing = np.isnan(x)
        if not missing.any() and not self.has_missing.any() and not self._dates and not self.category_encoders:
            return EncodedRows(x, np.broadcast_to(0.0, x.shape), rows)
        parts = [self._imputer.transform(x)] if x.shape[1] else []
        parts += [day_and_week(parts[0][:, j]) for j in self._dates]
        novelty = np.zeros((len(x), len(self.column_types)))
        novelty[:, self._number_columns] = (missing & ~self.has_missing) * self._missing_novelty
        if isinstance(rows, pd.DataFrame) and self.category_encoders:
            parts.append(self._one_hot(rows, novelty))
        return EncodedRows(np.concatenate(parts, 1), novelty, rows)

    def decode(self, x: Array) -> Any:
        """Return numbers as rows of the table, ``(n, K) -> (n, M)``: the most probable category, the nearest integer.

        As a data frame with the columns' names where the table had such, else as an array.
        """
        if self.numeric and self.names is None:
            return x
        numbers = len(self.median)
        values = x[:, :numbers].copy()
        with_missing = np.flatnonzero(self.has_missing)
        missing = x[:, numbers : numbers + len(with_missing)] > 0.5
        values[:, with_missing] = np.where(missing, np.nan, values[:, with_missing])
        categories = self._categories(x[:, x.shape[1] - sum(self._widths) :])
        columns = dict(zip(self._number_columns, values.T, strict=True))
        made = {
            j: restore(columns[j], kind) if j in columns else categories.pop(0)
            for j, kind in enumerate(self.column_types)
        }
        frame = pd.DataFrame(made)
        return frame.to_numpy() if self.names is None else frame.set_axis(list(self.names), axis=1)

    @cached_property
    def source_column(self) -> NDArray[np.int64]:
        """Which of the M columns each of the K numbers comes from."""
        numbers = self._number_columns
        dates = np.repeat(numbers[list(self._dates)], 4)
        categories = np.repeat(self._category_columns, self._widths)
        return np.concatenate([numbers, numbers[self.has_missing], dates, categories])

    @property
    def labels(self) -> list[str]:
        """The columns' names as text; without names, their numbers."""
        return list(map(str, self.names or range(len(self.column_types))))

    @property
    def _missing_novelty(self) -> float:
        return float(np.log(self.rows + 1))

    @cached_property
    def _number_columns(self) -> NDArray[np.int64]:
        return np.flatnonzero([kind != ColumnType.CATEGORY for kind in self.column_types])

    @cached_property
    def _category_columns(self) -> NDArray[np.int64]:
        return np.flatnonzero([kind == ColumnType.CATEGORY for kind in self.column_types])

    @cached_property
    def _dates(self) -> tuple[int, ...]:
        """Which of the columns that are no categories are dates."""
        return tuple(i for i, j in enumerate(self._number_columns) if self.column_types[j] == ColumnType.DATETIME)

    @cached_property
    def _widths(self) -> list[int]:
        return [1 if encoder.codes == 2 else encoder.codes for encoder in self.category_encoders]

    @cached_property
    def _imputer(self) -> SimpleImputer:
        # Made again, exactly, from any table of the same medians and missing values.
        like = np.repeat(self.median[None], 5, 0)
        like[:2, self.has_missing] = np.nan
        return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True).fit(like)

    @cached_property
    def _one_hot_encoder(self) -> OneHotEncoder:
        codes = [np.arange(encoder.codes) for encoder in self.category_encoders]
        encoder = OneHotEncoder(categories=codes, drop="if_binary", handle_unknown="ignore", sparse_output=False)
        return encoder.fit(np.zeros((1, len(codes)), dtype=np.int64))

    def _one_hot(self, frame: pd.DataFrame, novelty: Array) -> Array:
        """Return the indicators of all categories, and write what new ones cost into the novelty."""
        codes = np.empty((len(novelty), len(self.category_encoders)), dtype=np.int64)
        for place, (j, encoder) in enumerate(zip(self._category_columns, self.category_encoders, strict=True)):
            codes[:, place], new = encoder.encode(frame.iloc[:, j])
            novelty[:, j] = new * np.where(frame.iloc[:, j].isna(), self._missing_novelty, encoder.novelty)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories")  # they are counted
            indicators: Array = self._one_hot_encoder.transform(codes)
        return indicators

    def _categories(self, indicators: Array) -> list[NDArray[np.object_]]:
        parts = np.split(indicators, np.cumsum(self._widths)[:-1], axis=1) if self.category_encoders else []
        return [
            encoder.decode((part[:, 0] > 0.5).astype(np.int64) if encoder.codes == 2 else part.argmax(1))
            for encoder, part in zip(self.category_encoders, parts, strict=True)
        ]

    def _name(self, column: int) -> Any:
        return column if self.names is None else self.names[column]


def _has_missing(x: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(x).any(0))


def _lower_median(x: Array) -> Array:
    """Return the lower median of each column, a value that came up, 0 where none did."""
    if not np.isnan(x).any():
        return np.quantile(x, 0.5, axis=0, method="lower")
    x = np.where(np.isnan(x).all(0), 0.0, x)
    return np.asarray(np.nanquantile(x, 0.5, axis=0, method="lower"))
