"""Ranks as normal quantiles: equal values share a level, beyond the known the map goes on."""

import pytest
import torch

from radogaga import RankScaling


@pytest.mark.parametrize("monotone", [torch.exp, torch.sinh, lambda x: x**3], ids=["exp", "sinh", "cube"])
def test_levels_do_not_depend_on_how_a_feature_is_bent(monotone) -> None:
    x = torch.randn(300, 2, dtype=torch.float64)
    torch.testing.assert_close(RankScaling.fit(monotone(x))(monotone(x)), RankScaling.fit(x)(x), atol=1e-3, rtol=1e-3)


def test_levels_are_about_normal_whatever_the_feature() -> None:
    x = torch.distributions.LogNormal(3.0, 2.0).sample((5000, 1)).double()
    levels = RankScaling.fit(x).double()(x).sort(dim=0).values[:, 0]
    normal = torch.special.ndtri((torch.arange(5000) + 0.5).double() / 5000)
    torch.testing.assert_close(levels, normal, atol=0.03, rtol=0.03)


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    x = torch.tensor([[0.0], [0.0], [0.0], [1.0]], dtype=torch.float64)
    levels = RankScaling.fit(x).double()(x)[:, 0]
    assert (levels[:3] == levels[0]).all()
    raw = torch.special.ndtri(torch.tensor([1.5 / 4, 3.5 / 4], dtype=torch.float64))
    weights = torch.tensor([0.75, 0.25], dtype=torch.float64)
    spread = (weights * (raw - (weights * raw).sum()).square()).sum().sqrt()
    torch.testing.assert_close(levels[3] - levels[0], (raw[1] - raw[0]) / spread, atol=1e-6, rtol=1e-6)


def test_beyond_the_known_values_the_map_goes_on_ever_slower() -> None:
    x = torch.linspace(0, 1, 100, dtype=torch.float64)[:, None]
    scaling = RankScaling.fit(x)
    steps = scaling(torch.tensor([[1.0], [2.0], [3.0], [1e6], [1e12]], dtype=torch.float64))[:, 0].diff()
    assert (steps > 0).all()
    assert steps[1] < steps[0]
    assert steps[2:].max() < 15


def test_a_constant_feature_has_one_level() -> None:
    x = torch.full((20, 1), 7.0)
    assert (RankScaling.fit(x)(x) == 0).all()
    assert RankScaling.fit(x)(torch.tensor([[8.0]])).isfinite().all()
