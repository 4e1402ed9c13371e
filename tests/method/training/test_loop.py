from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from radogaga import (
    DAGMM,
    EstimatedMixture,
    Factorized,
    InputError,
    Mixture,
    Normal,
    Terms,
    fit,
    fit_with_mixture,
)

Train = Callable[..., object]
PRIORS = {
    "normal": lambda: Normal(2),
    "mixture": lambda: Mixture(2, 2),
    "estimated mixture": lambda: EstimatedMixture(2, 2),
    "factorized": lambda: Factorized(2),
}
MIXTURES = {name: PRIORS[name] for name in ("mixture", "estimated mixture")}
SCHEDULES = ["constant", "cosine", "one-cycle"]
each_prior = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
each_mixture = pytest.mark.parametrize("prior", MIXTURES.values(), ids=MIXTURES)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
each_device = pytest.mark.parametrize("device", DEVICES)
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES)


class Line(nn.Module):
    """An objective of one's own: least squares, and a record of the rows that it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> Terms:
        self.seen += x[:, 0].tolist()
        nothing = torch.zeros(len(x))
        return Terms(nothing, (self.slope * x[:, 0] - x[:, 1]).square(), nothing)


class Interrupted(Exception):  # noqa: N818
    pass


class InterruptAfter:
    """A progress bar that raises at its n-th call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, steps: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def assert_same_bits(one: nn.Module, other: nn.Module) -> None:
    expected = other.state_dict()
    assert one.state_dict().keys() == expected.keys()
    assert [name for name, value in one.state_dict().items() if not torch.equal(value, expected[name])] == []


def made(make_model, prior: Callable[[], nn.Module]) -> nn.Module:
    """The same untrained model each time, its prior included."""
    torch.manual_seed(5)
    return make_model(prior())


@each_prior
@each_schedule
@each_device
def test_same_seed_gives_the_same_model_to_the_last_bit(
    make_model, rows: Tensor, prior, schedule: str, device: str
) -> None:
    models = [made(make_model, prior) for _ in range(2)]
    for i, model in enumerate(models):
        torch.manual_seed(i)  # whatever the global generator's state
        fit(model, rows, steps=20, batch_size=50, schedule=schedule, seed=3, device=device)
    assert_same_bits(*models)


def test_another_seed_gives_another_model(make_model, rows: Tensor) -> None:
    models = [made(make_model, PRIORS["normal"]) for _ in range(2)]
    for i, model in enumerate(models):
        fit(model, rows, steps=20, batch_size=50, seed=i)
    assert not torch.equal(models[0].autoencoder.encode(rows), models[1].autoencoder.encode(rows))


@each_mixture
def test_same_seed_gives_the_same_model_with_a_mixture(make_model, rows: Tensor, prior) -> None:
    models = [made(make_model, prior) for _ in range(2)]
    for i, model in enumerate(models):
        torch.manual_seed(i)
        fit_with_mixture(model, rows, steps=20, seed=3)
    assert_same_bits(*models)


@pytest.mark.parametrize("train", [fit, fit_with_mixture])
@each_mixture
def test_training_leaves_the_global_generators_alone(make_model, rows: Tensor, prior, train: Train) -> None:
    model = made(make_model, prior)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    train(model, rows, steps=20)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numpys  # noqa: NPY002


def test_training_leaves_the_global_generator_alone_if_it_stops(make_model, rows: Tensor) -> None:
    model, before = make_model(), torch.get_rng_state()
    with pytest.raises(Interrupted):
        fit(model, rows, steps=20, log_every=5, progress=InterruptAfter(1))
    assert torch.equal(torch.get_rng_state(), before)


@each_prior
def test_training_lowers_the_loss(make_model, rows: Tensor, prior) -> None:
    torch.manual_seed(5)
    model = make_model(prior(), curve=0.5)
    history = fit(model, rows, steps=300, log_every=50)
    losses = np.sum([history.rate, history.reconstruction, history.isometry], axis=0)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("steps", "log_every"), [(20, 5), (22, 5), (3, 5), (5, 5)])
def test_history_and_progress_tell_every_step(make_model, rows: Tensor, steps: int, log_every: int) -> None:
    told: list[int] = []
    history = fit(make_model(), rows, steps=steps, log_every=log_every, progress=told.append)
    assert sum(told) == steps
    assert np.cumsum(told).tolist() == history.step
    assert len(history.rate) == len(history.reconstruction) == len(history.isometry) == len(history.step)


def test_history_holds_the_means_of_the_terms() -> None:
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    history = fit(Line(), x, steps=4, log_every=2, learning_rate=0.0)
    assert history.reconstruction == [(4 + 1) / 2] * 2
    assert history.rate == history.isometry == [0, 0]


def test_an_epoch_shows_each_row_once() -> None:
    x, line = torch.stack([torch.arange(12.0), torch.zeros(12)], 1), Line()
    fit(line, x, steps=6, batch_size=4)
    first, second = line.seen[:12], line.seen[12:]
    assert sorted(first) == sorted(second) == x[:, 0].tolist()
    assert first != second


def test_a_batch_is_at_most_all_rows() -> None:
    line = Line()
    fit(line, torch.rand(7, 2), steps=2, batch_size=100)
    assert len(line.seen) == 14


@each_schedule
def test_an_objective_of_ones_own_is_trained(schedule: str) -> None:
    x, line = torch.randn(200, 1) * torch.tensor([[1.0, 3.0]]), Line()
    fit(line, x, steps=400, learning_rate=0.05, schedule=schedule)
    assert line.slope.item() == pytest.approx(3, abs=0.05)
    assert not line.training


FORMS = {
    "tensor": lambda x: x,
    "float64": lambda x: x.double(),
    "array": lambda x: x.numpy(),
    "data frame": lambda x: pd.DataFrame(x.numpy()),
    "lists": lambda x: x.tolist(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("train", [fit, fit_with_mixture])
def test_rows_train_the_same_model_in_any_form(make_model, rows: Tensor, form, train: Train) -> None:
    expected, found = (made(make_model, MIXTURES["mixture"]) for _ in range(2))
    train(expected, rows, steps=8)
    train(found, form(rows), steps=8)
    assert_same_bits(found, expected)


# Checkpoints


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


# Rows to stop by


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


@each_mixture
def test_held_out_rows_serve_both_parts_of_a_training_with_a_mixture(make_model, rows: Tensor, prior) -> None:
    model, told = made(make_model, prior), []
    options = {"held_out": rows[20:], "learning_rate": 0.3, "log_every": 2, "patience": 2}
    fit_with_mixture(model, rows[:20], steps=200, progress=told.append, **options)
    assert sum(told) < 200
    assert torch.isfinite(model.rate(rows)).all()


# Mixtures


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


# Refusals


@each_prior
def test_divergence_is_an_input_error(make_model, rows: Tensor, prior) -> None:
    with pytest.raises(InputError, match="finite losses"):
        fit(made(make_model, prior), rows, steps=50, learning_rate=1e9)


@each_prior
@pytest.mark.parametrize("log_every", [1, 5])
def test_divergence_is_an_input_error_with_held_out_rows_too(make_model, rows: Tensor, prior, log_every: int) -> None:
    with pytest.raises(InputError, match="finite losses"):
        fit(made(make_model, prior), rows, steps=50, learning_rate=1e9, log_every=log_every, held_out=rows)


BAD_ROWS = {
    "nan": lambda x: x.index_put((torch.tensor(3), torch.tensor(1)), torch.tensor(torch.nan)),
    "one row": lambda x: x[:1],
    "no rows and columns": lambda x: x[:, 0],
    "text": lambda x: [["a", "b", "c", "d"]] * 5,
}


@pytest.mark.parametrize("spoil", BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("train", [fit, fit_with_mixture])
def test_rows_that_cannot_be_used_are_an_input_error(make_model, rows: Tensor, spoil, train: Train) -> None:
    with pytest.raises(InputError, match=r"Expected .*; got"):
        train(make_model(Mixture(2, 2)), spoil(rows), steps=2)


BAD_HELD_OUT = {name: BAD_ROWS[name] for name in BAD_ROWS if name != "one row"} | {
    "no rows": lambda x: x[:0],
    "a column less": lambda x: x[:, 1:],
}


@pytest.mark.parametrize("spoil", BAD_HELD_OUT.values(), ids=BAD_HELD_OUT)
def test_held_out_rows_that_cannot_be_used_are_an_input_error(make_model, rows: Tensor, spoil) -> None:
    with pytest.raises(InputError, match=r"Expected .*held_out.*; got|Expected .* in held_out"):
        fit(make_model(), rows, steps=2, held_out=spoil(rows))


def test_an_unknown_schedule_is_an_input_error(make_model, rows: Tensor) -> None:
    with pytest.raises(InputError, match="warm-restarts"):
        fit(make_model(), rows, steps=2, schedule="warm-restarts")


def test_dagmm_is_trained_by_the_same_loop(make_model, rows: Tensor) -> None:
    torch.manual_seed(5)
    model = DAGMM(make_model().autoencoder, EstimatedMixture(latents=4, components=2))
    history = fit(model, rows, steps=200, log_every=50)
    model.fit_statistics(rows)
    assert history.rate[-1] + history.reconstruction[-1] < history.rate[0] + history.reconstruction[0]
    assert torch.isfinite(model.log_prob(rows)).all()


def test_one_wild_batch_does_not_undo_a_training_whose_gradients_are_cut():
    x = torch.randn(10_000, 1, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([x, 3 * x], 1)
    rows[501] = torch.tensor([1e4, -1e8])
    slopes = []
    for longest in (100.0, torch.inf):
        line = Line()
        fit(line, rows, steps=1000, batch_size=10, learning_rate=0.01, schedule="constant", max_grad_norm=longest)
        slopes.append(line.slope.item())
    assert slopes[0] == pytest.approx(3, abs=0.1)
    assert slopes[1] < 2.5
