import pytest
import torch
from torch import Tensor, nn

from radogaga import (
    MLP,
    SSIM,
    Autodiff,
    CrossEntropy,
    Distortion,
    QuadraticSSIM,
    SquaredError,
    gram,
)
from radogaga.method.jacobians import gauss_newton_step, isometry_penalty

DISTORTIONS = {"squared error": SquaredError(), "cross entropy": CrossEntropy()}
PICTURES = {"ssim": SSIM(window=3), "quadratic": QuadraticSSIM(window=3)}


def case(distortion: Distortion) -> tuple[nn.Module, Distortion]:
    shape = nn.Unflatten(1, (1, 4, 4)) if isinstance(distortion, SSIM | QuadraticSSIM) else nn.Identity()
    return nn.Sequential(MLP([3, 8, 16]), nn.Sigmoid(), shape).double(), distortion


ALL = {**DISTORTIONS, **PICTURES}
each_distortion = pytest.mark.parametrize("distortion", ALL.values(), ids=ALL)


def latents(n: int = 5) -> Tensor:
    return torch.randn(n, 3, dtype=torch.float64)


@each_distortion
def test_isometry_penalty_is_on_average_the_error_of_the_gram_matrix(distortion: Distortion) -> None:
    decode, _ = case(distortion)
    z, directions = latents(), 4
    error = 1.5 * gram(decode, distortion, z) - torch.eye(3, dtype=torch.float64)
    squares, trace = error.square().sum((1, 2)), error.diagonal(dim1=1, dim2=2).sum(1)
    expected = (1 + 1 / directions) * squares + trace.square() / directions
    draws = isometry_penalty(decode, distortion, z.repeat(4000, 1), 1.5, directions=directions).reshape(4000, -1)
    assert ((draws.mean(0) - expected).abs() < 5 * draws.std(0) / 4000**0.5).all()


def test_isometry_penalty_of_an_isometry_is_zero() -> None:
    turn = torch.linalg.qr(torch.randn(6, 3, dtype=torch.float64)).Q
    found = isometry_penalty(lambda z: 2 * z @ turn.T, SquaredError(), latents(), 0.25)
    torch.testing.assert_close(found, torch.zeros(5, dtype=torch.float64))


@each_distortion
def test_isometry_penalty_has_gradients_for_every_parameter(distortion: Distortion) -> None:
    decode, _ = case(distortion)
    isometry_penalty(decode, distortion, latents()).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in decode.parameters())
    assert decode[0][0].weight.grad.abs().sum() > 0


def test_descending_it_makes_a_decoder_isometric() -> None:
    torch.manual_seed(0)
    decode = MLP([2, 16, 5]).double()
    optimizer = torch.optim.Adam(decode.parameters(), lr=0.01)
    for _ in range(500):
        optimizer.zero_grad()
        isometry_penalty(decode, SquaredError(), latents(64)[:, :2]).mean().backward()
        optimizer.step()
    grams = gram(decode, SquaredError(), latents(64)[:, :2])
    assert (grams - torch.eye(2)).square().mean().sqrt() < 0.15


def test_isometry_penalty_of_a_network_with_dropout_is_that_of_one_thinned_network() -> None:
    """The point and its tangents must come from the same mask, or their Gram matrix belongs to no network."""
    decode = nn.Sequential(nn.Linear(3, 400), nn.Dropout(0.5)).double().train()
    with torch.no_grad():
        decode[0].weight.copy_(torch.linalg.qr(torch.randn(400, 3, dtype=torch.float64)).Q)
    # Scaled by 2 and thinned by half, columns stay about orthonormal, but each entry of J'J is then off by about .1.
    found = isometry_penalty(decode, SquaredError(), latents(200), 0.5)
    assert 0 < found.mean() < 0.5


def test_it_runs_under_mixed_precision_and_counts_in_full() -> None:
    decode, z = MLP([3, 8, 5]), torch.randn(4, 3)
    torch.manual_seed(0)
    whole = isometry_penalty(decode, SquaredError(), z)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = isometry_penalty(decode, SquaredError(), z)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, whole, rtol=0.05, atol=0.05)


def test_one_step_projects_onto_what_a_linear_isometry_reaches() -> None:
    turn, s = torch.linalg.qr(torch.randn(6, 3, dtype=torch.float64)).Q, torch.randn(5, 6, dtype=torch.float64)
    found = gauss_newton_step(lambda z: 2 * z @ turn.T + 1, s, latents())
    torch.testing.assert_close(found, (s - 1) @ turn / 2)


def test_steps_lead_to_the_nearest_point_of_a_curved_decoder() -> None:
    decode, _ = case(SquaredError())
    truth = latents()
    s, z = decode(truth).detach(), truth + 0.1 * latents()
    start = (s - decode(z)).square().sum(1)
    for _ in range(200):
        z = gauss_newton_step(decode, s, z).detach()
    assert ((s - decode(z)).square().sum(1) < 0.01 * start).all()


@torch.no_grad()
def test_what_lies_on_the_manifold_stays_where_it_is() -> None:
    decode, _ = case(QuadraticSSIM(window=3))
    z = latents()
    torch.testing.assert_close(gauss_newton_step(decode, decode(z), z), z)
    flat = gauss_newton_step(lambda z: torch.zeros(len(z), 4, dtype=z.dtype) + 0 * z.sum(), torch.ones(5, 4), z)
    torch.testing.assert_close(flat, z)


def exponential(x: Tensor, y: Tensor) -> Tensor:
    return (x.exp() - y.exp()).square().sum(1)


OF_ROWS = {
    "squared error": SquaredError(),
    "cross entropy": CrossEntropy(),
    "autodiff": Autodiff(exponential),
}


DECODERS = {
    "linear": lambda: MLP([3, 5]),
    "tanh": lambda: MLP([3, 8, 5]),
    "picture": lambda: nn.Sequential(MLP([3, 8, 12]), nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 2, 2, padding=1)),
}


each_of_rows = pytest.mark.parametrize("distortion", OF_ROWS.values(), ids=OF_ROWS)


def metric(distortion: Distortion, x: Tensor) -> Tensor:
    """A(x) of one row, by the definition: half the Hessian of D(x, .) at x."""
    return 0.5 * torch.autograd.functional.hessian(lambda y: distortion(x[None], y[None]).sum(), x)


@each_of_rows
def test_gram_is_the_jacobian_on_both_sides_of_the_metric(distortion: Distortion) -> None:
    decode = nn.Sequential(MLP([3, 8, 5]), nn.Sigmoid()).double()
    z = torch.randn(4, 3, dtype=torch.float64)
    for row, found in zip(z, gram(decode, distortion, z), strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: decode(v[None])[0], row)
        expected = jacobian.T @ metric(distortion, decode(row[None])[0].detach()) @ jacobian
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("make", DECODERS.values(), ids=DECODERS)
def test_gram_takes_any_decoder(make) -> None:
    decode, z = make().double(), torch.randn(4, 3, dtype=torch.float64)
    for row, found in zip(z, gram(decode, SquaredError(), z), strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: decode(v[None]).flatten(), row)
        torch.testing.assert_close(found, jacobian.T @ jacobian)


@each_of_rows
def test_gram_is_symmetric_and_positive(distortion: Distortion) -> None:
    decode = nn.Sequential(MLP([3, 8, 5]), nn.Sigmoid()).double()
    grams = gram(decode, distortion, torch.randn(20, 3, dtype=torch.float64))
    torch.testing.assert_close(grams, grams.mT)
    assert (torch.linalg.eigvalsh(grams) > 0).all()


@each_of_rows
def test_gram_in_parts_is_the_gram_of_the_whole(distortion: Distortion) -> None:
    decode, z = nn.Sequential(MLP([3, 8, 5]), nn.Sigmoid()).double(), torch.randn(7, 3, dtype=torch.float64)
    whole = gram(decode, distortion, z)
    torch.testing.assert_close(gram(decode, distortion, z, max_numbers=2 * 3 * 5), whole)


@each_of_rows
def test_gram_is_the_same_without_gradients(distortion: Distortion) -> None:
    decode, z = nn.Sequential(MLP([3, 8, 5]), nn.Sigmoid()).double(), torch.randn(4, 3, dtype=torch.float64)
    with torch.no_grad():
        without = gram(decode, distortion, z)
    torch.testing.assert_close(without, gram(decode, distortion, z))
