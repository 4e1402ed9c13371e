"""Numbers that stand for no number: -999 among ages, the year 9999 among dates."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from radogaga.units import Array

_LEAST_INNER, _LEAST_REPEATS, _MOST_SHARE = 10, 2, 0.5
_RANGES_OFF = 5.0
_MOST_ON_A_SIDE = 3
# How many values to try as codes below and above, the fewest first.
_TRIED = sorted(product(range(1, _MOST_ON_A_SIDE + 1), repeat=2), key=sum)


def find_sentinels(x: Array) -> Array:
    """Return which values of each column stand for a missing one, ``(n, M) -> (6, M)``, NaN where there is none.

    Up to three below all others and up to three above: -998 for refused and -999 for unknown, say. Each comes up more
    than once, all on a side in no more than half of the rows; they are further from all others than five times their
    range, and within one range of each other; of these others there are ten or more. A wild value that comes up once
    is a measurement gone wrong, and stays.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tables.sentinels import find_sentinels
    >>> ages = np.array([*range(18, 90), -998, -998, -999, -999], dtype=float)
    >>> find_sentinels(ages[:, None])[:, 0]
    array([-999., -998.,   nan,   nan,   nan,   nan])
    """
    return np.array([_of_column(column) for column in x.T]).reshape(-1, 2 * _MOST_ON_A_SIDE).T


def without_sentinels(x: Array, sentinels: Array) -> Array:
    """Return columns with NaN in place of their sentinels.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tables.sentinels import without_sentinels
    >>> without_sentinels(np.array([[-999.0], [31.0]]), np.array([[-999.0], [np.nan]]))
    array([[nan],
           [31.]])
    """
    if np.isnan(sentinels).all():
        return x
    missing = np.zeros(x.shape, dtype=np.bool_)
    for values in sentinels[~np.isnan(sentinels).all(1)]:
        missing |= x == values
    return np.where(missing, np.nan, x)


def _of_column(values: Array) -> Array:
    distinct, count = np.unique(values[~np.isnan(values)], return_counts=True)
    most, low, high = _MOST_SHARE * count.sum(), 0, len(distinct)
    # Again without those found: beside 9999 and 9998 an age of -999 is not far from the others.
    while any(found := _codes(distinct[low:high], count[low:high], most)):
        low, high = low + found[0], high - found[1]
    sentinels = np.full((2, _MOST_ON_A_SIDE), np.nan)
    for side, codes in zip(sentinels, (distinct[:low], distinct[high:][::-1]), strict=True):
        side[: len(codes)] = codes[:_MOST_ON_A_SIDE]
    return sentinels.ravel()


def _codes(distinct: Array, count: NDArray[np.int64], most: float) -> tuple[int, int]:
    """Return how many of the least and of the greatest values, in order, are codes: the fewest that stand apart."""
    for below, above in _TRIED:
        inner = distinct[below : len(distinct) - above]
        if len(inner) < _LEAST_INNER:
            break
        sides = (slice(below), slice(-above, None))
        often = [count[side].min() >= _LEAST_REPEATS and count[side].sum() <= most for side in sides]
        found = [often[i] and _apart(distinct[side], inner) for i, side in enumerate(sides)]
        if any(found):
            return below * found[0], above * found[1]
    return 0, 0


def _apart(codes: Array, inner: Array) -> bool:
    """Return whether codes are within one range of each other, and more than five of them from all others."""
    with np.errstate(over="ignore"):  # a range of infinity is one, too
        reach, gap = inner[-1] - inner[0], max(inner[0] - codes[-1], codes[0] - inner[-1])
        return bool(codes[-1] - codes[0] <= reach and gap > _RANGES_OFF * reach)
