import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from program_results import refused
from radogaga.datasets.ellipses import write_ellipses
from radogaga.experiments.toy_density.methods import METHODS
from radogaga.images.prepare import prepare_images


def toy_table(rows: int = 200) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 1, (rows, 18))


def write_csv(path: Path, table: np.ndarray) -> Path:
    np.savetxt(path, table, delimiter=",")
    return path


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

    monkeypatch.setitem(METHODS, "untrained", interrupt)
    result = program(
        "reproduce", "density", "--sources", "rolled", "--methods", "untrained", "--jobs", 1, "--out", tmp_path
    )
    assert result.returncode == 130
    assert "goes on from here" in result.stdout


def test_the_report_alone_is_written_of_what_is_kept(program, tmp_path):
    command = ["reproduce", "density", "--methods", "untrained", "--quick", "--jobs", 1, "--out", tmp_path / "out"]
    assert program(*command, "--sources", "rolled", "--quiet").returncode == 0
    (tmp_path / "out" / "report.html").unlink()
    result = program(*command, "--sources", "flat,rolled", "--seeds", 3, "--report-only")
    assert result.returncode == 0
    assert "rolled" in result.stdout
    assert (tmp_path / "out" / "report.html").is_file()
    assert refused(program(*command[:-1], tmp_path / "none", "--report-only"), "--report-only")


@pytest.fixture
def thyroid(tmp_path, monkeypatch):
    """A data folder with nothing but a file of Thyroid's shape."""
    rng = np.random.default_rng(0)
    (tmp_path / "thyroid").mkdir()
    savemat(tmp_path / "thyroid" / "thyroid.mat", {"X": rng.normal(size=(400, 6)), "y": np.arange(400) < 40})
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "iris"), ("iris", "thyroid")),
        (("--methods", "magic"), ("magic", "isolation-forest")),
        (("--quick", "--published"), ("--quick", "--published")),
        (("--data", "thyroid", "--columns", 7), ("7", "121")),
        (("--data", "arrhythmia"), ("arrhythmia", "radogaga data fetch")),
        (("--data", "thyroid", "--report-only"), ("--report-only",)),
    ],
)
def test_mistakes_about_anomalies_end_in_one_line(thyroid, program, tmp_path, arguments, words):
    assert refused(program("reproduce", "anomaly", "--out", tmp_path / "out", *arguments), *words)
    assert not (tmp_path / "out").exists()


def test_a_table_of_anomalies_names_every_method(thyroid, program, tmp_path):
    command = ["reproduce", "anomaly", "--data", "thyroid", "--methods", "knn@standard,isolation-forest", "--runs", 1]
    result = program(*command, "--jobs", 1, "--out", tmp_path / "out")
    assert result.returncode == 0
    assert all(word in result.stdout for word in ("knn@standard", "isolation-forest", "selection-thyroid-asinh"))
    assert (tmp_path / "out" / "runs.csv").is_file()


@pytest.fixture
def images(tmp_path) -> Path:
    write_ellipses(tmp_path / "shapes.zip", 700, size=16)
    prepare_images(tmp_path / "shapes.zip", tmp_path / "shapes.npy", size=16)
    return tmp_path / "shapes.npy"


def test_isometry_goes_on_restarts_and_reports(program, images, tmp_path):
    out = tmp_path / "out"
    command = [
        "reproduce",
        "isometry",
        "--images",
        images,
        "--out",
        out,
        "--metric",
        "mse",
        "--model",
        "beta-vae-plain",
    ]
    result = program(*command, "--steps", 2)
    assert result.returncode == 0
    assert "mse-beta-vae-plain" in result.stdout
    assert (out / "samples" / "mse-beta-vae-plain.png").is_file()
    assert refused(program(*command, "--steps", 3), "settings")
    assert program(*command, "--steps", 3, "--restart", "--quiet") == (0, "", "")
    assert program(*command, "--steps", 3, "--report-only").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--metric", "mae"), "metric among mse, ssim; got 'mae'"),
        (("--model", "vae"), "model among recommended"),
        (("--size", "huge"), "--size small or paper; got 'huge'"),
        (("--precision", "fp8"), "--precision fp32 or bf16; got 'fp8'"),
    ],
)
def test_mistakes_about_isometry_end_in_one_line(program, tmp_path, arguments, message):
    out = tmp_path / "out"
    result = program("reproduce", "isometry", "--images", tmp_path / "shapes.npy", "--out", out, *arguments)
    assert refused(result, message)
    assert not out.exists()
