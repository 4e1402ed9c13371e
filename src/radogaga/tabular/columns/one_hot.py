"""The encoder of models that version 0.1.0 saved, with categories as indicators: their scores stay as they were."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from radogaga.tabular.columns.dates import date_cycles
from radogaga.tabular.columns.encoder import EncodedRows, TableEncoder
from radogaga.tabular.columns.missing_codes import mask_missing_codes
from radogaga.tabular.columns.numeric import check_finite, numeric_columns
from radogaga.tabular.columns.types import restore
from radogaga.tabular.standardize import Array


@dataclass(frozen=True, eq=False)
class OneHotTableEncoder(TableEncoder):
    """A `TableEncoder` that makes numbers of categories, too, as version 0.1.0 did.

    Attributes
    ----------
    frequent, rare : tuple
        For each column of categories how many values have an indicator of their own, and whether others share one.
    cost : tuple of float
        Nats that a new value in each costs.
    """

    frequent: tuple[int, ...] = ()
    rare: tuple[bool, ...] = ()
    cost: tuple[float, ...] = ()

    def encode(self, rows: pd.DataFrame | Array) -> EncodedRows:
        """Return rows as numbers, ``(n, M) -> (n, K)``, with what they cost for being new."""
        if isinstance(rows, np.ndarray) and not self.is_numeric:
            rows = pd.DataFrame(rows)
        x = numeric_columns(rows, self.column_types, self.number_columns)
        check_finite(x, [self._name(j) for j in self.number_columns])
        x = mask_missing_codes(x, self.missing_codes)
        missing = np.isnan(x)
        novelty = np.zeros(rows.shape)
        novelty[:, self.number_columns] = (missing & ~self.has_missing) * np.log(self.rows + 1)
        parts = [self._imputer.transform(x)] if x.shape[1] else []
        parts += [date_cycles(parts[0][:, j], yearly=False) for j in np.flatnonzero(self.cycles)]
        if isinstance(rows, pd.DataFrame) and self.category_columns:
            parts.append(self._indicators(rows, novelty))
        codes = np.zeros((len(x), 0), np.int64)
        return EncodedRows(np.concatenate(parts, 1), codes, novelty, novelty > 0, rows)

    def decode(self, x: Array, codes: NDArray[np.int64]) -> Any:
        """Return numbers as rows of the table, ``(n, K) -> (n, M)``."""
        if self.is_numeric and self.names is None:
            return x
        numbers, with_missing = len(self.median), np.flatnonzero(self.has_missing)
        values = x[:, :numbers].copy()
        missing = x[:, numbers : numbers + len(with_missing)] > 0.5
        values[:, with_missing] = np.where(missing, np.nan, values[:, with_missing])
        made = {
            j: restore(column, self.column_types[j]) for j, column in zip(self.number_columns, values.T, strict=True)
        }
        indicators = np.split(x[:, x.shape[1] - sum(self._widths) :], np.cumsum(self._widths)[:-1], axis=1)
        for i, (j, encoder) in enumerate(zip(self.category_columns, self.category_encoders, strict=True)):
            part = indicators[i]
            code = (part[:, 0] > 0.5).astype(np.int64) if self._levels[i] == 2 else part.argmax(1)
            shown = [*encoder.values[: self.frequent[i] + self.rare[i]], *[None] * encoder.missing]
            made[j] = np.array(shown, dtype=object)[code]
        frame = pd.DataFrame({j: made[j] for j in range(len(self.column_types))})
        return frame.to_numpy() if self.names is None else frame.set_axis(list(self.names), axis=1)

    @cached_property
    def source_column(self) -> NDArray[np.int64]:
        """Which of the M columns each of the K numbers comes from."""
        numbers = np.array(self.number_columns, dtype=np.int64)
        categories = np.repeat(np.array(self.category_columns, dtype=np.int64), self._widths)
        return np.concatenate([numbers, numbers[self.has_missing], np.repeat(numbers, self.cycles), categories])

    @property
    def code_column(self) -> NDArray[np.int64]:
        """Which of the M columns each of the codes comes from: there are none."""
        return np.zeros(0, np.int64)

    @cached_property
    def _levels(self) -> list[int]:
        encoders = zip(self.frequent, self.rare, self.category_encoders, strict=True)
        return [frequent + rare + encoder.missing for frequent, rare, encoder in encoders]

    @cached_property
    def _widths(self) -> list[int]:
        return [1 if levels == 2 else levels for levels in self._levels]

    @cached_property
    def _imputer(self) -> SimpleImputer:
        # Made again, exactly, from any table of the same medians and missing values.
        like = np.repeat(self.median[None], 5, 0)
        like[:2, self.has_missing] = np.nan
        return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True).fit(like)

    @cached_property
    def _encoder(self) -> OneHotEncoder:
        categories = [np.arange(levels) for levels in self._levels]
        encoder = OneHotEncoder(categories=categories, drop="if_binary", handle_unknown="ignore", sparse_output=False)
        return encoder.fit(np.zeros((1, len(categories)), dtype=np.int64))

    def _indicators(self, frame: pd.DataFrame, novelty: Array) -> Array:
        codes = np.empty((len(frame), len(self.category_columns)), dtype=np.int64)
        for i, (j, encoder) in enumerate(zip(self.category_columns, self.category_encoders, strict=True)):
            code, is_missing = encoder.encode(frame.iloc[:, j]), frame.iloc[:, j].isna().to_numpy()
            new = np.where(is_missing, not encoder.missing, code < 0)
            shared = np.where(code < 0, self.frequent[i] if self.rare[i] else -1, np.minimum(code, self.frequent[i]))
            codes[:, i] = np.where(is_missing, self._levels[i] - 1 if encoder.missing else -1, shared)
            novelty[:, j] = new * np.where(is_missing, np.log(self.rows + 1), self.cost[i])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found unknown categories")  # they are counted
            indicators: Array = self._encoder.transform(codes)
        return indicators
