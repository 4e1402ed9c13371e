"""Folders that version 0.1.0 wrote give what it computed of the same rows.

``tests/golden/make.py`` made them, with that version. Numbers are equal to the last bit on the machine that wrote them;
others round differently.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

import radogaga
from radogaga import InputError, RaDOGAGA, RateDistortion, TabularModel

GOLDEN = Path(__file__).parents[1] / "golden" / "0.1.0"
EXPECTED = load_file(GOLDEN / "expected.safetensors")
TABLES = ["numbers-both", "numbers-coarse", "numbers-fine", "people"]
MODELS = ["factorized-log", "mixture-residual", "cross-entropy"]
PICTURES = ["convolutional", "principal"]
FOLDERS = [*TABLES, *MODELS, *PICTURES, "dagmm", "student", "beta-vae"]


def assert_golden(name: str, found: Tensor | np.ndarray, rtol: float) -> None:
    expected = EXPECTED[name]
    np.testing.assert_allclose(np.asarray(found), expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def rows_of(name: str) -> object:
    return pd.read_parquet(GOLDEN / "people.parquet") if name == "people" else EXPECTED["numbers"]


def pictures() -> Tensor:
    return torch.from_numpy(EXPECTED["pictures"]).float() / 255


@pytest.mark.parametrize("name", TABLES)
def test_a_saved_estimator_is_the_model_that_it_was(name: str) -> None:
    model, rows = radogaga.load(GOLDEN / name), rows_of(name)
    assert isinstance(model, TabularModel)
    assert_golden(f"{name}.latents", model.encode(rows), rtol=1e-9)
    assert_golden(f"{name}.score", model.score(rows), rtol=1e-9)
    assert_golden(f"{name}.p_value", model.p_value(rows), rtol=1e-9)
    # Explanations follow another rule now, and still add up.
    explanation = model.explain(rows)
    assert np.allclose(explanation.contributions.sum(1), model.score(rows) - explanation.baseline)


@pytest.mark.parametrize("name", TABLES)
def test_the_estimator_loads_it_too(name: str) -> None:
    assert_golden(f"{name}.score", RaDOGAGA.load(GOLDEN / name).score_samples(rows_of(name)), rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_has_the_rates_that_it_had(name: str) -> None:
    model = radogaga.load(GOLDEN / name)
    assert isinstance(model, RateDistortion)
    assert_golden(f"{name}.rate", model.rate(torch.from_numpy(EXPECTED["rows"])).detach(), rtol=1e-4)


@pytest.mark.parametrize("name", PICTURES)
def test_a_saved_model_of_pictures_has_the_latents_that_it_had(name: str) -> None:
    model = radogaga.load(GOLDEN / name)
    assert_golden(f"{name}.rate", model.rate(pictures()).detach(), rtol=1e-4)
    assert_golden(f"{name}.latents", model.autoencoder.encode(pictures()).detach(), rtol=1e-4)


def test_a_saved_density_of_students_t_is_the_density_that_it_was() -> None:
    density = radogaga.load(GOLDEN / "student")
    found = density.log_prob(torch.from_numpy(EXPECTED["rows"]), volume="exact", include_residual=True)
    assert_golden("student.score", found, rtol=1e-4)


def test_saved_baselines_are_what_they_were() -> None:
    dagmm, vae = radogaga.load(GOLDEN / "dagmm"), radogaga.load(GOLDEN / "beta-vae")
    assert_golden("dagmm.score", dagmm.log_prob(torch.from_numpy(EXPECTED["rows"])).detach(), rtol=1e-4)
    assert_golden("beta-vae.latents", vae.encode(pictures())[0].detach(), rtol=1e-4)


@pytest.mark.parametrize("name", FOLDERS)
def test_saved_anew_it_is_the_same_model_in_todays_format(name: str, tmp_path: Path) -> None:
    model = radogaga.load(GOLDEN / name)
    radogaga.save(model, tmp_path / "first")
    radogaga.save(radogaga.load(tmp_path / "first"), tmp_path / "second")
    assert json.loads((tmp_path / "first" / "model.json").read_text())["format"] == "radogaga 2"
    for file in ("model.json", "model.safetensors"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_saved_anew_scores_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    model, rows = radogaga.load(GOLDEN / name), rows_of(name)
    model.save(tmp_path / "model")
    assert np.array_equal(radogaga.load(tmp_path / "model").score(rows), model.score(rows))


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A copy of a former model."""
    return Path(shutil.copytree(GOLDEN / "factorized-log", tmp_path / "model"))


def alter(folder: Path, file: str = "model.json", **changes: object) -> None:
    structure = json.loads((folder / file).read_text())
    structure["model"] |= changes
    (folder / file).write_text(json.dumps(structure))


@pytest.mark.parametrize("name", ["numbers-both", "factorized-log"])
def test_a_former_model_is_replaced_by_a_new_one(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / name, tmp_path / "model"))
    radogaga.save(radogaga.Normal(2), folder)
    assert {path.name for path in folder.iterdir()} == {"model.json", "model.safetensors"}


@pytest.mark.parametrize("name", ["numbers-both", "factorized-log"])
def test_a_former_model_with_other_files_is_not_replaced(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / name, tmp_path / "model"))
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        radogaga.save(radogaga.Normal(2), folder)
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["os:system", "builtins:open", "radogaga.storage:save", "pathlib:Path", "", "Nothing"])
def test_foreign_classes_in_a_former_model_are_not_made(former: Path, name: str) -> None:
    alter(former, **{"class": name, "arguments": {}})
    with pytest.raises(InputError, match="Expected"):
        radogaga.load(former)


@pytest.mark.parametrize("changes", [{"class": None}, {"arguments": 3}, {"arguments": {}}])
def test_altered_former_models_are_refused(former: Path, changes: dict[str, object]) -> None:
    alter(former, **changes)
    with pytest.raises(InputError, match="Expected"):
        radogaga.load(former)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_truncated_former_models_are_refused(former: Path, share: float) -> None:
    tensors = former / "model.safetensors"
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="Expected a whole model"):
        radogaga.load(former)


@pytest.mark.parametrize(
    "file", ["estimator.json", "arrays.safetensors", "density/model.json", "density/model.safetensors"]
)
def test_a_former_estimator_without_a_file_is_refused(tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(GOLDEN / "numbers-both", tmp_path / "model"))
    (folder / file).unlink()
    with pytest.raises(InputError, match="Expected"):
        radogaga.load(folder)
