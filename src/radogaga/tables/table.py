"""A table's columns as numbers and back: what was learned from the training rows, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from radogaga.errors import InputError, say
from radogaga.tables.kinds import Kind, kind_of, measure, restore, restored
from radogaga.tables.sentinels import find_sentinels, without_sentinels
from radogaga.tables.vocabulary import Vocabulary
from radogaga.units import Array

_DAY = 86_400.0
_LEAST_TO_COUNT = 10
_NUMBERS = {Kind.NUMBER, Kind.WHOLE, Kind.TRUTH}


class Rows(NamedTuple):
    """Rows as numbers, and what in them is new.

    Attributes
    ----------
    x : ndarray
        Finite numbers, ``(n, K)``.
    surprise : ndarray
        Nats that each cell of the table costs for holding what no training row held, ``(n, M)``: 0 for all others.
    given : DataFrame or ndarray
        The rows as they came.
    """

    x: Array
    surprise: Array
    given: pd.DataFrame | Array

    @property
    def cost(self) -> Array:
        """What each row costs for being new, ``(n,)``, in nats."""
        return self.surprise.sum(1) if self.surprise.strides[0] else np.zeros(len(self.x))


@dataclass(frozen=True)
class Table:
    """The columns of a training table, each as one number or more.

    Numbers, booleans, dates and durations are floats, a missing one its column's median; columns where some were
    missing get an indicator of that, dates the sine and cosine of the hour of the day and of the day of the week.
    Categories become indicators, two of them one. All by scikit-learn's `SimpleImputer` and `OneHotEncoder`. A value
    missing where none was before is the median, and costs log(n + 1) nats, n the training rows. A number that stands
    for none, -999 among ages, counts as missing: see `find_sentinels`.

    Attributes
    ----------
    names : tuple or None
        The columns' names, where the table was a data frame.
    kinds : tuple of Kind
        What each of the M columns holds.
    rows : int
        Number of training rows, n.
    middle : ndarray
        Medians of the columns that are measured, all but categories.
    gaps : ndarray of bool
        In which of them values were missing.
    sentinels : ndarray
        The values of each that stand for a missing one, NaN for no more, as `find_sentinels` gives them.
    vocabularies : tuple of Vocabulary
        The categories of each other column.
    plain : bool
        Whether the table was finite numbers alone, and its rows go back to such an array.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga.tables import Table
    >>> frame = pd.DataFrame({"age": [31.0, None, 52.0], "drink": ["tea", "milk", "tea"]})
    >>> table = Table.fit(frame)
    >>> table.encode(frame).x
    array([[31.,  0.,  0.],
           [31.,  1.,  1.],
           [52.,  0.,  0.]])
    >>> table.decode(table.encode(frame).x)
        age drink
    0  31.0   tea
    1   NaN  milk
    2  52.0   tea
    """

    names: tuple[Any, ...] | None
    kinds: tuple[Kind, ...]
    rows: int
    middle: Array
    gaps: NDArray[np.bool_]
    sentinels: Array
    vocabularies: tuple[Vocabulary, ...] = ()
    plain: bool = False

    @classmethod
    def of_numbers(cls, x: Array, names: Sequence[Any] | None = None) -> Table:
        """Take the columns of an array, finite but for NaN, ``(n, M)``; the names are for warnings."""
        _refuse_infinite(x, None)
        kinds = (Kind.NUMBER,) * x.shape[1]
        if names is not None:
            _warn_of_row_numbers(x, names)
        x, sentinels = _opened(x, range(x.shape[1]) if names is None else names, kinds)
        gaps = _gaps(x)
        return cls(None, kinds, len(x), _middle(x), gaps, sentinels, plain=not gaps.any())

    @classmethod
    def fit(cls, frame: pd.DataFrame, *, named: bool = True) -> Table:
        """Take the columns of a data frame, or of an array of objects, whose columns have no names."""
        kinds = tuple(kind_of(frame.iloc[:, j]) for j in range(frame.shape[1]))
        names = tuple(name if isinstance(name, str | int) else str(name) for name in frame) if named else None
        x = _measured(frame, kinds)
        measured = [name for name, kind in zip(frame, kinds, strict=True) if kind != Kind.CATEGORY]
        _refuse_infinite(x, measured)
        _warn_of_row_numbers(x, measured)
        x, sentinels = _opened(x, measured, [kind for kind in kinds if kind != Kind.CATEGORY])
        words = [Vocabulary.of(frame.iloc[:, j]) for j, kind in enumerate(kinds) if kind == Kind.CATEGORY]
        return cls(names, kinds, len(frame), _middle(x), _gaps(x), sentinels, tuple(words))

    def encode(self, rows: pd.DataFrame | Array) -> Rows:
        """Return rows as numbers, ``(n, M) -> (n, K)``, with what they cost for being new.

        Raises
        ------
        InputError
            If a number is infinite, or a column holds values of another kind than the training rows' did.
        """
        if isinstance(rows, np.ndarray) and self.vocabularies + self._moments:
            rows = pd.DataFrame(rows)
        x = rows if isinstance(rows, np.ndarray) else _measured(rows, self.kinds)
        _refuse_infinite(x, [self._name(j) for j in self._measured_columns])
        x = without_sentinels(x, self.sentinels)
        missing = np.isnan(x)
        if not missing.any() and not self.gaps.any() and not self._moments and not self.vocabularies:
            return Rows(x, np.broadcast_to(0.0, x.shape), rows)
        parts = [self._imputer.transform(x)] if x.shape[1] else []
        parts += [_cycles(parts[0][:, j]) for j in self._moments]
        surprise = np.zeros((len(x), len(self.kinds)))
        surprise[:, self._measured_columns] = (missing & ~self.gaps) * self._cost_of_a_gap
        if isinstance(rows, pd.DataFrame) and self.vocabularies:
            parts.append(self._indicators(rows, surprise))
        return Rows(np.concatenate(parts, 1), surprise, rows)

    def decode(self, x: Array) -> Any:
        """Return numbers as rows of the table, ``(n, K) -> (n, M)``: the likeliest category, the nearest whole number.

        As a data frame with the columns' names where the table had such, else as an array.
        """
        if self.plain:
            return x
        measured = len(self.middle)
        values = x[:, :measured].copy()
        gaps = np.flatnonzero(self.gaps)
        values[:, gaps] = np.where(x[:, measured : measured + len(gaps)] > 0.5, np.nan, values[:, gaps])
        words = self._likeliest(x[:, x.shape[1] - self._encoder_width :])
        whole = dict(zip(self._measured_columns, values.T, strict=True))
        made = {j: restore(whole[j], kind) if j in whole else words.pop(0) for j, kind in enumerate(self.kinds)}
        frame = pd.DataFrame(made)
        if self.names is None:
            return frame.to_numpy()
        return frame.set_axis(list(self.names), axis=1)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Which of the M columns each of the K numbers comes from."""
        measured = self._measured_columns
        moments = np.repeat(measured[list(self._moments)], 4)
        words = np.repeat(self._category_columns, self._widths)
        return np.concatenate([measured, measured[self.gaps], moments, words])

    @property
    def _cost_of_a_gap(self) -> float:
        return float(np.log(self.rows + 1))

    @cached_property
    def _measured_columns(self) -> NDArray[np.int64]:
        return np.flatnonzero([kind != Kind.CATEGORY for kind in self.kinds])

    @cached_property
    def _category_columns(self) -> NDArray[np.int64]:
        return np.flatnonzero([kind == Kind.CATEGORY for kind in self.kinds])

    @cached_property
    def _moments(self) -> tuple[int, ...]:
        """Which of the measured columns are dates."""
        return tuple(i for i, j in enumerate(self._measured_columns) if self.kinds[j] == Kind.MOMENT)

    @cached_property
    def _widths(self) -> list[int]:
        return [1 if words.codes == 2 else words.codes for words in self.vocabularies]

    @property
    def _encoder_width(self) -> int:
        return sum(self._widths)

    @cached_property
    def _imputer(self) -> SimpleImputer:
        # Made again, exactly, from any table of the same medians and gaps.
        like = np.repeat(self.middle[None], 5, 0)
        like[:2, self.gaps] = np.nan
        return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True).fit(like)

    @cached_property
    def _encoder(self) -> OneHotEncoder:
        codes = [np.arange(words.codes) for words in self.vocabularies]
        encoder = OneHotEncoder(categories=codes, drop="if_binary", handle_unknown="ignore", sparse_output=False)
        return encoder.fit(np.zeros((1, len(codes)), dtype=np.int64))

    def _indicators(self, frame: pd.DataFrame, surprise: Array) -> Array:
        codes = np.empty((len(surprise), len(self.vocabularies)), dtype=np.int64)
        for place, (j, words) in enumerate(zip(self._category_columns, self.vocabularies, strict=True)):
            codes[:, place], new = words.encode(frame.iloc[:, j])
            cost = np.where(frame.iloc[:, j].isna(), self._cost_of_a_gap, words.cost)
            surprise[:, j] = new * cost
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories")  # they are counted
            indicators: Array = self._encoder.transform(codes)
        return indicators

    def _likeliest(self, indicators: Array) -> list[NDArray[np.object_]]:
        parts = np.split(indicators, np.cumsum(self._widths)[:-1], axis=1) if self.vocabularies else []
        return [
            words.decode((part[:, 0] > 0.5).astype(np.int64) if words.codes == 2 else part.argmax(1))
            for words, part in zip(self.vocabularies, parts, strict=True)
        ]

    def _name(self, column: int) -> Any:
        return column if self.names is None else self.names[column]


def _measured(frame: pd.DataFrame, kinds: tuple[Kind, ...]) -> Array:
    x = np.empty(frame.shape)
    # Numbers all at once: ten thousand columns one by one take seconds.
    numbers = [kind in _NUMBERS and dtype.kind in "biuf" for kind, dtype in zip(kinds, frame.dtypes, strict=True)]
    if any(numbers):
        x[:, numbers] = frame.iloc[:, np.flatnonzero(numbers)].to_numpy(np.float64, na_value=np.nan)
    measured = np.flatnonzero([kind != Kind.CATEGORY for kind in kinds])
    for j in measured[~np.asarray(numbers)[measured]]:
        x[:, j] = measure(frame.iloc[:, j], kinds[j])
    return x if len(measured) == len(kinds) else x[:, measured]


def _opened(x: Array, names: Sequence[Any], kinds: Sequence[Kind]) -> tuple[Array, Array]:
    """Return training columns with NaN in place of sentinels, and these, with a warning of them."""
    sentinels = find_sentinels(x)
    found = np.argwhere(~np.isnan(sentinels.T))
    if len(found):
        said = [f"{restored(sentinels[end, j], kinds[j])} in column {names[j]}" for j, end in found[:5]]
        more = ", ..." if len(found) > 5 else ""
        say(
            f"Taken for missing values, since they come up often and far from all others: {', '.join(said)}{more}. "
            "Leave such cells empty; if they are measurements, pass the column's logarithm.",
            above=4,
        )
    return without_sentinels(x, sentinels), sentinels


def _warn_of_row_numbers(x: Array, names: Sequence[Any]) -> None:
    if len(x) < _LEAST_TO_COUNT:
        return
    maybe = np.flatnonzero((np.diff(x[:_LEAST_TO_COUNT], axis=0) == 1).all(0)).tolist()
    counting = [j for j in maybe if (np.diff(x[:, j]) == 1).all()]
    if counting:
        say(
            f"Column {str(names[counting[0]])!r} counts up by one from row to row, as row numbers do, which say "
            "nothing of what is normal. Drop it, or pass it as --id.",
            above=4,
        )


def _gaps(x: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(x).any(0))


def _middle(x: Array) -> Array:
    """Return the lower median of each column, a value that came up, 0 where none did."""
    if not np.isnan(x).any():
        return np.quantile(x, 0.5, axis=0, method="lower")
    x = np.where(np.isnan(x).all(0), 0.0, x)
    return np.asarray(np.nanquantile(x, 0.5, axis=0, method="lower"))


def _cycles(seconds: Array) -> Array:
    day, week = 2 * np.pi * seconds / _DAY, 2 * np.pi * seconds / (7 * _DAY)
    return np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], 1)


def _refuse_infinite(x: Array, names: list[Any] | None) -> None:
    if np.isinf(x).any():
        row, column = np.argwhere(np.isinf(x))[0]
        name = column if names is None else names[column]
        raise InputError(
            f"Expected finite numbers; got {x[row, column]} in row {row}, column {name}. Drop or fill such rows first."
        )
