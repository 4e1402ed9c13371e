"""Numbers that stand for no number: -999 among ages, the year 9999 among dates."""

from __future__ import annotations

import numpy as np

from radogaga.units import Array

_LEAST_INNER, _LEAST_REPEATS, _MOST_SHARE = 10, 2, 0.5
_RANGES_OFF = 5.0


def find_sentinels(x: Array) -> Array:
    """Return which least and which greatest value of each column stands for a missing one, ``(n, M) -> (2, M)``.

    It comes up more than once, but in no more than half of the rows, and is further from all others than five times
    their range; of these others there are ten or more. NaN where there is none. A wild value that comes up once is a
    measurement gone wrong, and stays.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tables.sentinels import find_sentinels
    >>> ages = np.array([*range(18, 90), -999, -999], dtype=float)
    >>> find_sentinels(ages[:, None])
    array([[-999.],
           [  nan]])
    """
    return np.array([_of_column(column) for column in x.T]).reshape(-1, 2).T


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
    return np.where((x == sentinels[0]) | (x == sentinels[1]), np.nan, x)


def _of_column(values: Array) -> tuple[float, float]:
    distinct, count = np.unique(values[~np.isnan(values)], return_counts=True)
    inner = distinct[1:-1]
    if len(inner) < _LEAST_INNER:
        return np.nan, np.nan
    with np.errstate(over="ignore"):  # a gap of infinity is one, too
        least_gap = _RANGES_OFF * (inner[-1] - inner[0])
        far = inner[0] - distinct[0] > least_gap, distinct[-1] - inner[-1] > least_gap
    often = (count >= _LEAST_REPEATS) & (count <= _MOST_SHARE * count.sum())
    return distinct[0] if far[0] and often[0] else np.nan, distinct[-1] if far[1] and often[-1] else np.nan
