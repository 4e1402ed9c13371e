import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from program_results import refused
from radogaga import (
    Autoencoder,
    Density,
    GaussianNoise,
    Normal,
    RateDistortion,
    ResidualMLP,
    Scaling,
    SquaredError,
    __version__,
    initialize_pca,
)


def test_version_is_printed(program):
    assert program("--version").stdout.strip() == f"radogaga {__version__}"


def test_the_installed_program_ends_without_a_traceback(tmp_path):
    command = [Path(sys.executable).with_name("radogaga"), "inspect", tmp_path / "none"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused(ended, "none")


@pytest.fixture
def saved_model(tmp_path):
    x = torch.randn(50, 4)
    autoencoder = Autoencoder(ResidualMLP(4, 2), ResidualMLP(2, 4), 2, Scaling.standard(x))
    initialize_pca(autoencoder, x)
    Density(RateDistortion(autoencoder, Normal(2), SquaredError(), GaussianNoise(0.1)), 4).save(tmp_path / "model")
    return tmp_path / "model"


def test_inspect_names_every_part_and_its_settings(program, saved_model):
    result = program("inspect", saved_model)
    assert result.returncode == 0
    assert all(word in result.stdout for word in ("Density", "RateDistortion", "std: 0.1", "SquaredError", "SiLU"))


def test_a_truncated_model_is_refused(program, saved_model):
    numbers = saved_model / "model.safetensors"
    numbers.write_bytes(numbers.read_bytes()[:100])
    assert refused(program("inspect", saved_model), "truncated")


def test_a_foreign_folder_is_refused(program, tmp_path):
    assert refused(program("inspect", tmp_path), "no saved model")


def pictures(folder: Path, people: int = 12) -> Path:
    for person in range(people):
        (folder / f"person{person}").mkdir(parents=True)
        for shot in range(2):
            pixels = np.random.default_rng(person + shot).integers(0, 255, (40, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"person{person}" / f"{shot}.png")
    (folder / "person0" / "notes.txt").write_text("no picture")
    return folder


def test_pictures_become_one_array_and_what_is_none_is_named(program, tmp_path):
    out = tmp_path / "faces.npy"
    result = program("images", "prepare", pictures(tmp_path / "in"), "--out", out, "--size", 16, "--split", "by-folder")
    assert result.returncode == 0
    assert np.load(out, mmap_mode="r").shape == (24, 16, 16, 3)
    assert "24 x 16 x 16 x 3" in result.stdout
    assert "notes.txt" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("nowhere", "--out", "a.npy"), "nowhere"),
        ((".", "--out", "a.npy", "--crop", "round"), "round"),
        ((".", "--out", "a.npy", "--split", "by-colour"), "by-colour"),
        ((".", "--out", "a.png"), ".npy"),
    ],
)
def test_pictures_that_cannot_be_prepared_end_in_one_line(program, tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(pictures(tmp_path / "in"))
    assert refused(program("images", "prepare", *arguments), word)


def test_letters_that_a_terminal_does_not_know_stop_nothing(tmp_path):
    from radogaga import Normal, save

    save(Normal(2), tmp_path / "größe")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-m", "radogaga", "inspect", str(tmp_path / "größe")]
    result = subprocess.run(words, capture_output=True, env=environment, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
