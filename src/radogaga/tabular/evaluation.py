"""How well a model's scores tell labelled anomalies from other rows, and what thresholds would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from radogaga._utils.checks import list_names
from radogaga.errors import InputError
from radogaga.tabular.calibration import Calibration
from radogaga.tabular.standardize import Array

_TRUE, _FALSE = {"1", "true", "yes"}, {"0", "false", "no"}
_RATES = (0.001, 0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True)
class ThresholdCost:
    """What a threshold would have cost on labelled rows.

    Attributes
    ----------
    rule : str
        How the threshold is set.
    threshold : float
        Rows that score below it are alarms, in nats.
    alarms, hits, false_alarms : int
        How many alarms, and how many of these are anomalies or not.
    """

    rule: str
    threshold: float
    alarms: int
    hits: int
    false_alarms: int


@dataclass(frozen=True)
class Evaluation:
    """What scores are worth on labelled rows.

    Attributes
    ----------
    rows, anomalies : int
        How many there are.
    auroc, auprc : float
        Areas under the receiver operating characteristic and under the curve of precision and recall (average
        precision).
    precision_at : dict
        For each k, which share of the k rows that score lowest are anomalies.
    thresholds : tuple of ThresholdCost
        The model's own threshold first.
    """

    rows: int
    anomalies: int
    auroc: float
    auprc: float
    precision_at: dict[int, float]
    thresholds: tuple[ThresholdCost, ...]


def evaluate(calibration: Calibration, scores: Array, is_anomaly: NDArray[np.bool_]) -> Evaluation:
    """Return what scores ``(n,)`` are worth, given which rows are anomalies, ``(n,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import Calibration
    >>> from radogaga.tabular.evaluation import evaluate
    >>> made = evaluate(Calibration(np.arange(99.0), 2.0), np.array([-5.0, 1.0, 40.0]), np.array([True, False, False]))
    >>> float(made.auroc), made.precision_at, made.thresholds[0]
    (1.0, {1: 1.0}, ThresholdCost(rule='the model', threshold=2.0, alarms=2, hits=1, false_alarms=1))
    """
    anomalies = int(is_anomaly.sum())
    if not 0 < anomalies < len(scores):
        raise InputError(f"Expected anomalies and other rows; {anomalies:,} of {len(scores):,} rows are anomalies.")
    found = is_anomaly[np.argsort(scores, kind="stable")].cumsum()
    ks = sorted({k for k in (10, 100, 1000, anomalies) if k <= len(scores)})
    rules = [("the model", calibration.threshold)]
    for rate in _RATES:
        if rate * (len(calibration.scores) + 1) >= 1:
            rules.append((f"alarm rate {rate:g}", Calibration.fit(calibration.scores, rate).threshold))
    rules.append(("as many alarms as anomalies", float(np.sort(scores)[min(anomalies, len(scores) - 1)])))
    return Evaluation(
        len(scores),
        anomalies,
        float(roc_auc_score(is_anomaly, -scores)),
        float(average_precision_score(is_anomaly, -scores)),
        {k: float(found[k - 1] / k) for k in ks},
        tuple(_cost(rule, threshold, scores, is_anomaly) for rule, threshold in rules),
    )


def read_labels(labels: Sequence[str | None], anomaly: str | None = None) -> NDArray[np.bool_]:
    """Return which labels mean an anomaly, ``(n,)``: 1, true or yes, or the one that is named.

    Raises
    ------
    InputError
        If a label is missing, or no label is the one that is named, or there are others than 0 and 1, true and false,
        yes and no.
    """
    known = {label for label in labels if label is not None}
    if len(missing := [i for i, label in enumerate(labels) if label is None]):
        raise InputError(f"Expected a label in each row; {len(missing):,} have none, row {missing[0]} the first.")
    if anomaly is not None:
        if anomaly not in known:
            raise InputError(f"Expected the label {anomaly!r}; there are {list_names(sorted(known))}.")
        return np.array([label == anomaly for label in labels])
    if other := sorted(label for label in known if label.lower() not in _TRUE | _FALSE):
        raise InputError(f"Expected labels 0 and 1, or true and false; got {list_names(other)}. Pass --anomaly VALUE.")
    return np.array([str(label).lower() in _TRUE for label in labels])


def _cost(rule: str, threshold: float, scores: Array, is_anomaly: NDArray[np.bool_]) -> ThresholdCost:
    alarm = scores < threshold
    hits = int((alarm & is_anomaly).sum())
    return ThresholdCost(rule, threshold, int(alarm.sum()), hits, int(alarm.sum()) - hits)
