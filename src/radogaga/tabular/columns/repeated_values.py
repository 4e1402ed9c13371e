"""Numbers that repeat: in a column of them, a value that no training row held is news."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from radogaga.tabular.defaults import MAX_REPEATED_VALUES, MIN_COST_OF_NEW_VALUE
from radogaga.tabular.standardize import Array


@dataclass(frozen=True, eq=False)
class RepeatedValues:
    """The values of number columns that repeat, and what another value costs there.

    Of n training rows, n1 hold a value of a column that comes up once. A new row's value is new with a probability of
    about (n1 + 1) / (n + 1) (Good and Turing), and costs minus the logarithm of that: nothing where all values differ,
    log(n + 1) nats where all repeat. A density of numbers does not see it, since it is smooth.

    Attributes
    ----------
    values : tuple of ndarray
        Sorted, of each column; none where a new value costs nothing to speak of.
    cost : ndarray
        Nats that a new value costs in each column, ``(K,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import RepeatedValues
    >>> x = np.stack([np.arange(100) % 10, np.random.RandomState(0).normal(size=100)], 1)
    >>> repeated = RepeatedValues.fit(x)
    >>> repeated.novelty(np.array([[3.0, 0.5], [3.5, 0.5]])).round(1)
    array([[0. , 0. ],
           [4.6, 0. ]])

    References
    ----------
    Good, "The population frequencies of species and the estimation of population parameters", Biometrika 40, 1953.
    """

    values: tuple[Array, ...]
    cost: Array

    @classmethod
    def fit(cls, x: Array) -> Self:
        """Return the repeated values of training rows ``(n, K)``."""
        kept, costs = [], []
        for column in x.T:
            values, count = np.unique(column, return_counts=True)
            cost = float(np.log((len(x) + 1) / ((count == 1).sum() + 1)))
            # Another value in a constant column is counted by the encoder.
            matters = cost >= MIN_COST_OF_NEW_VALUE and 1 < len(values) <= MAX_REPEATED_VALUES
            kept.append(values if matters else values[:0])
            costs.append(cost if matters else 0.0)
        return cls(tuple(kept), np.array(costs))

    def novelty(self, x: Array) -> Array:
        """Return what each value costs for being new, in nats, ``(n, K) -> (n, K)``."""
        novelty = np.zeros(x.shape)
        for j in np.flatnonzero(self.cost):
            novelty[:, j] = self.cost[j] * ~_is_among(self.values[j], x[:, j])
        return novelty

    def left_out_novelty(self, x: Array, rows: Array) -> Array:
        """Return what the values of some of the training rows cost without their own row, ``(n, K), (m, K) -> (m, K)``.

        A value that comes up once among the training rows x is new if its row is left out.
        """
        novelty = np.zeros(rows.shape)
        for j in np.flatnonzero(self.cost):
            values, count = np.unique(x[:, j], return_counts=True)
            novelty[:, j] = self.cost[j] * _is_among(values[count == 1], rows[:, j])
        return novelty


def _is_among(values: Array, x: Array) -> NDArray[np.bool_]:
    if not len(values):
        return np.zeros(len(x), np.bool_)
    return np.asarray(values[np.searchsorted(values, x).clip(max=len(values) - 1)] == x)
