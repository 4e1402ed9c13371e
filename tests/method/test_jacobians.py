import pytest
import torch
from torch import Tensor, nn

from radogaga import MLP, SSIM, CrossEntropy, Distortion, QuadraticSSIM, SquaredError, gram
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
def test_departure_is_on_average_the_error_of_the_gram_matrix(distortion: Distortion) -> None:
    decode, _ = case(distortion)
    z, directions = latents(), 4
    error = 1.5 * gram(decode, distortion, z) - torch.eye(3, dtype=torch.float64)
    squares, trace = error.square().sum((1, 2)), error.diagonal(dim1=1, dim2=2).sum(1)
    expected = (1 + 1 / directions) * squares + trace.square() / directions
    draws = isometry_penalty(decode, distortion, z.repeat(4000, 1), 1.5, directions=directions).reshape(4000, -1)
    assert ((draws.mean(0) - expected).abs() < 5 * draws.std(0) / 4000**0.5).all()


def test_departure_of_an_isometry_is_zero() -> None:
    turn = torch.linalg.qr(torch.randn(6, 3, dtype=torch.float64)).Q
    found = isometry_penalty(lambda z: 2 * z @ turn.T, SquaredError(), latents(), 0.25)
    torch.testing.assert_close(found, torch.zeros(5, dtype=torch.float64))


@each_distortion
def test_departure_has_gradients_for_every_parameter(distortion: Distortion) -> None:
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


def test_departure_of_a_network_with_dropout_is_that_of_one_thinned_network() -> None:
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
