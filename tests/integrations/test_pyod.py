"""The adapter: PyOD's sign and attributes, and its own utilities take it for one of theirs."""

import numpy as np
import pytest
from sklearn.base import clone

pytest.importorskip("pyod", reason="PyOD is not installed: pip install 'radogaga[peers]'")

from pyod.models.base import BaseDetector
from pyod.utils.utility import standardizer

from radogaga import RaDOGAGA
from radogaga.integrations.pyod import RaDOGAGADetector


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).normal(size=(n, 3)) @ [[1.0, 0.9, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 5.0]]


@pytest.fixture(scope="module")
def detector() -> RaDOGAGADetector:
    return RaDOGAGADetector(contamination=0.1, max_steps=10, random_state=0).fit(rows(200))


def test_scores_are_the_estimators_with_the_other_sign(detector):
    estimator = RaDOGAGA(max_steps=10, random_state=0).fit(rows(200))
    new = rows(50, seed=1)
    assert np.array_equal(detector.decision_function(new), -estimator.score_samples(new))
    assert np.array_equal(detector.decision_scores_, detector.decision_function(rows(200)))


def test_contamination_is_the_share_of_labels(detector):
    assert detector.labels_.mean() == pytest.approx(0.1)
    assert np.array_equal(detector.labels_, (detector.decision_scores_ > detector.threshold_).astype(int))
    assert np.array_equal(detector.predict(rows(200)), detector.labels_)


def test_far_rows_are_anomalies_with_confidence(detector):
    far = np.full((1, 3), 50.0)
    assert detector.predict(far) == [1]
    probability, confidence = detector.predict_proba(far, return_confidence=True)
    assert probability[0, 1] == pytest.approx(1)
    assert confidence[0] > 0.9


def test_is_one_of_pyods_and_its_scores_combine_as_theirs_do(detector):
    assert isinstance(detector, BaseDetector)
    other = clone(detector).set_params(random_state=1).fit(rows(200))
    assert other.get_params()["contamination"] == 0.1
    x = np.append(rows(50, seed=1), np.full((1, 3), 50.0), 0)
    scores = standardizer(np.stack([d.decision_function(x) for d in (detector, other)], 1))
    assert scores.mean(1).argmax() == 50
