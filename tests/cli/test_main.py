import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

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
from radogaga.experiments.toy_density import experiment as density


def refused(result, *words: str) -> bool:
    """Whether a run ended as a person's mistake should: status 2, one line that says what is wrong, no traceback."""
    lines = result.stderr.strip().splitlines()
    named = all(word in result.stderr for word in words)
    return result.returncode == 2 and len(lines) == 1 and lines[0].startswith("radogaga: ") and named


def toy_table(rows: int = 200) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 1, (rows, 18))


def write_csv(path: Path, table: np.ndarray) -> Path:
    np.savetxt(path, table, delimiter=",")
    return path


def test_version_is_printed(program):
    assert program("--version").stdout.strip() == f"radogaga {__version__}"


def test_the_installed_program_ends_without_a_traceback(tmp_path):
    command = [Path(sys.executable).with_name("radogaga"), "inspect", tmp_path / "none"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused(ended, "none")


def narrow(table):
    return table[:, :17]


def missing(table):
    table[5, 3] = np.nan
    return table


def single(table):
    return table[:1]


def constant(table):
    table[:, 4] = 0.5
    return table


def no_density(table):
    table[7, 16] = 0
    return table


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (narrow, "got 17"),
        (missing, "nan in row 5, column 3"),
        (single, "got 1"),
        (constant, "constant column (4)"),
        (no_density, "row 7"),
    ],
)
def test_a_spoilt_table_is_refused_in_one_line_and_nothing_is_written(program, tmp_path, spoil, word):
    data = write_csv(tmp_path / "toy.csv", spoil(toy_table()))
    assert refused(program("reproduce", "density", "--data", data, "--out", tmp_path / "out"), word)
    assert not (tmp_path / "out").exists()


def test_text_in_a_table_is_refused(program, tmp_path):
    data = write_csv(tmp_path / "toy.csv", toy_table())
    data.write_text(data.read_text().replace("e-01", "x", 1))
    assert refused(program("reproduce", "density", "--data", data, "--out", tmp_path / "out"), "Expected numbers")


@pytest.mark.parametrize("content", [b"", b"1,2\n1,2,3\n", bytes(range(256))], ids=["empty", "ragged", "binary"])
def test_a_file_that_is_no_table_is_refused(program, tmp_path, content):
    (tmp_path / "toy.csv").write_bytes(content)
    result = program("reproduce", "density", "--data", tmp_path / "toy.csv", "--out", tmp_path / "out")
    assert refused(result, "Expected", "--data")


def test_a_missing_path_is_refused(program, tmp_path):
    missing_file = tmp_path / "none.csv"
    assert refused(program("reproduce", "density", "--data", missing_file, "--out", tmp_path / "out"), "no such file")


def test_an_unwritable_folder_is_refused(program, tmp_path):
    (tmp_path / "file").write_text("a file, not a folder")
    result = program("reproduce", "density", "--sources", "rolled", "--out", tmp_path / "file" / "out")
    assert refused(result, "Expected to write")


def test_a_folder_with_something_else_is_left_alone(program, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    assert refused(program("reproduce", "density", "--sources", "rolled", "--out", tmp_path), "something else")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("option", ["--sources", "--methods"])
def test_unknown_words_are_refused_with_the_known_ones(program, tmp_path, option):
    result = program("reproduce", "density", option, "nonsense", "--out", tmp_path / "out")
    assert refused(result, "nonsense", "among")


def test_an_unusable_device_is_refused(program, tmp_path):
    result = program("reproduce", "density", "--device", "abacus", "--out", tmp_path / "out")
    assert refused(result, "abacus", "cpu")


def test_a_run_writes_its_result_and_goes_on_where_it_stopped(program, tmp_path):
    command = ["reproduce", "density", "--sources", "rolled", "--methods", "untrained", "--jobs", 1, "--out", tmp_path]
    first = program(*command, "--seeds", 1, "--quiet")
    assert (first.returncode, first.stdout) == (0, "")
    kept = tmp_path / "runs" / "rolled-untrained-0.json"
    row = json.loads(kept.read_text())
    kept.write_text(json.dumps(row | {"seconds": 123.0}))
    assert program(*command, "--seeds", 2).returncode == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result) == {"experiment", "config", "environment", "rows"}
    assert [(r["data"], r["method"], r["seed"]) for r in result["rows"]] == [
        ("rolled", "untrained", 0),
        ("rolled", "untrained", 1),
    ]
    assert result["rows"][0]["seconds"] == 123.0, "a run that was kept is not run again"
    assert (tmp_path / "report.html").read_text().count("data:image/png;base64") == 2
    assert refused(program(*command, "--quick"), "other ones")


def test_an_interrupted_table_says_that_it_goes_on(program, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(density.METHODS, "untrained", interrupt)
    result = program(
        "reproduce", "density", "--sources", "rolled", "--methods", "untrained", "--jobs", 1, "--out", tmp_path
    )
    assert result.returncode == 130
    assert "goes on from here" in result.stdout


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
