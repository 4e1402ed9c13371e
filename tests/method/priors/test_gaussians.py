import numpy as np
import pytest
import torch

from radogaga.method.priors.gaussians import MixtureStatistics

SPLITS = {"rows": [1] * 90, "halves": [45, 45], "unequal": [7, 80, 3], "with an empty part": [30, 0, 60]}
each_split = pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)


@each_split
def test_statistics_add_up_over_any_split(split: list[int]) -> None:
    z, membership = 100 + torch.randn(90, 3), torch.randn(90, 4).softmax(1)
    whole = MixtureStatistics.from_batch(z, membership)
    first, *others = [
        MixtureStatistics.from_batch(*pair) for pair in zip(z.split(split), membership.split(split), strict=True)
    ]
    total = sum(others, first)
    for name in ("count", "first", "second"):
        torch.testing.assert_close(getattr(total, name), getattr(whole, name), rtol=1e-12, atol=0)


def test_statistics_give_the_weighted_moments() -> None:
    z, membership = torch.randn(50, 3).double(), torch.randn(50, 2).double().softmax(1)
    weights, means, covariances = MixtureStatistics.from_batch(z, membership).parameters(floor=0.5)
    for k, weight in enumerate(membership.T.numpy()):
        assert weights[k].item() == pytest.approx(weight.mean())
        np.testing.assert_allclose(means[k], np.average(z.numpy(), axis=0, weights=weight))
        expected = np.cov(z.numpy().T, aweights=weight, ddof=0) + 0.5 * np.eye(3)
        np.testing.assert_allclose(covariances[k], expected, atol=1e-12)
