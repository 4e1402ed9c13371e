"""Bounds for outliers: what they leave as it is."""

import pytest
import torch

from radogaga.tabular.outliers import outlier_bounds


@pytest.mark.parametrize("n", [5, 60, 400])
def test_a_column_that_rarely_varies_keeps_its_values(n):
    x = torch.zeros(n, 2)
    x[0, 0], x[:, 1] = 1.0, torch.arange(n) % 2
    low, high = outlier_bounds(x)
    assert torch.equal(x.clamp(low, high), x)
