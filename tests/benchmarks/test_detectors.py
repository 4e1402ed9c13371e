"""The detectors that benchmarks compare."""

import numpy as np
import pytest

import detectors

NEED_PYOD = ("ecod", "lunar", "auto_encoder", "vae")
SLOW = ("radogaga", "lunar", "auto_encoder", "vae")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in detectors.DETECTORS])
def test_rows_far_from_the_training_rows_score_lower(name: str) -> None:
    if name in NEED_PYOD:
        pytest.importorskip("pyod", reason="PyOD is not installed: pip install 'radogaga[peers]'")
    random = np.random.default_rng(0)
    train = random.normal(size=(200, 3)) * [1.0, 100.0, 0.01] + 5
    score = detectors.DETECTORS[name](np.c_[train, np.ones(len(train))], 0)
    far = train.mean(0) + 6 * train.std(0)
    normality = score(np.c_[np.r_[train[:50], [far]], np.ones(51)])
    assert normality[-1] < np.quantile(normality[:-1], 0.05)


def test_the_mean_of_squared_distances_is_of_the_five_nearest() -> None:
    train = np.array([[-1.0], [1.0]] * 3)  # standardised already; five of the six count
    score = detectors.mean_squared_distance(train, 0)
    assert score(np.array([[1.0]])) == pytest.approx(-(2 * 4) / 5)
