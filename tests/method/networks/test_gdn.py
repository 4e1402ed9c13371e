from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, vmap

from radogaga import (
    GDN,
)
from radogaga.method.networks.gdn import normalize

GDNS = {"gdn": False, "inverse gdn": True}
each_gdn = pytest.mark.parametrize("inverse", GDNS.values(), ids=GDNS)


def normalization(channels: int, inverse: bool) -> GDN:
    """One whose channels all speak to each other."""
    gdn = GDN(channels, inverse=inverse)
    with torch.no_grad():
        for parameter in gdn.parameters():
            parameter.copy_(torch.rand_like(parameter))
    return gdn


@each_gdn
def test_gdn_is_its_formula(inverse: bool) -> None:
    gdn, x = normalization(4, inverse), torch.randn(2, 4, 3, 5)
    root = (gdn.beta[:, None, None] + torch.einsum("ij,bjhw->bihw", gdn.gamma, x**2)).sqrt()
    torch.testing.assert_close(gdn(x), x * root if inverse else x / root)


@each_gdn
@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (3, 4, 5, 2), (7, 4, 100, 130), (2, 4, 300, 300)])
def test_gdn_and_its_gradients_are_the_formulas_however_many_pixels(inverse: bool, shape: tuple[int, ...]) -> None:
    """They are taken part by part, on a CPU."""
    gdn, x = normalization(4, inverse).double(), torch.randn(shape, dtype=torch.float64, requires_grad=True)
    root = (gdn.beta[:, None, None] + torch.einsum("ij,bjhw->bihw", gdn.gamma, x**2)).sqrt()
    expected, found, weights = x * root if inverse else x / root, gdn(x), torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    inputs = (x, gdn.root_gamma, gdn.root_beta)
    torch.testing.assert_close(
        torch.autograd.grad((weights * found).sum(), inputs), torch.autograd.grad((weights * expected).sum(), inputs)
    )


@each_gdn
def test_gdn_has_every_derivative(inverse: bool) -> None:
    x, gamma, beta = torch.randn(2, 3, 2, 1), torch.rand(3, 3), torch.rand(3)
    inputs = tuple(tensor.double().requires_grad_() for tensor in (x, gamma, beta))
    function = partial(normalize, inverse=inverse)
    assert gradcheck(function, inputs, check_forward_ad=True)
    assert gradgradcheck(function, inputs, check_fwd_over_rev=True)


@each_gdn
def test_gdn_is_differentiated_by_torch_func_as_its_formula_is(inverse: bool) -> None:
    gdn, x = normalization(3, inverse).double(), torch.randn(4, 3, 2, 2, dtype=torch.float64)
    gamma, beta = gdn.gamma.detach(), gdn.beta.detach()

    def formula(x: Tensor) -> Tensor:
        root = (beta[:, None, None] + torch.einsum("ij,...jhw->...ihw", gamma, x**2)).sqrt()
        return x * root if inverse else x / root

    for transform in (vmap, jacfwd, jacrev, hessian, lambda f: vmap(jacfwd(f)), lambda f: grad(lambda x: f(x).sum())):
        rows = x[:, None] if transform is vmap else x[:2]
        torch.testing.assert_close(
            transform(lambda x: gdn(x if x.ndim == 4 else x[None]).reshape(x.shape))(rows), transform(formula)(rows)
        )


@each_gdn
def test_gdn_starts_with_channels_apart(inverse: bool) -> None:
    x = torch.randn(2, 4, 3, 5)
    root = (1 + 0.1 * x**2).sqrt()
    torch.testing.assert_close(GDN(4, inverse=inverse)(x), x * root if inverse else x / root)


def test_inverse_undoes_gdn_to_first_order() -> None:
    """They are inverse to each other at 0; what is left is of third order."""
    forward, inverse = normalization(4, False).double(), normalization(4, True).double()
    inverse.load_state_dict(forward.state_dict())
    with torch.no_grad():
        for gdn in (forward, inverse):
            gdn.root_beta.fill_(1)
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    left = [(inverse(forward(t * x)) - t * x).abs().max() for t in (1e-2, 1e-3)]
    assert left[0] < 1e-5
    assert left[1] < 2e-3 * left[0]


@each_gdn
def test_gdn_has_finite_gradients_everywhere(inverse: bool) -> None:
    for x in (torch.zeros(2, 3, 2, 2), 1e-20 * torch.ones(2, 3, 2, 2), 1e4 * torch.randn(2, 3, 2, 2)):
        gdn, x = GDN(3, inverse=inverse), x.requires_grad_()
        with torch.no_grad():
            gdn.root_beta.zero_()
        gdn(x).sum().backward()
        assert all(torch.isfinite(g).all() for g in (x.grad, gdn.root_beta.grad, gdn.root_gamma.grad))


@each_gdn
def test_gdn_stays_positive_whatever_its_parameters(inverse: bool) -> None:
    gdn = GDN(3, inverse=inverse)
    with torch.no_grad():
        for parameter in gdn.parameters():
            parameter.copy_(torch.randn_like(parameter))
    assert (gdn.beta > 0).all()
    assert (gdn.gamma >= 0).all()


@each_gdn
def test_neighbours_learn_to_speak(inverse: bool) -> None:
    """Entries off the diagonal start at nothing, and leave it."""
    gdn, x = GDN(3, inverse=inverse), torch.randn(50, 3, 2, 2)
    target, optimizer = normalization(3, inverse)(x).detach(), torch.optim.Adam(gdn.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (gdn(x) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert (gdn.gamma - torch.diag(gdn.gamma.diagonal())).max() > 0.1
    assert loss < 0.01


@each_gdn
def test_gdn_keeps_the_memory_format(inverse: bool) -> None:
    x = torch.randn(2, 4, 3, 5)
    last = x.to(memory_format=torch.channels_last)
    assert GDN(4, inverse=inverse)(last).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(GDN(4, inverse=inverse)(last), GDN(4, inverse=inverse)(x))
