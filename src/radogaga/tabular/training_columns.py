"""What each column of a training table held, in few numbers, for comparison with later rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from radogaga.tabular.category_table import Codes
from radogaga.tabular.defaults import (
    MAX_CATEGORIES_TO_COMPARE,
    MAX_ROWS_TO_COMPARE,
    MIN_COUNT_TO_COMPARE,
    QUANTILES_TO_COMPARE,
)
from radogaga.tabular.standardize import Array


@dataclass(frozen=True, eq=False)
class TrainingColumns:
    """Quantiles of a training table's numbers, and counts of its categories.

    Attributes
    ----------
    rows : int
        Of how many rows numbers were taken.
    quantiles : ndarray
        Values at 101 even steps of each number, lowest to highest, ``(K, 101)``.
    below, up_to : ndarray
        Share of training rows below each of them, and of those that are no higher, ``(K, 101)``.
    categories : tuple of ndarray
        For each column of codes, those that are compared one by one, at most 100.
    counts : tuple of ndarray
        How many rows held each, and how many any other. Which codes are compared was decided by other rows: among the
        rows that decide, what is frequent by chance is counted as frequent.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import TrainingColumns
    >>> columns = TrainingColumns.fit(np.arange(101.0)[:, None], np.array([[0]] * 61 + [[1]] * 40))
    >>> float(columns.quantiles[0, 50]), columns.categories[0], columns.counts[0]
    (50.0, array([0]), array([30, 20]))
    """

    rows: int
    quantiles: Array
    below: Array
    up_to: Array
    categories: tuple[Codes, ...]
    counts: tuple[Codes, ...]

    @classmethod
    def fit(cls, x: Array, codes: Codes) -> Self:
        """Return what numbers ``(n, K)`` and codes ``(n, J)`` of rows in a random order held."""
        x, codes = x[:MAX_ROWS_TO_COMPARE], codes[:MAX_ROWS_TO_COMPARE]
        ordered = np.sort(x, axis=0)
        steps = np.linspace(0, len(x) - 1, QUANTILES_TO_COMPARE).round().astype(np.int64)
        quantiles = np.ascontiguousarray(ordered[steps].T)
        below, up_to = (
            np.array([np.searchsorted(column, q, side) for column, q in zip(ordered.T, quantiles, strict=True)])
            .reshape(quantiles.shape)
            .astype(np.float64)
            / len(x)
            for side in ("left", "right")
        )
        deciding, counted = codes[::2], codes[1::2]
        categories = tuple(_most_frequent(column) for column in deciding.T)
        counts = tuple(count_codes(column, known) for column, known in zip(counted.T, categories, strict=True))
        return cls(len(x), quantiles, below, up_to, categories, counts)


def count_codes(codes: Codes, known: Codes) -> Codes:
    """Return how many codes are each of the known ones, and how many are others, ``(n,) -> (len(known) + 1,)``."""
    counts = np.bincount(codes[codes >= 0], minlength=int(known.max(initial=0)) + 1)[known]
    return np.append(counts, len(codes) - counts.sum())


def _most_frequent(codes: Codes) -> Codes:
    counts = np.bincount(codes[codes >= 0])
    frequent = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES_TO_COMPARE]
    return frequent[counts[frequent] >= MIN_COUNT_TO_COMPARE]
