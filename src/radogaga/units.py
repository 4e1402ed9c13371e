"""Columns of any unit and any size, brought near one in float64, so that float32 can do the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radogaga.errors import InputError

Array = NDArray[np.float64]

# Beyond this a standardised number is as far off as can be; its square and its product with a weight stay finite.
_FARTHEST = 1e100


@dataclass(frozen=True)
class Units:
    """The columns that vary, and the centre and spread of each: s = (x - centre) / spread, in float64.

    Spread is the standard deviation of values drawn in to the 1 % and 99 % quantiles, so that a few wild ones, 1e300
    say, do not flatten the rest. Numbers are first divided by a power of two, so that nothing overflows on the way.

    Attributes
    ----------
    varying : ndarray of bool
        Which of the M columns vary; the K others carry no density.
    row : ndarray
        Any training row, ``(M,)``: it holds the constant columns' values.
    exponent, centre, spread : ndarray
        The power of two, then centre and spread after it, ``(K,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.units import Units
    >>> x = np.array([[0.0, 7.0], [1e300, 7.0]])
    >>> units = Units.of(x)
    >>> units.standardise(x)
    array([[-1.],
           [ 1.]])
    >>> bool((units.restore(units.standardise(x)) == x).all())
    True
    """

    varying: NDArray[np.bool_]
    row: Array
    exponent: NDArray[np.int64]
    centre: Array
    spread: Array

    @classmethod
    def of(cls, x: Array) -> Units:
        """Choose the units of training rows ``(n, M)``."""
        varying = x.max(0) > x.min(0)
        if not varying.any():
            raise InputError(
                f"Expected at least one column that varies; got {len(x)} equal rows. Pass rows that differ: equal ones "
                "have no density."
            )
        exponent = np.frexp(np.abs(x[:, varying]).max(0))[1].astype(np.int64)
        s = np.ldexp(x[:, varying], -exponent)
        middle = np.median(s, axis=0)
        s -= middle  # before any mean: numbers that are all but equal keep their differences
        drawn_in = s.clip(np.quantile(s, 0.01, axis=0, method="higher"), np.quantile(s, 0.99, axis=0, method="lower"))
        # A column where fewer than one row in a hundred differs has only those to measure it by.
        s = np.where(drawn_in.max(0) > drawn_in.min(0), drawn_in, s)
        return cls(varying, x[0].copy(), exponent, middle + s.mean(0), _spread(s))

    @property
    def log_volume(self) -> float:
        """Log |det ds/dx|: a density of s times its exponential is one of x."""
        return float(-np.log(self.spread).sum() - self.exponent.sum() * np.log(2))

    def standardise(self, x: Array) -> Array:
        """Return rows in these units, ``(n, M) -> (n, K)``."""
        with np.errstate(over="ignore"):
            s = (np.ldexp(x[:, self.varying], -self.exponent) - self.centre) / self.spread
        return s.clip(-_FARTHEST, _FARTHEST)

    def restore(self, s: Array) -> Array:
        """Return rows in their own units, ``(n, K) -> (n, M)``, constant columns included."""
        x = np.repeat(self.row[None], len(s), 0)
        with np.errstate(over="ignore"):
            x[:, self.varying] = np.ldexp(s * self.spread + self.centre, self.exponent)
        most = np.finfo(np.float64).max
        return x.clip(-most, most)


def _spread(s: Array) -> Array:
    # Twice, so that squares of tiny numbers do not vanish.
    largest = np.abs(s).max(0)
    spread: Array = (s / largest).std(0) * largest
    return spread
