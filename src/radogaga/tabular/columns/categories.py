"""The values of a column of categories: which are known, which have a number of their own, what a new one costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radogaga._utils.checks import warn_user
from radogaga.errors import InputError
from radogaga.tabular.columns.types import ColumnType, restore
from radogaga.tabular.defaults import (
    MAX_KNOWN_CATEGORIES,
    MIN_CATEGORIES_TO_WARN,
)

# 1,234 and 12 % and 31/12/2024, but no plain numbers: as text those are codes.
_MEASURED = r"[-+]?[$€£]?\s*\d[\d.,:/'\s-]*[%$€£]?"


@dataclass(frozen=True)
class CategoryEncoder:
    """The values of a column of categories as codes 0, 1, ..., the most frequent first.

    Values beyond the 10,000 most frequent share a code; missing ones have one of their own if training rows had any.
    What no training row held has the code -1.

    Attributes
    ----------
    values : tuple of str
        The known values.
    overflow, missing : bool
        Whether there were values beyond them, and whether values were missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga import CategoryEncoder
    >>> encoder = CategoryEncoder.fit(pd.Series(["tea", "tea", "milk", None]))
    >>> encoder.values, encoder.levels
    (('tea', 'milk'), 3)
    >>> encoder.encode(pd.Series(["milk", "gin", None]))
    array([ 1, -1,  2])
    """

    values: tuple[str, ...]
    overflow: bool
    missing: bool

    @classmethod
    def fit(cls, column: pd.Series[Any]) -> Self:
        """Learn the values of a training column, and warn where they look like no categories."""
        places, words = _words(column)
        counts = pd.Series(np.bincount(places[places >= 0], minlength=len(words)), index=words).groupby(level=0).sum()
        counts = counts.iloc[np.lexsort((counts.index.to_numpy(), -counts.to_numpy()))]
        known = counts.iloc[:MAX_KNOWN_CATEGORIES]
        once = int((known == 1).sum() + counts.iloc[MAX_KNOWN_CATEGORIES:].sum())
        _warn_of(column, known, once)
        return cls(tuple(known.index), len(counts) > len(known), bool((places < 0).any()))

    @property
    def levels(self) -> int:
        """How many codes there are."""
        return len(self.values) + self.overflow + self.missing

    def encode(self, column: pd.Series[Any]) -> NDArray[np.int64]:
        """Return each value's code ``(n,)``, -1 for what no training row held."""
        places, words = _words(column)
        codes = pd.Index(self.values, dtype=object).get_indexer(pd.Index(words, dtype=object))
        if self.overflow:
            codes = np.where(codes < 0, len(self.values), codes)
        # The place -1 of a missing value is the last one.
        return np.append(codes, self.levels - 1 if self.missing else -1)[places].astype(np.int64)

    def decode(self, codes: NDArray[np.int64], kind: ColumnType) -> Any:
        """Return the values of codes ``(n,)``, None for missing ones and those beyond the known."""
        words = np.array([*self.values, *[None] * (self.levels - len(self.values) + 1)], dtype=object)[codes]
        if kind == ColumnType.CATEGORY:
            return words
        numbers = [np.nan if word is None else float({"True": 1, "False": 0}.get(word, word)) for word in words]
        return restore(np.array(numbers), kind)


def _words(column: pd.Series[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Return for each value which word it is, -1 for a missing one, and the words; 1 and 1.0 are the same word."""
    try:
        places, values = pd.factorize(column)
    except TypeError:
        raise InputError(
            f"Expected text, numbers or dates in the cells of column {column.name!r}; got lists or other objects. "
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
