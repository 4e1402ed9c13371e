"""Columns of any unit and any size, brought near one in float64, so that float32 can do the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from radogaga.errors import InputError
from radogaga.tabular.defaults import SCALE_QUANTILES, SCORING_CLIP

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Standardizer:
    """The columns that vary, and the centre and scale of each: s = (x - centre) / scale, in float64.

    The scale is the standard deviation of values clipped to the 1 % and 99 % quantiles, so that a few outliers, 1e300
    say, do not flatten the rest. Numbers are first divided by a power of two, so that nothing overflows on the way.

    Attributes
    ----------
    varying : ndarray of bool
        Which of the M columns vary; the K others carry no density.
    constant_values : ndarray
        Any training row, ``(M,)``: it holds the constant columns' values.
    exponent, centre, scale : ndarray
        The power of two, then centre and scale after it, ``(K,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import Standardizer
    >>> x = np.array([[0.0, 7.0], [1e300, 7.0]])
    >>> standardizer = Standardizer.fit(x)
    >>> standardizer.transform(x)
    array([[-1.],
           [ 1.]])
    >>> bool((standardizer.inverse_transform(standardizer.transform(x)) == x).all())
    True
    """

    varying: NDArray[np.bool_]
    constant_values: Array
    exponent: NDArray[np.int64]
    centre: Array
    scale: Array

    @classmethod
    def fit(cls, x: Array, *, may_be_constant: bool = False) -> Self:
        """Choose centre and scale by training rows ``(n, M)``; that all columns are constant is refused, or not."""
        varying = x.max(0) > x.min(0)
        if not varying.any() and not may_be_constant:
            raise InputError(
                f"Expected at least one column that varies; got {len(x)} equal rows. Pass rows that differ: equal ones "
                "have no density."
            )
        exponent = np.frexp(np.abs(x[:, varying]).max(0))[1].astype(np.int64)
        s = np.ldexp(x[:, varying], -exponent)
        median = np.median(s, axis=0)
        s -= median  # before any mean: numbers that are all but equal keep their differences
        low, high = SCALE_QUANTILES
        clipped = s.clip(np.quantile(s, low, axis=0, method="higher"), np.quantile(s, high, axis=0, method="lower"))
        # A column where fewer than one row in a hundred differs has only those to measure it by.
        s = np.where(clipped.max(0) > clipped.min(0), clipped, s)
        return cls(varying, x[0].copy(), exponent, median + s.mean(0), _standard_deviation(s))

    @property
    def log_volume(self) -> float:
        """Log |det ds/dx|: a density of s times its exponential is one of x."""
        return float(-np.log(self.scale).sum() - self.exponent.sum() * np.log(2))

    def transform(self, x: Array) -> Array:
        """Return standardised rows, ``(n, M) -> (n, K)``."""
        with np.errstate(over="ignore"):
            s = (np.ldexp(x[:, self.varying], -self.exponent) - self.centre) / self.scale
        return s.clip(-SCORING_CLIP, SCORING_CLIP)

    def inverse_transform(self, s: Array) -> Array:
        """Return rows in their own units, ``(n, K) -> (n, M)``, constant columns included."""
        x = np.repeat(self.constant_values[None], len(s), 0)
        with np.errstate(over="ignore"):
            x[:, self.varying] = np.ldexp(s * self.scale + self.centre, self.exponent)
        largest = np.finfo(np.float64).max
        return x.clip(-largest, largest)


def _standard_deviation(s: Array) -> Array:
    # Twice, so that squares of tiny numbers do not vanish.
    largest = np.abs(s).max(0)
    deviation: Array = (s / largest).std(0) * largest
    return deviation
