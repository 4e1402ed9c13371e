"""Thresholds and p-values from the scores of held-out rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from radogaga._utils.checks import warn_user
from radogaga.tabular.defaults import ALARM_RATE, MIN_ROWS_TO_HOLD_OUT, ROWS_PER_CALIBRATION
from radogaga.tabular.standardize import Array


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of rows that had no part in the model, and the threshold under which a row is an anomaly.

    Attributes
    ----------
    scores : ndarray
        Sorted scores of held-out rows, ``(n,)``, in nats.
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
    def fit(cls, scores: Array, alarm_rate: float | None = None, *, held_out: bool = True) -> Self:
        """Return the calibration by held-out scores: the threshold that an alarm rate asks for, or the 1 % quantile."""
        scores = np.sort(scores)
        if alarm_rate is None:
            return cls(scores, float(np.quantile(scores, ALARM_RATE)))
        return cls(scores, threshold_for(scores, alarm_rate, held_out=held_out))

    def p_value(self, scores: Array) -> Array:
        """Return the conformal p-values (k + 1) / (n + 1), k of the n calibration scores being as low or lower."""
        # Equal rows may differ in the last digit by their place in a batch, and are to count as equal.
        as_low = np.searchsorted(self.scores, scores + 1e-9 * (1 + np.abs(scores)), side="right")
        return (as_low + 1) / (len(self.scores) + 1)

    def is_anomaly(self, scores: Array) -> NDArray[np.bool_]:
        """Return which scores are below the threshold, ``(n,)``."""
        return np.asarray(scores < self.threshold)


def threshold_for(scores: Array, alarm_rate: float, *, held_out: bool = True) -> float:
    """Return the score that a new row of the same distribution is under with at most a given probability.

    Of n sorted scores it is the m-th lowest, m = alarm_rate (n + 1) rounded down: a new row is under it with
    probability m / (n + 1), whatever the distribution. Where m is 0, it is the lowest, with a warning.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.tabular.calibration import threshold_for
    >>> threshold_for(np.arange(99.0), 0.03)
    2.0
    """
    needed = rows_needed(alarm_rate)
    if not held_out:
        warn_user(
            f"alarm_rate={alarm_rate:g} is not calibrated: fewer than {MIN_ROWS_TO_HOLD_OUT} rows leave none to hold "
            "out. Pass more rows.",
        )
    elif len(scores) < needed:
        warn_user(
            f"alarm_rate={alarm_rate:g} takes {needed:,} held-out rows; got {len(scores):,}. The threshold is the "
            f"lowest of their scores, which promises {1 / (len(scores) + 1):.2g}. Pass "
            f"{ROWS_PER_CALIBRATION * needed:,} rows or more, or ask for a higher rate.",
        )
    # A hair more, so that .03 * 100 is 3.
    return float(scores[max(int(alarm_rate * (len(scores) + 1) * (1 + 1e-12)), 1) - 1])


def rows_needed(alarm_rate: float) -> int:
    """Return how many held-out rows an alarm rate takes."""
    return math.ceil(1 / alarm_rate * (1 - 1e-12)) - 1
