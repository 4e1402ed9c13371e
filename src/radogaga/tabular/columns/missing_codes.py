"""Numbers that stand for a missing value: -999 among ages, the year 9999 among dates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radogaga._utils.checks import warn_user
from radogaga.tabular.columns.types import ColumnType, restore_one
from radogaga.tabular.defaults import (
    MAX_MISSING_CODE_SHARE,
    MAX_MISSING_CODES,
    MIN_MISSING_CODE_COUNT,
    MIN_VALUES_BESIDE_CODES,
    MISSING_CODE_DISTANCE,
)
from radogaga.tabular.standardize import Array

# How many values to try as codes below and above, the fewest first.
_TRIED = sorted(product(range(1, MAX_MISSING_CODES + 1), repeat=2), key=sum)


def detect_missing_codes(x: Array, names: Sequence[Any], types: Sequence[ColumnType]) -> tuple[Array, Array]:
    """Return training columns with NaN in place of codes for missing values, and these codes; warn of them."""
    codes = find_missing_codes(x)
    found = np.argwhere(~np.isnan(codes.T))
    if len(found):
        listed = [f"{restore_one(codes[end, j], types[j])} in column {names[j]!r}" for j, end in found[:5]]
        more = ", ..." if len(found) > 5 else ""
        warn_user(
            f"Taken for missing values, since they come up often and far from all others: {', '.join(listed)}{more}. "
            "Leave such cells empty; if they are measurements, pass the column's logarithm."
        )
    return mask_missing_codes(x, codes), codes


def find_missing_codes(x: Array) -> Array:
    """Return which values of each column stand for a missing one, ``(n, M) -> (6, M)``, NaN where there is none.

    Up to three below all others and up to three above: -998 for refused and -999 for unknown, say. Each comes up more
    than once, all on a side in no more than half of the rows; they are further from all others than five times their
    range, and within one range of each other; of these others there are ten or more. A wild value that comes up once
    is a measurement gone wrong, and stays.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.columns.missing_codes import find_missing_codes
    >>> ages = np.array([*range(18, 90), -998, -998, -999, -999], dtype=float)
    >>> find_missing_codes(ages[:, None])[:, 0]
    array([-999., -998.,   nan,   nan,   nan,   nan])
    """
    return np.array([_of_column(column) for column in x.T]).reshape(-1, 2 * MAX_MISSING_CODES).T


def mask_missing_codes(x: Array, missing_codes: Array) -> Array:
    """Return columns with NaN in place of their missing_codes.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.columns.missing_codes import mask_missing_codes
    >>> mask_missing_codes(np.array([[-999.0], [31.0]]), np.array([[-999.0], [np.nan]]))
    array([[nan],
           [31.]])
    """
    if np.isnan(missing_codes).all():
        return x
    missing = np.zeros(x.shape, dtype=np.bool_)
    for values in missing_codes[~np.isnan(missing_codes).all(1)]:
        missing |= x == values
    return np.where(missing, np.nan, x)


def _of_column(values: Array) -> Array:
    distinct, count = np.unique(values[~np.isnan(values)], return_counts=True)
    most, low, high = MAX_MISSING_CODE_SHARE * count.sum(), 0, len(distinct)
    # Again without those found: beside 9999 and 9998 an age of -999 is not far from the others.
    while any(found := _codes(distinct[low:high], count[low:high], most)):
        low, high = low + found[0], high - found[1]
    missing_codes = np.full((2, MAX_MISSING_CODES), np.nan)
    for side, codes in zip(missing_codes, (distinct[:low], distinct[high:][::-1]), strict=True):
        side[: len(codes)] = codes[:MAX_MISSING_CODES]
    return missing_codes.ravel()


def _codes(distinct: Array, count: NDArray[np.int64], most: float) -> tuple[int, int]:
    """Return how many of the least and of the greatest values, in order, are codes: the fewest that stand apart."""
    for below, above in _TRIED:
        inner = distinct[below : len(distinct) - above]
        if len(inner) < MIN_VALUES_BESIDE_CODES:
            break
        sides = (slice(below), slice(-above, None))
        often = [count[side].min() >= MIN_MISSING_CODE_COUNT and count[side].sum() <= most for side in sides]
        found = [often[i] and _apart(distinct[side], inner) for i, side in enumerate(sides)]
        if any(found):
            return below * found[0], above * found[1]
    return 0, 0


def _apart(codes: Array, inner: Array) -> bool:
    """Return whether codes are within one range of each other, and more than five of them from all others."""
    with np.errstate(over="ignore"):  # a range of infinity is one, too
        reach, gap = inner[-1] - inner[0], max(inner[0] - codes[-1], codes[0] - inner[-1])
        return bool(codes[-1] - codes[0] <= reach and gap > MISSING_CODE_DISTANCE * reach)
