"""A product of experts: each has the same say, whatever its units."""

import torch
from torch import Tensor

from radogaga import Mixture, ProductOfExperts, ScaledPrior, Scaling, load, save


def expert(x: Tensor, components: int) -> ScaledPrior:
    scaling = Scaling.standard(x)
    return ScaledPrior(scaling, Mixture(x.shape[1], components).double().fit(scaling(x)))


def product(x: Tensor) -> ProductOfExperts:
    made = ProductOfExperts([expert(x, 1), expert(x, 3)]).double().requires_grad_(requires_grad=False)
    made.fit_scale(made.log_probs(x))
    return made


def rows(n: int = 300) -> Tensor:
    return torch.randn(n, 3, dtype=torch.float64) ** 3


def test_an_expert_has_the_same_say_in_any_unit() -> None:
    x = rows()
    made = product(x)
    log_probs = made.log_probs(x)
    before = made.combine(log_probs)
    stretched = log_probs * torch.tensor([1.0, 50.0]) + torch.tensor([0.0, 9.0])
    made.fit_scale(stretched)
    order = made.combine(stretched).argsort()
    assert torch.equal(order, before.argsort())


def test_one_expert_alone_ranks_as_it_does_without_the_product() -> None:
    x = rows()
    alone = ProductOfExperts([expert(x, 2)]).double().requires_grad_(requires_grad=False)
    alone.fit_scale(alone.log_probs(x))
    torch.testing.assert_close(alone.log_score(x), alone.experts[0].scaled_log_prob(x))


def test_outliers_do_not_set_the_scale() -> None:
    x = rows()
    made = product(x)
    log_probs = made.log_probs(x)
    before = made.spread.clone()
    log_probs[:5, 0] = -1e200
    made.fit_scale(log_probs)
    assert (made.spread / before - 1).abs().max() < 0.5


def test_it_is_loaded_to_the_last_bit(tmp_path) -> None:
    x = rows()
    made = product(x).eval()
    save(made, tmp_path / "product")
    assert torch.equal(load(tmp_path / "product").log_score(x), made.log_score(x))
