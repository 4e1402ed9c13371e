from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from radogaga import (
    InputError,
    fit,
)
from training_examples import InterruptAfter, Interrupted, Line, assert_same_bits, each_prior, made


def line_rows(slope: float, n: int = 50) -> Tensor:
    return torch.randn(n, 1) * torch.tensor([[1.0, slope]])


def held_out_loss(model: nn.Module, x: Tensor) -> float:
    """The mean loss over many draws of the noise, the same ones each time."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        return model.train()(x.repeat(20, 1)).total.mean().item()


def test_the_parameters_left_have_the_least_loss_on_held_out_rows() -> None:
    """On its way from 0 to the slope of its own rows, 3, the line comes past the slope of the others, 1."""
    line = Line()
    history = fit(line, line_rows(3), steps=400, learning_rate=0.05, log_every=1, held_out=line_rows(1))
    assert line.slope.item() == pytest.approx(1, abs=0.05)
    assert history.step[-1] < 100


@pytest.mark.parametrize("patience", [1, 4])
@pytest.mark.parametrize("log_every", [1, 7])
def test_training_that_only_hurts_stops_after_patience_and_leaves_its_start(patience: int, log_every: int) -> None:
    line = Line()
    options = {"held_out": line_rows(1), "patience": patience, "log_every": log_every}
    history = fit(line, line_rows(-3), steps=200, learning_rate=0.05, **options)
    assert line.slope.item() == 0
    assert history.step == [log_every * (i + 1) for i in range(patience)]
    assert not line.training


@pytest.mark.parametrize("learning_rate", [1e-2, 1.0, 1e3])
@each_prior
def test_a_model_is_never_worse_on_held_out_rows_than_it_was(
    make_model, rows: Tensor, prior, learning_rate: float
) -> None:
    model, unseen = made(make_model, prior), rows[10:]
    before = held_out_loss(model, unseen)
    options = {"learning_rate": learning_rate, "log_every": 5, "patience": 3, "held_out": unseen}
    try:
        fit(model, rows[:10], steps=60, **options)
    except InputError as error:  # an absurd rate may end in no finite loss: then no model is left, and it is said
        assert learning_rate > 1 and "finite losses" in str(error)  # noqa: PT017, PT018
    else:
        assert held_out_loss(model, unseen) <= before + 0.05 * abs(before)


def test_held_out_rows_keep_a_model_from_learning_five_rows_by_heart(make_model, rows: Tensor) -> None:
    free, held, unseen = make_model(), make_model(), rows[100:]
    options = {"steps": 300, "learning_rate": 1e-2}
    fit(free, rows[:5], **options)
    fit(held, rows[:5], held_out=unseen, log_every=10, patience=100, **options)
    by_heart = held_out_loss(free, rows[:5])
    assert by_heart < held_out_loss(held, unseen) < 0.99 * held_out_loss(free, unseen)


@each_prior
def test_looking_at_held_out_rows_does_not_change_the_way(make_model, rows: Tensor, prior) -> None:
    alone, watched = (made(make_model, prior) for _ in range(2))
    options = {"steps": 20, "batch_size": 50, "log_every": 4}
    before = torch.get_rng_state()
    history = fit(watched, rows, held_out=rows[:30], patience=100, **options)
    assert torch.equal(torch.get_rng_state(), before)
    assert history == fit(alone, rows, **options)


def test_patience_means_nothing_without_held_out_rows(make_model, rows: Tensor) -> None:
    patient, impatient = make_model(), make_model()
    fit(patient, rows, steps=20, log_every=1)
    fit(impatient, rows, steps=20, log_every=1, patience=1)
    assert_same_bits(impatient, patient)


HURTING = {"learning_rate": 0.3, "batch_size": 5, "seed": 3, "patience": 2, "steps": 24}


@each_prior
@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("log_every", [1, 6])
def test_resumed_training_with_held_out_rows_equals_one_that_never_stopped(
    make_model, rows: Tensor, tmp_path: Path, prior, stop: int, log_every: int
) -> None:
    """At so high a rate the least loss is an early one, and training ends for want of a better."""
    options = {"held_out": rows[10:], "log_every": log_every, **HURTING}
    whole, stopped, resumed = (made(make_model, prior) for _ in range(3))
    history = fit(whole, rows[:10], **options)
    checkpoint, bar = tmp_path / "state.safetensors", InterruptAfter(stop)
    try:
        fit(stopped, rows[:10], checkpoint=checkpoint, progress=bar, **options)
    except Interrupted:
        assert bar.left == 0
    assert fit(resumed, rows[:10], checkpoint=checkpoint, **options) == history
    assert_same_bits(resumed, whole)


def test_a_training_that_had_waited_enough_is_not_taken_up_again(tmp_path: Path) -> None:
    x, unseen, told = line_rows(-3), line_rows(1), []
    options = {"steps": 50, "log_every": 1, "patience": 3, "checkpoint": tmp_path / "state", "held_out": unseen}
    first, again = Line(), Line()
    history = fit(first, x, **options)
    assert fit(again, x, progress=told.append, **options) == history
    assert told == []
    assert_same_bits(again, first)


def test_training_resumed_without_held_out_rows_goes_on_without_them(tmp_path: Path) -> None:
    x, options = line_rows(-3), {"steps": 20, "log_every": 2, "batch_size": 5}
    whole, stopped, resumed = Line(), Line(), Line()
    fit(whole, x, **options)
    checkpoint = tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        fit(stopped, x, held_out=line_rows(1), checkpoint=checkpoint, progress=InterruptAfter(3), **options)
    fit(resumed, x, checkpoint=checkpoint, **options)
    assert_same_bits(resumed, whole)
