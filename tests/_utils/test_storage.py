import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from radogaga import (
    DAGMM,
    MLP,
    AsinhScaling,
    Autodiff,
    Autoencoder,
    CrossEntropy,
    Density,
    EstimatedMixture,
    Factorized,
    GaussianNoise,
    InputError,
    KernelDensity,
    Log,
    Mixture,
    MultiscaleResidual,
    Normal,
    RateDistortion,
    ResidualFeatures,
    ResidualMLP,
    Scaling,
    SquaredError,
    StackedPrior,
    StudentTResidual,
    UniformNoise,
    load,
    save,
)
from radogaga._utils.storage import structure_checksum
from radogaga.version import __version__


class Doubled(nn.Module):
    """A part of a user's own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.inner(x)


@dataclass(frozen=True)
class Exponential:
    """A distortion's function as a class, so that it can be saved."""

    rate: float

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        return ((self.rate * x).exp() - (self.rate * y).exp()).square().sum(1)


def model(prior: nn.Module, choose: Callable[[Tensor], Scaling] = Scaling.standard, **options) -> RateDistortion:
    scaling = choose(torch.randn(50, 4) + 3)
    autoencoder = Autoencoder(ResidualMLP(4, 2, [8]), ResidualMLP(2, 4, [8]), latents=2, scaling=scaling)
    distortion, noise = options.pop("distortion", SquaredError()), options.pop("noise", GaussianNoise(std=0.1))
    return RateDistortion(autoencoder, prior, distortion, noise, **options)


def density(prior: nn.Module, residual: nn.Module | None = None, **options) -> Density:
    made = Density(model(prior, **options), features=4, residual=residual)
    made.fit_residual(torch.randn(50, 4))
    return made


def rows_for(made: nn.Module, columns: int = 4) -> Tensor:
    """The same rows each time, in the model's precision."""
    rows = torch.randn(20, columns, generator=torch.Generator().manual_seed(1))
    return rows.to(next(iter(made.state_dict().values()), rows).dtype)


def rate(made: RateDistortion) -> Tensor:
    return made.rate(rows_for(made))


def terms(made: RateDistortion) -> Tensor:
    torch.manual_seed(1)
    return torch.stack(tuple(made(rows_for(made))))


def prior_log_prob(made: nn.Module) -> Tensor:
    return made.log_prob(rows_for(made, columns=2))


def scores(made: Density) -> Tensor:
    x = rows_for(made)
    return torch.stack(
        [made.log_prob(x, volume=v, include_residual=a) for v in ("isometric", "exact") for a in (False, True)]
    )


def energies(made: DAGMM) -> Tensor:
    return made.log_prob(rows_for(made))


def rows_through(made: nn.Module) -> Tensor:
    return made(rows_for(made))


def fitted(prior: EstimatedMixture) -> EstimatedMixture:
    prior.fit_statistics([torch.randn(100, prior.latents)])
    return prior


PRIORS: dict[str, Callable[[], nn.Module]] = {
    "normal": lambda: Normal(2),
    "mixture": lambda: Mixture(2, components=3),
    "estimated mixture": lambda: fitted(EstimatedMixture(2, components=3, hidden=(7, 5), dropout=0.2, floor=0.01)),
    "factorized": lambda: Factorized(2, filters=(3, 2), initial_scale=4.0),
    "kernel": lambda: KernelDensity.fit(torch.randn(30, 2)),
    "stack": lambda: StackedPrior([KernelDensity.fit(torch.randn(30, 2)), Mixture(2, components=3)]),
}
MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Tensor]]] = {
    "dense": (lambda: MLP([4, 8, 2], nn.ReLU, dropout=0.3), rows_through),
    "residual": (lambda: ResidualMLP(4, 2, hidden=[5], activation=nn.GELU), rows_through),
    "scaling": (lambda: Scaling.min_max(torch.randn(50, 4)), rows_through),
    "asinh scaling": (lambda: AsinhScaling.standard(torch.randn(50, 4)), rows_through),
    **{f"{name} prior": (make, prior_log_prob) for name, make in PRIORS.items()},
    **{f"model with {name} prior": (lambda make=make: model(make()), rate) for name, make in PRIORS.items()},
    **{f"density with {name} prior": (lambda make=make: density(make()), scores) for name, make in PRIORS.items()},
    "density of Student's residual and asinh": (
        lambda: density(Normal(2), StudentTResidual(2), choose=AsinhScaling.standard),
        scores,
    ),
    "density of the residual's principal directions": (lambda: density(Normal(2), MultiscaleResidual(4, 2)), scores),
    "model with residual features": (
        lambda: model(fitted(EstimatedMixture(4, 2)), prior_features=ResidualFeatures()),
        rate,
    ),
    "model in uniform noise": (lambda: model(Normal(2), noise=UniformNoise(0.3)), terms),
    "model with its own weights": (
        lambda: model(Normal(2), isometry_weight=3.0, reconstruction_weight=7.0, noisy_rate=False),
        terms,
    ),
    "model of log d": (lambda: model(Normal(2), penalty=Log(floor=0.03)), terms),
    "model of cross entropy": (lambda: model(Normal(2), distortion=CrossEntropy(margin=0.01)), terms),
    "model by autodiff": (lambda: model(Normal(2), distortion=Autodiff(CrossEntropy())), terms),
    "DAGMM": (lambda: DAGMM(model(Normal(2)).autoencoder, fitted(EstimatedMixture(4, 2))), energies),
}
each_model = pytest.mark.parametrize(("make", "outputs"), MODELS.values(), ids=MODELS)


@each_model
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_loaded_models_give_the_same_to_the_last_bit(tmp_path: Path, make, outputs, dtype: torch.dtype) -> None:
    made = make().to(dtype).eval()
    save(made, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert type(loaded) is type(made)
    assert not loaded.training
    expected, found = outputs(made), outputs(loaded)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


@each_model
def test_saving_what_was_loaded_writes_the_same_files(tmp_path: Path, make, outputs) -> None:
    save(make(), tmp_path / "first")
    save(load(tmp_path / "first"), tmp_path / "second")
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("first", "second"))
    assert first == second


def test_a_loaded_model_can_be_trained_on(tmp_path: Path) -> None:
    save(model(Mixture(2, 2)), tmp_path / "model")
    loaded = load(tmp_path / "model")
    loaded(torch.randn(20, 4)).total.mean().backward()
    assert all(p.requires_grad and p.grad is not None for p in loaded.parameters())


def test_a_model_in_training_stays_in_training(tmp_path: Path) -> None:
    made = model(Normal(2)).train()
    save(made, tmp_path / "model")
    assert made.training


def test_numbers_of_numpy_are_saved_as_numbers(tmp_path: Path) -> None:
    made = model(Normal(np.int64(2)), noise=GaussianNoise(np.float32(0.25)), reconstruction_weight=np.float64(7))
    save(made, tmp_path / "model")
    assert torch.equal(terms(load(tmp_path / "model")), terms(made))


# Classes of one's own


def test_classes_of_ones_own_are_made_if_they_are_passed(tmp_path: Path) -> None:
    made = Doubled(MLP([4, 2]))
    save(made, tmp_path / "model")
    assert torch.equal(rows_through(load(tmp_path / "model", classes=[Doubled])), rows_through(made))
    distortion = model(Normal(2), distortion=Autodiff(Exponential(rate=0.5)))
    save(distortion, tmp_path / "distortion")
    assert torch.equal(terms(load(tmp_path / "distortion", classes=[Exponential])), terms(distortion))


def test_classes_of_ones_own_are_not_made_otherwise(tmp_path: Path) -> None:
    save(Doubled(MLP([4, 2])), tmp_path / "model")
    with pytest.raises(InputError, match=rf"{__name__}:Doubled.*classes="):
        load(tmp_path / "model")


class Forgetful(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()


class Table(nn.Module):
    def __init__(self, words: object) -> None:
        super().__init__()
        self.words = words


UNSAVEABLE = {
    "a function": lambda: model(Normal(2), distortion=Autodiff(lambda x, y: (x - y).square().sum(1))),
    "forgotten arguments": lambda: Forgetful(3),
    "any number of arguments": lambda: nn.Sequential(nn.Linear(2, 2)),
    "numbers as keys": lambda: Table({1: "a"}),
    "a set": lambda: Table({1, 2}),
    "bytes": lambda: Table(b"abc"),
    "an array of objects": lambda: Table(np.array([object()])),
    "a list": lambda: [Normal(2)],
    "a number": lambda: 3,
}


@pytest.mark.parametrize("make", UNSAVEABLE.values(), ids=UNSAVEABLE)
def test_what_cannot_be_described_is_refused_and_leaves_no_trace(tmp_path: Path, make) -> None:
    with pytest.raises(InputError, match=r"Expected (parts|a model)"):
        save(make(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


CONTENTS = {
    "nested lists": [1, [2.5, "a"], []],
    "a tuple": (1, (2, 3)),
    "a mapping": {"a": 1, "b": {"c": [None, True]}},
    "a tensor": torch.arange(6.0).reshape(2, 3),
    "an array": np.arange(4, dtype=np.int32),
    "a mapping of tensors": {"a": torch.ones(2), "b": np.zeros(3, bool)},
    "an activation": nn.SiLU,
    "an object": GaussianNoise(0.5),
}


def same(found: object, expected: object) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, np.ndarray):
        return found.dtype == expected.dtype and np.array_equal(found, expected)
    return torch.equal(found, expected) if isinstance(expected, Tensor) else found == expected


@pytest.mark.parametrize("words", CONTENTS.values(), ids=CONTENTS)
def test_arguments_of_every_kind_come_back(tmp_path: Path, words: object) -> None:
    save(Table(words), tmp_path / "model")
    found = load(tmp_path / "model", classes=[Table]).words
    assert type(found) is type(words)
    assert same(found, words)


class Pair(nn.Module):
    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.one, self.other = one, other


@dataclass
class Box:
    """No module itself, but made of modules."""

    one: nn.Module
    other: nn.Module


@pytest.mark.parametrize("kind", [Pair, Box])
def test_a_shared_module_is_written_once_and_stays_shared(tmp_path: Path, kind: type) -> None:
    prior = Mixture(2, 3)
    save(kind(StackedPrior([prior, Normal(2)]), prior), tmp_path / "model")
    description = json.loads((tmp_path / "model" / "model.json").read_text())["model"]
    assert description["arguments"]["other"] == {"shared": "one.components.0"}
    assert not [name for name in load_file(tmp_path / "model" / "model.safetensors") if name.startswith("other")]
    loaded = load(tmp_path / "model", classes=[kind])
    assert loaded.one.components[0] is loaded.other
    assert torch.equal(prior_log_prob(loaded.other), prior_log_prob(prior))


def test_files_say_their_format_the_public_names_of_classes_and_a_checksum(tmp_path: Path) -> None:
    save(model(Normal(2)), tmp_path / "model")
    structure = json.loads((tmp_path / "model" / "model.json").read_text())
    assert structure["format"] == "radogaga 2"
    assert structure["radogaga"] == __version__
    assert structure["model"]["class"] == "RateDistortion"
    assert structure["model"]["arguments"]["noise"] == {"class": "GaussianNoise", "arguments": {"std": 0.1}}
    checksum = hashlib.sha256((tmp_path / "model" / "model.safetensors").read_bytes()).hexdigest()
    assert structure["sha256"] == {"model.safetensors": checksum, "model.json": structure_checksum(structure)}


# Places


def test_a_model_takes_the_place_of_a_model(tmp_path: Path) -> None:
    first, second = Mixture(2, 3), Mixture(2, 5)
    for made in (first, second):
        save(made, tmp_path / "model")
    assert torch.equal(prior_log_prob(load(tmp_path / "model")), prior_log_prob(second))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    save(Normal(2), tmp_path / "a" / "b" / "model")
    assert isinstance(load(str(tmp_path / "a" / "b" / "model")), Normal)


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save(Normal(2), tmp_path / "model")
    assert isinstance(load(tmp_path / "model"), Normal)


HELD = {
    "notes": {"notes.txt": "mine"},
    "a model of another program": {"model.json": '{"format": "layers-model"}', "weights.bin": "mine"},
    "a structure of another program": {"model.json": '{"format": "layers-model"}'},
    "a model and notes": {"notes.txt": "mine"},
    "a model and another model": {"density/model.json": "mine"},
}


@pytest.mark.parametrize("name", HELD)
def test_what_a_folder_holds_is_never_lost(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    if name.startswith("a model and"):
        save(Normal(2), folder)
    folder.mkdir(exist_ok=True)
    for file, text in HELD[name].items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text)
    with pytest.raises(InputError, match="something else"):
        save(Normal(2), folder)
    assert {file: (folder / file).read_text() for file in HELD[name]} == HELD[name]


def test_a_damaged_model_can_be_saved_again(tmp_path: Path) -> None:
    save(Normal(2), tmp_path / "model")
    for damaged in ("model.json", "model.safetensors"):
        (tmp_path / "model" / damaged).write_bytes(b"{")
        save(Normal(2), tmp_path / "model")
        assert isinstance(load(tmp_path / "model"), Normal)


def test_a_file_in_the_way_is_never_lost(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    for place in (tmp_path / "model", tmp_path / "model" / "inside"):
        with pytest.raises(InputError):
            save(Normal(2), place)
    assert (tmp_path / "model").read_text() == "mine"


FULL = [OSError(28, "No space left on device"), SafetensorError("No space left (os error 28)")]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_full_disk_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    save(Mixture(2, 3), tmp_path / "model")
    before = prior_log_prob(load(tmp_path / "model"))

    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("radogaga._utils.storage.save_file", full)
    with pytest.raises(InputError, match="No space left"):
        save(Mixture(2, 5), tmp_path / "model")
    assert torch.equal(prior_log_prob(load(tmp_path / "model")), before)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# Foreign, damaged and hostile folders


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(model(Mixture(2, 3)), tmp_path / "model")
    return tmp_path / "model"


def test_folders_without_a_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "empty", "file"):
        with pytest.raises(InputError, match=f"Expected .*{name}"):
            load(tmp_path / name)


def test_a_model_without_numbers_is_refused(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load(saved)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_truncated_numbers_are_refused(saved: Path, share: float) -> None:
    numbers = saved / "model.safetensors"
    whole = numbers.read_bytes()
    numbers.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="Expected a whole model"):
        load(saved)


def test_numbers_of_another_model_are_refused(saved: Path, tmp_path: Path) -> None:
    save(model(Mixture(2, 4)), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(saved / "model.safetensors")
    with pytest.raises(InputError, match="Expected a whole model"):
        load(saved)


@pytest.mark.parametrize("length", [2**62, 2**64 - 1])
def test_numbers_that_lie_about_their_length_are_refused(saved: Path, length: int) -> None:
    numbers = saved / "model.safetensors"
    numbers.write_bytes(struct.pack("<Q", length) + numbers.read_bytes()[8:])
    with pytest.raises(InputError, match="Expected a whole model"):
        load(saved)


DAMAGED = {
    "nothing": "",
    "half": '{"format": "radogaga 2", "model": {',
    "text": "a model",
    "a number": "3",
    "a list": "[]",
    "no format": "{}",
    "another format": '{"format": "layers-model", "model": {}}',
    "a later format": '{"format": "radogaga 999", "model": {}}',
    "no model": '{"format": "radogaga 2"}',
    "a model of nothing": '{"format": "radogaga 2", "model": null}',
    "a model that is a number": '{"format": "radogaga 2", "model": 3}',
    "a model that is a list": '{"format": "radogaga 2", "model": []}',
    "an empty model": '{"format": "radogaga 2", "model": {}}',
    "a depth without end": "[" * 200_000,
    "a model of depth without end": '{"format": "radogaga 2", "model": ' + "[" * 5000 + "]" * 5000 + "}",
    "an endless number": '{"format": "radogaga 2", "model": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_damaged_structures_are_refused(saved: Path, text: str) -> None:
    (saved / "model.json").write_text(text)
    with pytest.raises(InputError, match="Expected"):
        load(saved)


def test_a_structure_that_is_no_text_is_refused(saved: Path) -> None:
    (saved / "model.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InputError, match="Expected"):
        load(saved)


def altered(folder: Path, **changes: object) -> None:
    """Write other entries of a saved mixture's description over its own."""
    save(Mixture(2, 3), folder)
    path = folder / "model.json"
    structure = json.loads(path.read_text())
    structure["model"] |= changes
    structure["sha256"]["model.json"] = structure_checksum(structure)
    path.write_text(json.dumps(structure))


FOREIGN = [
    "os:system",
    "posix:system",
    "subprocess:Popen",
    "builtins:eval",
    "builtins:open",
    "pathlib:Path",
    "pathlib:PosixPath",
    "shutil:rmtree",
    "torch:load",
    "torch.nn.modules.linear:Linear",
    "torch.nn.modules.activation:torch",
    "torch.nn.torch",
    "torch.nn.Module",
    "torch.nn.Linear",
    "torch.nn.modules",
    "radogaga._utils.storage:Path",
    "radogaga._utils.storage:save",
    "radogaga._utils.storage:os",
    "radogaga._utils.storage:os.system",
    "radogaga._utils.storage:shutil.rmtree",
    "radogaga._utils.storage:SafetensorError",
    "radogaga.errors:InputError",
    "radogaga.method.priors.mixture:Mixture",
    "radogaga.method.priors.mixture:",
    "radogaga.Mixture",
    "save",
    "load",
    "__version__",
    "__all__",
    "Nothing",
    "radogaga_of_others:Mixture",
    "radogaga",
    "",
    ":",
    "::",
    ".radogaga:Mixture",
    "no module:at all",
    "unknown.module:Class",
    f"{__name__}:Doubled",
]


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("arguments", [{}, {"latents": 2, "components": 3}, {"command": "true", "args": ["true"]}])
def test_foreign_classes_are_not_made(tmp_path: Path, name: str, arguments: dict[str, object]) -> None:
    altered(tmp_path / "model", **{"class": name, "arguments": arguments})
    with pytest.raises(InputError, match="Expected"):
        load(tmp_path / "model")


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_types_are_not_handed_on(tmp_path: Path, name: str) -> None:
    altered(tmp_path / "model", arguments={"latents": 2, "components": {"type": name}})
    with pytest.raises(InputError, match="Expected"):
        load(tmp_path / "model")


class Trap:
    sprung = False

    def __init__(self, *_: object, **__: object) -> None:
        Trap.sprung = True


def spring(*_: object, **__: object) -> None:
    Trap.sprung = True


@pytest.mark.parametrize(
    ("place", "name"), [("radogaga.trap", "trap"), ("torch.nn.modules.activation.trap", "torch.nn.trap")]
)
@pytest.mark.parametrize("trap", [Trap, spring])
@pytest.mark.parametrize("arguments", [{}, {"latents": 2, "components": 3}])
def test_what_a_module_only_imported_is_never_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str, trap: object, arguments: dict[str, object]
) -> None:
    monkeypatch.setattr(Trap, "sprung", False)
    monkeypatch.setattr(place, trap, raising=False)
    altered(tmp_path / "model", **{"class": name, "arguments": arguments})
    with pytest.raises(InputError, match="known classes"):
        load(tmp_path / "model")
    assert not Trap.sprung


def test_functions_of_the_package_are_never_called(tmp_path: Path) -> None:
    arguments = {"model": {"class": "Normal", "arguments": {"latents": 2}}, "folder": str(tmp_path / "sprung")}
    altered(tmp_path / "model", **{"class": "save", "arguments": arguments})
    with pytest.raises(InputError, match="known classes"):
        load(tmp_path / "model")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "description",
    [
        {"class": "trap:Trap", "arguments": {}},
        {"arguments": {"latents": {"class": "trap:Trap", "arguments": {}}, "components": 3}},
        {"arguments": {"latents": {"type": "trap:Trap"}, "components": 3}},
    ],
)
def test_modules_of_others_are_not_even_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, description: dict[str, object]
) -> None:
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Trap: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    altered(tmp_path / "model", **description)
    with pytest.raises(InputError, match="known classes"):
        load(tmp_path / "model")
    assert not (tmp_path / "sprung").exists()


ALTERED = {
    "a class that is no text": {"class": 3},
    "a class that is a list": {"class": ["Mixture"]},
    "an abstract class": {"class": "Distortion", "arguments": {}},
    "a protocol": {"class": "Noise", "arguments": {}},
    "a part that comes later": {"arguments": {"latents": {"shared": "components"}, "components": 3}},
    "a tensor that is not there": {"arguments": {"latents": {"tensor": "size"}, "components": 3}},
    "no arguments": {"arguments": {}},
    "arguments that are a list": {"arguments": [2, 3]},
    "arguments that are a number": {"arguments": 3},
    "an argument too many": {"arguments": {"latents": 2, "components": 3, "more": 1}},
    "a size that does not fit": {"arguments": {"latents": 3, "components": 3}},
    "a size below zero": {"arguments": {"latents": -2, "components": 3}},
    "a size that is a fraction": {"arguments": {"latents": 2.5, "components": 3}},
    "a size that is text": {"arguments": {"latents": "2", "components": 3}},
    "a size that is nothing": {"arguments": {"latents": None, "components": 3}},
    "a size that is a list": {"arguments": {"latents": [], "components": 3}},
    "no filters": {
        "class": "Factorized",
        "arguments": {"latents": 2, "filters": [0], "initial_scale": 1.0},
    },
    "a size that takes gigabytes": {"arguments": {"latents": 2, "components": 2**40}},
    "a size beyond counting": {"arguments": {"latents": 2, "components": 10**30}},
}


@pytest.mark.parametrize("changes", ALTERED.values(), ids=ALTERED)
def test_altered_descriptions_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    altered(tmp_path / "model", **changes)
    with pytest.raises(InputError, match="Expected"):
        load(tmp_path / "model")


@pytest.mark.parametrize("place", range(0, 3000, 97))
def test_a_changed_letter_of_the_structure_is_found(saved: Path, place: int) -> None:
    path = saved / "model.json"
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="Expected"):
        load(saved)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    prior = Mixture(2, 3)
    with torch.no_grad():
        next(prior.parameters())[0] = torch.nan
    save(prior, tmp_path / "model")
    with pytest.raises(InputError, match="not finite"):
        load(tmp_path / "model")
