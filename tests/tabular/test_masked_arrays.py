"""What a masked array hides is missing."""

import numpy as np
import pytest

from radogaga import RaDOGAGA


@pytest.mark.filterwarnings("ignore:.*calibration scores are too few", "ignore:.*held-out rows")
def test_masked_cells_are_missing():
    x = np.random.RandomState(0).normal(size=(300, 3))
    masked = np.ma.masked_where(np.random.RandomState(1).uniform(size=x.shape) < 0.1, x)
    plain = masked.filled(np.nan)
    fitted, expected = (RaDOGAGA(max_steps=0, random_state=0).fit(rows) for rows in (masked, plain))
    assert np.array_equal(fitted.score_samples(masked), expected.score_samples(plain))
    assert np.array_equal(fitted.model_.score(masked), expected.model_.score(plain))
