from pathlib import Path

import pytest
import torch
from torch import Tensor

from radogaga import (
    Normal,
    fit_with_mixture,
)
from training_examples import MIXTURES, InterruptAfter, Interrupted, assert_same_bits, each_mixture, made


@each_mixture
def test_same_seed_gives_the_same_model_with_a_mixture(make_model, rows: Tensor, prior) -> None:
    models = [made(make_model, prior) for _ in range(2)]
    for i, model in enumerate(models):
        torch.manual_seed(i)
        fit_with_mixture(model, rows, steps=20, seed=3)
    assert_same_bits(*models)


@each_mixture
@pytest.mark.parametrize("stop", [1, 3])
def test_resumed_training_with_a_mixture_equals_one_that_never_stopped(
    make_model, rows: Tensor, tmp_path: Path, prior, stop: int
) -> None:
    """With four stretches and a quarter of warm-up, it stops in the first part or in the second."""
    options = {"steps": 40, "log_every": 10, "seed": 3}
    whole, stopped, resumed = (made(make_model, prior) for _ in range(3))
    fit_with_mixture(whole, rows, **options)
    checkpoint = tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        fit_with_mixture(stopped, rows, checkpoint=checkpoint, progress=InterruptAfter(stop), **options)
    fit_with_mixture(resumed, rows, checkpoint=checkpoint, **options)
    assert_same_bits(resumed, whole)


@each_mixture
def test_a_model_keeps_its_mixture_if_training_stops(make_model, rows: Tensor, prior) -> None:
    model = made(make_model, prior)
    mixture = model.prior
    settings = model.noise, model.isometry_weight, model.reconstruction_weight
    with pytest.raises(Interrupted):
        fit_with_mixture(model, rows, steps=40, log_every=10, coarsening=4.0, progress=InterruptAfter(1))
    assert model.prior is mixture
    assert (model.noise, model.isometry_weight, model.reconstruction_weight) == settings


@each_mixture
def test_the_warm_up_is_as_coarse_as_asked_for_and_isometric_to_the_same_scale(make_model, rows, prior) -> None:
    model = made(make_model, prior)
    fine, constant, seen = model.noise.variance, model.constant, []

    def update(steps: int) -> None:
        seen.append((model.noise.variance / fine, model.constant / constant))

    fit_with_mixture(model, rows, steps=20, warm_up=0.5, log_every=10, coarsening=4.0, progress=update)
    assert seen == [pytest.approx((16, 1)), pytest.approx((1, 1))]


@each_mixture
def test_held_out_rows_serve_both_parts_of_a_training_with_a_mixture(make_model, rows: Tensor, prior) -> None:
    model, told = made(make_model, prior), []
    options = {"held_out": rows[20:], "learning_rate": 0.3, "log_every": 2, "patience": 2}
    fit_with_mixture(model, rows[:20], steps=200, progress=told.append, **options)
    assert sum(told) < 200
    assert torch.isfinite(model.rate(rows)).all()


@each_mixture
def test_latents_do_not_collapse_under_a_mixture(make_model, prior) -> None:
    rows = torch.cat([torch.randn(150, 4) - 4, torch.randn(150, 4) + 4])
    model = made(make_model, prior)
    spread = model.autoencoder.encode(rows).var(0).sum()
    fit_with_mixture(model, rows, steps=400)
    assert model.autoencoder.encode(rows).var(0).sum() > 0.5 * spread
    assert torch.isfinite(model.rate(rows)).all()


def test_mixture_fits_the_latents_after_training(make_model, rows: Tensor) -> None:
    """Expectation maximisation has the last word: its mixture is at least as likely as the one trained by steps."""
    refitted, kept = (made(make_model, MIXTURES["mixture"]) for _ in range(2))
    fit_with_mixture(refitted, rows, steps=40)
    fit_with_mixture(kept, rows, steps=40, refit=False)
    torch.testing.assert_close(refitted.autoencoder.encode(rows), kept.autoencoder.encode(rows))
    assert refitted.rate(rows).mean() < kept.rate(rows).mean()


def test_training_with_a_mixture_needs_one(make_model, rows: Tensor) -> None:
    with pytest.raises(TypeError, match="mixture"):
        fit_with_mixture(make_model(Normal(2)), rows, steps=2)
