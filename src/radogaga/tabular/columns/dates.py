"""Dates by their cycles: the time of the day, of the week and of the year."""

from __future__ import annotations

import numpy as np

from radogaga.tabular.standardize import Array

DAY = 86_400.0
WEEK = 7 * DAY
YEAR = 365.2425 * DAY


def date_cycles(seconds: Array, *, yearly: bool) -> Array:
    """Return sine and cosine of the phase in the day, in the week and, if wanted, in the year, ``(n,) -> (n, 4 or 6)``.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.columns.dates import DAY, date_cycles
    >>> date_cycles(np.array([DAY / 8]), yearly=False)[0, :2].round(3)
    array([0.707, 0.707])
    """
    phases = [2 * np.pi * seconds / period for period in (DAY, WEEK, *([YEAR] if yearly else []))]
    return np.stack([function(phase) for phase in phases for function in (np.sin, np.cos)], 1)


def from_cycles(cycles: Array, near: float) -> Array:
    """Return the seconds in the week of a given time that have the cycles' phase, ``(n, 4 or 6) -> (n,)``."""
    phase = np.arctan2(cycles[:, 2], cycles[:, 3]) / (2 * np.pi) % 1
    return np.asarray(np.floor(near / WEEK) * WEEK + phase * WEEK)
