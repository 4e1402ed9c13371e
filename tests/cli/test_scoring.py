"""fit and score of tables in many files on the command line, and a run that is killed in its midst."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest

from mixed_table import mixed
from program_results import refused
from radogaga import RaDOGAGA, TabularModel


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted") / "model"
    fitted = RaDOGAGA(max_steps=5, random_state=0).fit(mixed(300))
    replace(fitted.model_, id_column="id").save(folder)
    return folder


def write_parts(folder, parts: int, rows: int) -> None:
    folder.mkdir()
    frame = mixed(parts * rows, seed=1).assign(id=[f"c{i}" for i in range(parts * rows)])
    for i in range(parts):
        frame[i * rows : (i + 1) * rows].to_parquet(folder / f"part-{i:03}.parquet", index=False)


@pytest.fixture
def big(tmp_path):
    write_parts(tmp_path / "big", 4, 60)
    return tmp_path / "big"


def ids(out) -> list[str]:
    return [one for path in sorted(out.glob("*.parquet")) for one in pd.read_parquet(path)["id"]]


def test_fit_draws_rows_of_many_files_and_says_so(program, tmp_path, big):
    result = program("fit", f"{big}/*.parquet", "--out", tmp_path / "m", "--id", "id", "--rows", 100, "--max-steps", 0)
    assert result.returncode == 0
    assert "learned from 100 of 240 rows, drawn uniformly" in result.stderr
    assert "100 rows" in result.stdout
    fitted = TabularModel.load(tmp_path / "m")
    result = program("fit", big, "--out", tmp_path / "m", "--id", "id", "--max-steps", 0)
    assert result.returncode == 0
    assert "drawn" not in result.stderr
    assert "240 rows" in result.stdout
    assert fitted.calibration.scores.tolist() != TabularModel.load(tmp_path / "m").calibration.scores.tolist()


def test_all_rows_of_many_files_give_the_model_of_one(program, tmp_path, big):
    options = ("--id", "id", "--max-steps", 5, "--quiet")
    pd.concat(map(pd.read_parquet, sorted(big.iterdir()))).to_parquet(tmp_path / "one.parquet", index=False)
    assert program("fit", big, "--out", tmp_path / "many", *options).returncode == 0
    assert program("fit", tmp_path / "one.parquet", "--out", tmp_path / "one", *options).returncode == 0
    names = ("model.json", "model.safetensors")
    assert all((tmp_path / "many" / name).read_bytes() == (tmp_path / "one" / name).read_bytes() for name in names)


def test_parts_are_scored_to_a_folder_once(program, tmp_path, big, model):
    score = ("score", model, f"{big}/part-*.parquet", "--out", tmp_path / "out")
    result = program(*score)
    assert result.returncode == 0
    assert "240 rows" in result.stdout
    assert "in 4 of 4 files" in result.stdout
    assert "4 of them by an earlier run" in program(*score).stdout
    assert "earlier" not in program(*score, "--force").stdout
    assert program(*score, "--quiet").stdout == ""
    assert ids(tmp_path / "out") == [f"c{i}" for i in range(240)]


def test_bad_files_are_named_the_others_finished_and_the_status_is_2(program, tmp_path, big, model):
    (big / "part-001.parquet").write_bytes(b"PAR1 and nothing more")
    pd.read_parquet(big / "part-002.parquet").drop(columns=["age"]).to_parquet(big / "part-002.parquet")
    score = ("score", model, big, "--out", tmp_path / "out")
    for options in ((), ("--skip-bad",)):
        result = program(*score, *options)
        assert result.returncode == (0 if options else 2)
        notes = [line for line in result.stderr.splitlines() if line.startswith("radogaga: note: part-")]
        assert ["cannot be read" in notes[0], "'age' is missing" in notes[1]] == [True, True]
        assert "in 2 of 4 files" in result.stdout
    assert ids(tmp_path / "out") == [f"c{i}" for i in (*range(60), *range(180, 240))]
    fit = ("fit", big, "--out", tmp_path / "m", "--id", "id", "--max-steps", 0)
    result = program(*fit)
    assert result.returncode == 2
    assert "2 cannot: 'part-001.parquet', 'part-002.parquet'" in result.stderr
    assert not (tmp_path / "m").exists()
    assert program(*fit, "--skip-bad").returncode == 0


def test_what_cannot_be_is_refused(program, tmp_path, big, model):
    score = ("score", model, f"{big}/*.parquet", "--out")
    assert refused(program(*score, tmp_path / "out", "--fdr", 0.1), "--fdr", "many")
    assert refused(program("score", model, big / "part-000.parquet", "--out", "s.csv", "--workers", 2), "many files")
    assert refused(program(*score, big), "some parts are in")
    assert refused(program(*score, model), "something else")
    assert refused(program("score", model, f"{big}/*.csv", "--out", tmp_path / "out"), "there are none")
    assert refused(program("score", model, "nothing://bucket/*.csv", "--out", tmp_path / "out"), "cannot be listed")


@pytest.mark.slow
def test_after_a_kill_nothing_is_lost_and_nothing_there_twice(tmp_path, model):
    write_parts(tmp_path / "big", 12, 5_000)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "radogaga", "score", str(model), str(tmp_path / "big"), "--out", str(out)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(list(out.glob("*.parquet"))) < 3 and time.monotonic() < until and running.poll() is None:
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    whole = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    assert 3 <= len(whole) < 12
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "60,000 rows" in result.stdout
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    # The last one may have been in its place before the manifest said so.
    assert sum(after[name] != time for name, time in whole.items()) <= 1
    assert ids(out) == [f"c{i}" for i in range(60_000)]
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
