"""A table's columns as numbers and codes and back: what was learned from the training rows, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radogaga._utils.checks import list_names, warn_user
from radogaga.errors import InputError
from radogaga.tabular.columns.categories import CategoryEncoder
from radogaga.tabular.columns.dates import YEAR, date_cycles, from_cycles
from radogaga.tabular.columns.frames import as_frame, with_missing
from radogaga.tabular.columns.missing_codes import detect_missing_codes, mask_missing_codes
from radogaga.tabular.columns.numeric import check_finite, grows_with_rows, numeric_columns
from radogaga.tabular.columns.types import ColumnType, infer_type, restore
from radogaga.tabular.defaults import MAX_VALUES_OF_CATEGORY
from radogaga.tabular.standardize import Array

_MAYBE_CATEGORIES = {ColumnType.INTEGER, ColumnType.BOOLEAN}


class EncodedRows(NamedTuple):
    """Rows as numbers and codes, and what in them is new.

    Attributes
    ----------
    x : ndarray
        Finite numbers, ``(n, K)``.
    codes : ndarray
        Codes of categories, and of whether numbers are missing, ``(n, J)``; -1 for what no training row held.
    novelty : ndarray
        Nats that each cell of the table costs, beside the density, for holding what no training row held, ``(n, M)``.
    novel : ndarray of bool
        Which cells hold what no training row held, ``(n, M)``.
    raw : DataFrame or ndarray
        The rows as they came.
    """

    x: Array
    codes: NDArray[np.int64]
    novelty: Array
    novel: NDArray[np.bool_]
    raw: pd.DataFrame | Array

    @property
    def packed(self) -> Array:
        """Numbers and codes side by side, ``(n, K + J)``."""
        return np.concatenate([self.x, self.codes], 1) if self.codes.shape[1] else self.x

    @property
    def total_novelty(self) -> Array:
        """What each row costs for being new, beside the density, ``(n,)``, in nats."""
        return self.novelty.sum(1) if self.novelty.strides[0] else np.zeros(len(self.x))

    def take(self, places: NDArray[np.int64]) -> EncodedRows:
        """Return the rows at some places."""
        raw = self.raw.iloc[places] if isinstance(self.raw, pd.DataFrame) else self.raw[places]
        return EncodedRows(self.x[places], self.codes[places], self.novelty[places], self.novel[places], raw)


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """The columns of a training table, each as numbers or as a code.

    Numbers and durations become floats, a missing value its column's median; a code says where values were missing, if
    some were in training. Dates become the sine and cosine of the hour of the day, of the day of the week and, where
    the rows span more than a year, of the time of the year; their position in time is left out, since it says nothing
    of what is normal, as are whole numbers that only grow from row to row. Categories, truth values and whole numbers
    with at most two values become codes. What no training row held, a category, a missing value or another value in a
    constant column, costs log(n + 1) nats, n the training rows. A number that stands for a missing value, -999 among
    ages, counts as missing: see `detect_missing_codes`.

    Attributes
    ----------
    names : tuple or None
        The columns' names, where the table was a data frame.
    column_types : tuple of ColumnType
        What each of the M columns holds.
    rows : int
        Number of training rows, n.
    category_columns : tuple of int
        Which columns become codes; the D others are numbers.
    category_encoders : tuple of CategoryEncoder
        Their values.
    median, low, high : ndarray
        Of each number's training values, ``(D,)``.
    has_missing : ndarray of bool
        In which of them values were missing, ``(D,)``.
    missing_codes : ndarray
        The values of each that stand for a missing one, NaN for no more, as `detect_missing_codes` gives them.
    has_position : ndarray of bool
        Which of them are numbers of the model; the others are dates known by their cycles, or grow with the rows.
    cycles : ndarray
        How many numbers stand for each one's cycles, 0, 4 or 6, ``(D,)``.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga import TableEncoder
    >>> frame = pd.DataFrame({"age": [31.0, None, 52.0], "drink": ["tea", "milk", "tea"]})
    >>> encoder = TableEncoder.fit(frame)
    >>> rows = encoder.encode(frame)
    >>> rows.x, rows.codes
    (array([[31.],
           [31.],
           [52.]]), array([[0, 0],
           [1, 1],
           [0, 0]]))
    >>> encoder.decode(rows.x, rows.codes)
        age drink
    0  31.0   tea
    1   NaN  milk
    2  52.0   tea
    """

    names: tuple[Any, ...] | None
    column_types: tuple[ColumnType, ...]
    rows: int
    category_columns: tuple[int, ...]
    category_encoders: tuple[CategoryEncoder, ...]
    median: Array
    low: Array
    high: Array
    has_missing: NDArray[np.bool_]
    missing_codes: Array
    has_position: NDArray[np.bool_]
    cycles: NDArray[np.int64]

    @classmethod
    def fit(cls, table: pd.DataFrame | Array, *, named: bool = True, keep_position: bool = False) -> Self:
        """Learn the columns of a data frame, or of an array of finite numbers and NaN, ``(n, M)``.

        Parameters
        ----------
        table : DataFrame or ndarray
            The training rows.
        named : bool
            Whether a data frame's columns have names, or came from an array of objects.
        keep_position : bool
            Whether the position of dates, and numbers that only grow from row to row, are part of the model.
        """
        frame = table if isinstance(table, pd.DataFrame) else None
        names = tuple(range(table.shape[1])) if frame is None else tuple(frame)
        types = (
            tuple(infer_type(frame.iloc[:, j]) for j in range(len(names)))
            if frame is not None
            else ((ColumnType.NUMBER,) * len(names))
        )
        categories = [j for j in range(len(names)) if frame is not None and _is_category(frame.iloc[:, j], types[j])]
        columns = [j for j in range(len(names)) if j not in set(categories)]
        x = numeric_columns(table, types, columns)
        number_names, number_types = [names[j] for j in columns], [types[j] for j in columns]
        check_finite(x, number_names)
        x, codes = detect_missing_codes(x, number_names, number_types)
        dates = np.array([kind == ColumnType.DATETIME for kind in number_types], dtype=np.bool_)
        has_position = np.ones(len(columns), np.bool_)
        if frame is not None and not keep_position:
            growing = grows_with_rows(x) & ~dates
            if growing.all() and not categories:  # something has to be left
                growing[:] = False
            _warn_of_growth(number_names, growing)
            has_position = ~dates & ~growing
        low, high = _range(x)
        encoders = tuple(CategoryEncoder.fit(frame.iloc[:, j]) for j in categories) if frame is not None else ()
        return cls(
            None if frame is None or not named else tuple(n if isinstance(n, str | int) else str(n) for n in names),
            types,
            len(x),
            tuple(categories),
            encoders,
            _lower_median(x),
            low,
            high,
            np.asarray(np.isnan(x).any(0)),
            codes,
            has_position,
            np.where(dates, np.where(high - low > YEAR, 6, 4), 0),
        )

    def select(self, x: Any) -> pd.DataFrame | Array:
        """Return the columns that the training table had, in its order, of a table of any kind.

        Raises
        ------
        InputError
            If columns are missing, or an array has another number of them.
        """
        x = with_missing(x)
        frame = as_frame(x)
        if frame is not None and self.names is not None:
            if missing := [name for name in self.names if name not in frame.columns]:
                raise InputError(f"Expected the columns that the model was fitted to; {list_names(missing)} missing.")
            frame = frame if tuple(frame.columns) == self.names else frame[list(self.names)]
        rows: Any = np.asarray(x, dtype=np.float64) if frame is None else frame
        if rows.ndim != 2 or rows.shape[1] != len(self.column_types):
            raise InputError(
                f"Expected rows of {len(self.column_types)} columns; got an array of shape {tuple(rows.shape)}. "
                "Pass the columns that the model was fitted to, in the same order."
            )
        return rows

    def encode(self, rows: pd.DataFrame | Array) -> EncodedRows:
        """Return rows as numbers and codes, ``(n, M) -> (n, K), (n, J)``, with what they cost for being new.

        Raises
        ------
        InputError
            If a number is infinite, or a column holds values of another type than the training rows' did.
        """
        if isinstance(rows, np.ndarray) and not self.is_numeric:
            rows = pd.DataFrame(rows)
        values = numeric_columns(rows, self.column_types, self.number_columns)
        check_finite(values, [self._name(j) for j in self.number_columns])
        values = mask_missing_codes(values, self.missing_codes)
        missing = np.isnan(values)
        changed = self._is_constant & ~missing & (values != self.low)
        novel = np.broadcast_to(np.bool_(), rows.shape)
        novelty = np.broadcast_to(0.0, rows.shape)
        new = (missing & ~self.has_missing) | changed
        codes, new_category = self._codes(rows, missing)
        if new.any() or new_category.any():
            novel, novelty = np.zeros(rows.shape, np.bool_), np.zeros(rows.shape)
            novel[:, self.number_columns], novel[:, list(self.category_columns)] = new, new_category
            novelty[:, self.number_columns] = new * np.log(self.rows + 1)
        values = np.where(missing, self.median, values) if missing.any() else values
        return EncodedRows(self._numbers(values), codes, novelty, novel, rows)

    def decode(self, x: Array, codes: NDArray[np.int64]) -> Any:
        """Return numbers and codes as rows of the table, ``(n, K), (n, J) -> (n, M)``.

        As a data frame with the columns' names where the table had such, else as an array. A date that is known by its
        cycles is put into the week of the training rows' median.
        """
        if self.is_numeric and self.names is None:
            return x
        values = np.repeat(self.median[None], len(x), 0)
        values[:, self.has_position] = x[:, : int(self.has_position.sum())]
        cycles = np.split(x[:, int(self.has_position.sum()) :], np.cumsum(self.cycles[self.cycles > 0])[:-1], axis=1)
        for j, part in zip(np.flatnonzero(self.cycles), cycles, strict=False):
            if not self.has_position[j]:
                values[:, j] = from_cycles(part, float(self.median[j]))
        is_missing = codes[:, len(self.category_columns) :] == 1
        values[:, self.has_missing] = np.where(is_missing, np.nan, values[:, self.has_missing])
        made: dict[int, Any] = {
            place: restore(column, self.column_types[place])
            for place, column in zip(self.number_columns, values.T, strict=True)
        }
        for i, (place, encoder) in enumerate(zip(self.category_columns, self.category_encoders, strict=True)):
            made[place] = encoder.decode(codes[:, i], self.column_types[place])
        frame = pd.DataFrame({place: made[place] for place in range(len(self.column_types))})
        return frame.to_numpy() if self.names is None else frame.set_axis(list(self.names), axis=1)

    def outside(self, rows: pd.DataFrame | Array) -> NDArray[np.bool_]:
        """Return which cells lie outside the range of the training rows, ``(n, M)``; categories never do."""
        values = mask_missing_codes(numeric_columns(rows, self.column_types, self.number_columns), self.missing_codes)
        outside = np.zeros(rows.shape, np.bool_)
        outside[:, self.number_columns] = (values < self.low) | (values > self.high)
        return outside

    @property
    def is_numeric(self) -> bool:
        """Whether rows are finite numbers that need no encoding."""
        return not (self.category_columns or self.has_missing.any() or self.cycles.any() or not self.has_position.all())

    @cached_property
    def number_columns(self) -> list[int]:
        """Which of the M columns are numbers."""
        return [j for j in range(len(self.column_types)) if j not in set(self.category_columns)]

    @cached_property
    def source_column(self) -> NDArray[np.int64]:
        """Which of the M columns each of the K numbers comes from."""
        numbers = np.array(self.number_columns, dtype=np.int64)
        return np.concatenate([numbers[self.has_position], np.repeat(numbers, self.cycles)])

    @cached_property
    def code_column(self) -> NDArray[np.int64]:
        """Which of the M columns each of the J codes comes from."""
        missing = np.array(self.number_columns, dtype=np.int64)[self.has_missing]
        return np.concatenate([np.array(self.category_columns, dtype=np.int64), missing])

    @property
    def date_columns(self) -> list[str]:
        """The names of dates that are known by their cycles, not by when they are."""
        known = np.flatnonzero((self.cycles > 0) & ~self.has_position)
        return [self.labels[self.number_columns[j]] for j in known.tolist()]

    @property
    def labels(self) -> list[str]:
        """The columns' names as text; without names, their numbers."""
        return list(map(str, self.names or range(len(self.column_types))))

    @cached_property
    def _is_constant(self) -> NDArray[np.bool_]:
        return np.asarray(self.low == self.high)

    def _numbers(self, values: Array) -> Array:
        cycles = [date_cycles(values[:, j], yearly=self.cycles[j] > 4) for j in np.flatnonzero(self.cycles)]
        if not cycles and self.has_position.all():
            return values
        return np.concatenate([values[:, self.has_position], *cycles], 1)

    def _codes(
        self, rows: pd.DataFrame | Array, missing: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the codes of categories and of missing numbers, ``(n, J)``, and which categories are new."""
        codes = np.zeros((len(rows), len(self.code_column)), np.int64)
        new = np.zeros((len(rows), len(self.category_columns)), np.bool_)
        for i, (j, encoder) in enumerate(zip(self.category_columns, self.category_encoders, strict=True)):
            codes[:, i] = encoder.encode(rows.iloc[:, j])  # type: ignore[union-attr]
            new[:, i] = codes[:, i] < 0
        codes[:, len(self.category_columns) :] = missing[:, self.has_missing]
        return codes, new

    def _name(self, column: int) -> Any:
        return column if self.names is None else self.names[column]


def _is_category(column: pd.Series[Any], kind: ColumnType) -> bool:
    if kind in _MAYBE_CATEGORIES:
        return column.nunique() <= MAX_VALUES_OF_CATEGORY
    return kind == ColumnType.CATEGORY


def _warn_of_growth(names: Sequence[Any], growing: NDArray[np.bool_]) -> None:
    if left_out := [str(names[j]) for j in np.flatnonzero(growing).tolist()]:
        warn_user(
            f"Left out, since they only grow from row to row, as counters and time stamps do: {list_names(left_out)}. "
            "Pass keep_position=True (--keep-position) if they are measurements, or drop them."
        )


def _range(x: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        filled = np.where(np.isnan(x).all(0), 0.0, x)
    return np.nanmin(filled, axis=0, initial=np.inf), np.nanmax(filled, axis=0, initial=-np.inf)


def _lower_median(x: Array) -> Array:
    """Return the lower median of each column, a value that came up, 0 where none did."""
    if not np.isnan(x).any():
        return np.quantile(x, 0.5, axis=0, method="lower")
    x = np.where(np.isnan(x).all(0), 0.0, x)
    return np.asarray(np.nanquantile(x, 0.5, axis=0, method="lower"))
