"""Fixtures of the tests of experiment 5.3."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from radogaga.experiments.anomaly_detection.halves import read_halves, read_set


@pytest.fixture
def thyroid(tmp_path, monkeypatch) -> Path:
    """Make a set of Thyroid's shape: a line in six columns, and one row in ten far along it and far off it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1)) * np.arange(1, 7) + 0.3 * rng.normal(size=(400, 6))
    x[:40] += 5 * np.sign(x[:40, :1]) * np.arange(1, 7) + 5 * rng.normal(size=(40, 6))
    (tmp_path / "thyroid").mkdir()
    savemat(tmp_path / "thyroid" / "thyroid.mat", {"X": x, "y": np.arange(400) < 40})
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))
    read_set.cache_clear()
    read_halves.cache_clear()
    return tmp_path
