from pathlib import Path

import pytest
from torch import Tensor

from radogaga import (
    InputError,
    fit,
)
from training_examples import (
    InterruptAfter,
    Interrupted,
    assert_same_bits,
    each_device,
    each_prior,
    each_schedule,
    made,
)


@each_prior
@each_schedule
@each_device
@pytest.mark.parametrize("stop", [1, 2])
def test_resumed_training_equals_one_that_never_stopped(
    make_model, rows: Tensor, tmp_path: Path, prior, schedule: str, device: str, stop: int
) -> None:
    options = {"steps": 18, "batch_size": 70, "log_every": 6, "schedule": schedule, "seed": 3, "device": device}
    whole, stopped, resumed = (made(make_model, prior) for _ in range(3))
    history = fit(whole, rows, **options)
    checkpoint = tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        fit(stopped, rows, checkpoint=checkpoint, progress=InterruptAfter(stop), **options)
    told: list[int] = []
    assert fit(resumed, rows, checkpoint=checkpoint, progress=told.append, **options) == history
    assert_same_bits(resumed, whole)
    assert sum(told) == 18 - 6 * stop


def test_a_checkpoint_at_the_end_leaves_nothing_to_do(make_model, rows: Tensor, tmp_path: Path) -> None:
    checkpoint, told = tmp_path / "state.safetensors", []
    first, again = make_model(curve=0.5), make_model()
    history = fit(first, rows, steps=10, checkpoint=checkpoint)
    assert fit(again, rows, steps=10, checkpoint=checkpoint, progress=told.append) == history
    assert_same_bits(again, first)
    assert told == []


def test_checkpoints_do_not_change_the_model(make_model, rows: Tensor, tmp_path: Path) -> None:
    without, with_checkpoints = make_model(), make_model()
    fit(without, rows, steps=20)
    fit(with_checkpoints, rows, steps=20, log_every=3, checkpoint=tmp_path / "state.safetensors")
    assert_same_bits(with_checkpoints, without)


def test_a_checkpoint_of_something_else_is_refused(make_model, rows: Tensor, tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.safetensors"
    fit(make_model(latents=2), rows, steps=5, checkpoint=checkpoint)
    with pytest.raises(InputError):
        fit(make_model(latents=3), rows, steps=5, checkpoint=checkpoint)


@pytest.mark.parametrize("keep", [0, 5, 200, 2000])
def test_a_truncated_checkpoint_is_refused(make_model, rows: Tensor, tmp_path: Path, keep: int) -> None:
    checkpoint = tmp_path / "state.safetensors"
    fit(make_model(), rows, steps=5, checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:keep])
    with pytest.raises(InputError):
        fit(make_model(), rows, steps=5, checkpoint=checkpoint)


def test_a_checkpoint_that_cannot_be_written_is_refused_before_training(
    make_model, rows: Tensor, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    told: list[int] = []
    with pytest.raises(InputError):
        fit(make_model(), rows, steps=5, log_every=1, checkpoint=tmp_path / "file" / "state", progress=told.append)
    assert told == []
