"""Thresholds and p-values from the scores of rows that a model was not fitted to, or as if it had not been."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from radogaga._utils.checks import warn_user
from radogaga.errors import InputError
from radogaga.tabular.defaults import (
    ALARM_RATE,
    MIN_HELD_OUT,
    MIN_ROWS_TO_HOLD_OUT,
    ROWS_PER_CALIBRATION,
    SELECTION_MARGIN,
)
from radogaga.tabular.standardize import Array


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores that normal rows have, and the threshold under which a row is an anomaly.

    Attributes
    ----------
    scores : ndarray
        Sorted scores, ``(n,)``, in nats: of held-out rows, and where those are few of training rows, each without its
        own part in the model.
    threshold : float
        Rows that score below it are anomalies.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import Calibration
    >>> calibration = Calibration(np.arange(99.0), threshold=2.0)
    >>> calibration.p_value(np.array([-1.0, 50.0])), calibration.is_anomaly(np.array([-1.0, 50.0]))
    (array([0.01, 0.52]), array([ True, False]))
    """

    scores: Array
    threshold: float

    @classmethod
    def fit(cls, scores: Array, alarm_rate: float = ALARM_RATE) -> Self:
        """Return the calibration by scores in any order, with the threshold of `threshold_for`."""
        scores = np.sort(scores)
        return cls(scores, threshold_for(scores, alarm_rate))

    def rank(self, scores: Array) -> NDArray[np.int64]:
        """Return how many of the calibration scores are as low or lower, ``(B,)``, 0 to n."""
        # Equal rows may differ in the last digit by their place in a batch, and are to count as equal.
        return np.searchsorted(self.scores, scores + 1e-9 * (1 + np.abs(scores)), side="right")

    def p_value(self, scores: Array) -> Array:
        """Return the conformal p-values (k + 1) / (n + 1), k of the n calibration scores being as low or lower."""
        return (self.rank(scores) + 1) / (len(self.scores) + 1)

    def highest_rank(self, counts: NDArray[np.int64], fdr: float) -> int:
        """Return the highest rank that is selected, -1 for none: by Benjamini and Hochberg's rule on the p-values.

        The rule is applied at eight tenths of the rate, since p-values by training rows' scores are a little too small.

        Parameters
        ----------
        counts : ndarray
            How many rows have each rank, ``(n + 1,)``. More is not needed: a p-value is one of n + 1 values.
        fdr : float
            Expected share of normal rows among those that are selected, at most, in (0, 1).

        Raises
        ------
        InputError
            If fdr is not between 0 and 1.
        """
        if not 0 < fdr < 1:
            raise InputError(f"Expected an fdr between 0 and 1; got {fdr:g}. Try 0.1.")
        p_value = np.arange(1, len(counts) + 1) / len(counts)
        selected = counts.cumsum()
        fits = np.flatnonzero((selected > 0) & (p_value * counts.sum() <= SELECTION_MARGIN * fdr * selected))
        return int(fits[-1]) if len(fits) else -1

    def select(self, scores: Array, fdr: float = 0.1) -> NDArray[np.bool_]:
        """Return which scores are selected as anomalies, ``(B,)``; see `TabularModel.select`."""
        rank = self.rank(scores)
        return np.asarray(rank <= self.highest_rank(np.bincount(rank, minlength=len(self.scores) + 1), fdr))

    def is_anomaly(self, scores: Array) -> NDArray[np.bool_]:
        """Return which scores are below the threshold, ``(n,)``."""
        return np.asarray(scores < self.threshold)


def threshold_for(scores: Array, alarm_rate: float) -> float:
    """Return the score that a new row of the same distribution is under with at most a given probability.

    Of n sorted scores it is the m-th lowest, m = alarm_rate (n + 1) rounded down: a new row is under it with
    probability m / (n + 1), whatever the distribution. Where m is 0 it is the lowest, and the probability 1 / (n + 1).

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.calibration import threshold_for
    >>> threshold_for(np.arange(99.0), 0.03)
    2.0
    """
    # A hair more, so that .03 * 100 is 3.
    return float(scores[max(int(alarm_rate * (len(scores) + 1) * (1 + 1e-12)), 1) - 1])


def warn_of_default_rate(scores: int) -> None:
    """Warn where there are too few scores for a threshold of the default alarm rate."""
    if scores < (needed := rows_needed(ALARM_RATE)):
        warn_user(
            f"{scores:,} calibration scores are too few for an alarm rate of {ALARM_RATE:g}, which takes {needed:,}. "
            f"The threshold is the lowest of them: expect {1 / (scores + 1):.2g} false alarms a row. Pass "
            f"{needed + MIN_HELD_OUT:,} rows or more.",
        )


def warn_of_alarm_rate(alarm_rate: float, scores: int, *, held_out: bool) -> None:
    """Warn where there are too few scores of held-out rows for a threshold of a wanted alarm rate, or none."""
    needed = rows_needed(alarm_rate)
    if not held_out:
        warn_user(
            f"alarm_rate={alarm_rate:g} is not calibrated: fewer than {MIN_ROWS_TO_HOLD_OUT} rows leave none to hold "
            "out. Pass more rows.",
        )
    elif scores < needed:
        warn_user(
            f"alarm_rate={alarm_rate:g} takes {needed:,} held-out rows; got {scores:,}. The threshold is the "
            f"lowest of their scores, which promises {1 / (scores + 1):.2g}. Pass "
            f"{ROWS_PER_CALIBRATION * needed:,} rows or more, or ask for a higher rate.",
        )


def rows_needed(alarm_rate: float) -> int:
    """Return how many held-out rows an alarm rate takes."""
    return math.ceil(1 / alarm_rate * (1 - 1e-12)) - 1
