import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from radogaga import (
    Autoencoder,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    Factorized,
    GaussianNoise,
    InputError,
    LinearSkip,
    Mixture,
    RateDistortion,
    Scaling,
    SquaredError,
    Terms,
    fit,
    fit_with_mixture,
)
from radogaga.images.pictures import Pictures

SHAPE = (3, 8, 8)
CPU = torch.device("cpu")


@pytest.fixture
def array() -> NDArray[np.uint8]:
    """Smooth colour pictures, 40 of 8 x 8, none of them its own mirror image."""
    down, across = np.mgrid[0:1:8j, 0:1:8j]
    waves = np.random.default_rng(0).uniform(0, 3, (40, 1, 1, 3, 2))
    colours = np.sin(waves[..., 0] * down[..., None] + waves[..., 1] * across[..., None])
    return (255 * (0.5 + 0.5 * colours)).astype(np.uint8)


def small_model(prior: nn.Module | None = None) -> RateDistortion:
    torch.manual_seed(5)
    encoder = ConvolutionalEncoder(4, SHAPE, (6, 8), (5, 3), (16,))
    decoder = ConvolutionalDecoder(4, SHAPE, (8, 6), (3, 5), (16,))
    pair = LinearSkip(SHAPE, (4,), encoder), LinearSkip((4,), SHAPE, decoder)
    return RateDistortion(
        Autoencoder(*pair, latents=4, scaling=Scaling(1)), prior or Factorized(4), SquaredError(), GaussianNoise(0.1)
    )


def assert_same_bits(one: nn.Module, other: nn.Module) -> None:
    expected = other.state_dict()
    assert [name for name, value in one.state_dict().items() if not torch.equal(value, expected[name])] == []


def test_a_picture_is_its_bytes(array) -> None:
    pictures = Pictures(array)
    assert pictures.shape == (len(pictures), *SHAPE) == (40, *SHAPE)
    assert torch.equal((255 * pictures[:]).round().byte(), torch.from_numpy(array).permute(0, 3, 1, 2))
    assert pictures[:].is_contiguous()


def test_rows_are_chosen_in_their_order(array) -> None:
    chosen = [7, 3, 11, 30]
    pictures, every = Pictures(array, chosen), Pictures(array)[:]
    assert torch.equal(pictures[:], every[chosen])
    assert torch.equal(pictures[1:3], every[[3, 11]])
    assert torch.equal(pictures[torch.tensor([3, 0, 3])], every[[30, 7, 30]])
    assert torch.equal(pictures.batch(torch.tensor([3, 0]), CPU), every[[30, 7]])


def test_flips_are_mirror_images_half_of_the_time(array) -> None:
    pictures, indices = Pictures(array, flip=True), torch.arange(40).repeat(50)
    plain, drawn = pictures[:].repeat(50, 1, 1, 1), pictures.batch(indices, CPU)
    as_is = (drawn == plain).flatten(1).all(1)
    mirrored = (drawn == plain.flip(3)).flatten(1).all(1)
    assert (as_is ^ mirrored).all()
    assert abs(mirrored.float().mean() - 0.5) < 0.05
    assert torch.equal(pictures[:], Pictures(array)[:])


def test_flips_follow_the_global_random_state(array) -> None:
    pictures, drawn = Pictures(array, flip=True), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(pictures.batch(torch.arange(40), CPU))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_the_array_stays_as_it_was(array) -> None:
    before = array.copy()
    Pictures(array, flip=True).batch(torch.arange(40), CPU).zero_()
    Pictures(array)[:].zero_()
    assert (array == before).all()


TRAININGS = {
    "fit": lambda x, held_out: fitted(fit, small_model(), x, held_out),
    "fit with mixture": lambda x, held_out: fitted(fit_with_mixture, small_model(Mixture(4, 2)), x, held_out),
}


def fitted(train: Callable[..., object], model: RateDistortion, x: object, held_out: object) -> RateDistortion:
    train(model, x, steps=8, batch_size=16, log_every=2, held_out=held_out)
    return model


@pytest.mark.parametrize("train", TRAININGS.values(), ids=TRAININGS)
def test_training_on_pictures_equals_training_on_their_floats(array, tmp_path: Path, train) -> None:
    np.save(tmp_path / "array.npy", array)
    mapped = np.load(tmp_path / "array.npy", mmap_mode="r")
    pictures, unseen = Pictures(mapped, range(30)), Pictures(mapped, range(30, 40))
    assert_same_bits(train(pictures, unseen), train(pictures[:], unseen[:]))


def test_flips_of_held_out_pictures_do_not_count(array) -> None:
    trained = [TRAININGS["fit"](Pictures(array), Pictures(array, flip=flip)) for flip in (False, True)]
    assert_same_bits(*trained)


class Interrupted(Exception):  # noqa: N818
    pass


def interrupt(steps: int) -> None:
    raise Interrupted


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resumed_training_with_flips_equals_one_that_never_stopped(array, tmp_path: Path, precision: str) -> None:
    options = {"steps": 10, "batch_size": 16, "log_every": 5, "precision": precision}
    pictures, whole, stopped, resumed = Pictures(array, flip=True), *(small_model() for _ in range(3))
    history = fit(whole, pictures, **options)
    checkpoint = tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        fit(stopped, pictures, checkpoint=checkpoint, progress=interrupt, **options)
    assert fit(resumed, pictures, checkpoint=checkpoint, **options) == history
    assert_same_bits(resumed, whole)


def loss(model: RateDistortion, x: Tensor) -> float:
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        return model(x.repeat(10, 1, 1, 1)).total.mean().item()


def test_training_in_bf16_lands_near_fp32(array) -> None:
    exact, rounded = small_model(), small_model()
    x = Pictures(array)
    before = loss(exact, x[:])
    for model, precision in ((exact, "fp32"), (rounded, "bf16")):
        history = fit(model, x, steps=150, batch_size=16, learning_rate=5e-3, precision=precision)
        assert all(map(np.isfinite, history.rate))
    gain = before - loss(exact, x[:])
    assert gain > 0
    assert loss(rounded, x[:]) == pytest.approx(loss(exact, x[:]), abs=0.05 * gain)
    assert all(parameter.dtype == torch.float32 for parameter in rounded.parameters())


def test_losses_are_in_fp32_under_autocast(array) -> None:
    """The distortions see what the networks gave, rounded or not, and lose nothing to it themselves."""
    model, x = small_model(), Pictures(array)[:]
    decoded = []
    model.autoencoder.decoder.register_forward_hook(lambda _, __, out: decoded.append(out.float()))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        terms = model(x)
    clean, perturbed = decoded[0].chunk(2)
    assert all(term.dtype == torch.float32 for term in terms)
    assert torch.equal(terms.isometry, model.isometry_weight * SquaredError()(clean, perturbed))


class Nothing(nn.Module):
    """An objective that costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Terms:
        mean = self.slope * x.flatten(1).mean(1)
        return Terms(mean, mean, mean)


def resident_mebibytes() -> int:
    """What the process holds for itself, without the pages of files."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux to tell resident memory")
def test_a_large_set_is_trained_on_without_being_held(tmp_path: Path) -> None:
    """A file with holes stands for 1.2 GB of bytes, 4.9 GB as floats."""
    shape = (100_000, 64, 64, 3)
    np.lib.format.open_memmap(tmp_path / "array.npy", mode="w+", dtype=np.uint8, shape=shape)
    pictures = Pictures(np.load(tmp_path / "array.npy", mmap_mode="r"), flip=True)
    before = resident_mebibytes()
    fit(Nothing(), pictures, steps=20, batch_size=64, log_every=10, held_out=Pictures(pictures.array, range(400)))
    assert resident_mebibytes() - before < 200


REFUSED = {
    "floats": np.zeros((4, 8, 8, 3), np.float32),
    "no channels": np.zeros((4, 8, 8), np.uint8),
}


@pytest.mark.parametrize("spoiled", REFUSED.values(), ids=REFUSED)
def test_what_is_no_pictures_is_refused(spoiled) -> None:
    with pytest.raises(InputError, match=r"Expected bytes .*; got"):
        Pictures(spoiled)


def test_too_few_pictures_are_refused(array) -> None:
    with pytest.raises(InputError, match="at least 2 rows in x; got 1"):
        fit(small_model(), Pictures(array, [0]), steps=1)


def test_held_out_pictures_of_another_size_are_refused(array) -> None:
    with pytest.raises(InputError, match=r"held_out; got \(3, 4, 8\)"):
        fit(small_model(), Pictures(array), steps=1, held_out=Pictures(array[:, :4]))


def test_pictures_that_are_not_finite_are_refused(array) -> None:
    x = Pictures(array)[:]
    x[3, 1, 2, 2] = torch.nan
    with pytest.raises(InputError, match="finite numbers"):
        fit(small_model(), x, steps=1)


def test_another_precision_is_refused(array) -> None:
    with pytest.raises(InputError, match="fp16"):
        fit(small_model(), Pictures(array), steps=1, precision="fp16")
