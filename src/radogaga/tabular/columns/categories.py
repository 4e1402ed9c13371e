"""The values of a column of categories: which are known, which have a number of their own, what a new one costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radogaga._utils.checks import warn_user
from radogaga.errors import InputError
from radogaga.tabular.defaults import (
    MAX_FREQUENT_CATEGORIES,
    MAX_KNOWN_CATEGORIES,
    MIN_CATEGORIES_TO_WARN,
    MIN_CATEGORY_SHARE,
)

# 1,234 and 12 % and 31/12/2024, but no plain numbers: as text those are codes.
_MEASURED = r"[-+]?[$€£]?\s*\d[\d.,:/'\s-]*[%$€£]?"


@dataclass(frozen=True)
class CategoryEncoder:
    """The categories that training rows held, most frequent first; the rare ones share a code, missing has its own.

    A value that no training row held is coded as the rare ones are, and costs what Good and Turing say: the share of
    rows whose value came up once estimates how often a new row brings a new value. Among names or identifiers, where
    new values are the rule, it is nearly nothing; where three values made up a million rows, 14 nats.

    Attributes
    ----------
    values : tuple of str
        The known values, 10,000 at most.
    frequent : int
        How many of them have a code of their own: those of 1 % of the rows or more, 30 at most.
    missing : bool
        Whether values were missing.
    novelty : float
        Nats by which a new value lowers the log density.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga import CategoryEncoder
    >>> encoder = CategoryEncoder.fit(pd.Series(["tea", "tea", "milk", None]))
    >>> encoder.values, encoder.codes, round(encoder.novelty, 2)
    (('tea', 'milk'), 3, 0.92)
    >>> encoder.encode(pd.Series(["milk", "gin", None]))
    (array([ 1, -1,  2]), array([False,  True, False]))
    """

    values: tuple[str, ...]
    frequent: int
    missing: bool
    novelty: float

    @classmethod
    def fit(cls, column: pd.Series[Any]) -> CategoryEncoder:
        """Take the values of a training column, and warn where they look like no categories."""
        places, words = _words(column)
        counts = pd.Series(np.bincount(places[places >= 0], minlength=len(words)), index=words).groupby(level=0).sum()
        counts = counts.iloc[np.lexsort((counts.index.to_numpy(), -counts.to_numpy()))]
        known = counts.iloc[:MAX_KNOWN_CATEGORIES]
        frequent = int((known.iloc[:MAX_FREQUENT_CATEGORIES] >= MIN_CATEGORY_SHARE * len(column)).sum())
        once = int((known == 1).sum() + counts.iloc[MAX_KNOWN_CATEGORIES:].sum())
        _warn_of(column, known, once)
        novelty = float(np.log((len(column) + 1) / (once + 1)))
        return cls(tuple(known.index), frequent, bool((places < 0).any()), novelty)

    @property
    def rare(self) -> bool:
        """Whether there are values without a code of their own."""
        return len(self.values) > self.frequent

    @property
    def codes(self) -> int:
        """How many codes there are: of frequent values, of rare ones together, of missing ones."""
        return self.frequent + self.rare + self.missing

    def encode(self, column: pd.Series[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return each value's code ``(n,)``, -1 for what has none, and which values no training row held."""
        places, words = _words(column)
        known = pd.Index(self.values, dtype=object).get_indexer(pd.Index(words, dtype=object))
        code = np.where(known < 0, self.frequent if self.rare else -1, np.minimum(known, self.frequent))
        missing = self.codes - 1 if self.missing else -1
        # The place -1 of a missing value is the last one.
        return np.append(code, missing)[places].astype(np.int64), np.append(known < 0, not self.missing)[places]

    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return the values of codes ``(n,)``: for rare ones the most frequent of them, None for missing ones."""
        words = np.array([*self.values[: self.frequent + self.rare], *[None] * self.missing], dtype=object)
        return words[codes]


def _words(column: pd.Series[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Return for each value which word it is, -1 for a missing one, and the words; 1 and 1.0 are the same word."""
    try:
        places, values = pd.factorize(column)
    except TypeError:
        raise InputError(
            f"Expected text, numbers or dates in the cells of column {column.name}; got lists or other objects. "
            "Spread them over columns, or drop it."
        ) from None
    return places, [_word(value) for value in values]


def _word(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _warn_of(column: pd.Series[Any], known: pd.Series[int], once: int) -> None:
    words = pd.Series(known.index, dtype=object)
    numbers = pd.to_numeric(words, errors="coerce").notna()
    measured = words.str.fullmatch(_MEASURED).astype(bool) & ~numbers
    if len(known) >= MIN_CATEGORIES_TO_WARN and measured.sum() >= len(known) / 2 and (measured | numbers).all():
        warn_user(
            f"Column {column.name} looks like numbers or dates, {words[measured].iloc[0][:40]!r} say, but is taken as "
            "categories. Write numbers as 1234.5 and dates as 2024-12-31 if it is one of these.",
        )
    elif len(known) > 2 and len(known) / 2 <= numbers.sum() < len(known):
        other = known.index[~numbers.to_numpy()][0]
        warn_user(
            f"Column {column.name} mixes numbers and text, {str(other)[:40]!r} say, and is taken as categories. "
            "Leave such cells empty if it is a number.",
        )
    elif len(column) >= 100 and once > len(column) / 2:
        warn_user(
            f"Column {column.name} has values that come up once in {once:,} of {len(column):,} rows, as names and "
            "identifiers do, which say little of what is normal. Drop it, or pass it as --id.",
        )
