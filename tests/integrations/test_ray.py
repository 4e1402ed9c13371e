"""Ray gives the files and figures of one machine, whatever dies on the way."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import distributed_cases
from mixed_table import mixed
from radogaga import InputError, RaDOGAGA
from radogaga.integrations.ray import cluster, fit, map_on, processors, score, train
from radogaga.method.training.checkpoint import checkpoint_step
from radogaga.tabular.files.parts import find_parts
from radogaga.tabular.files.sampling import sample_rows
from radogaga.tabular.part_scoring import score_parts

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="needs pip install 'radogaga[cluster]'"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Ray's, on its own account
]


@pytest.fixture(scope="module")
def model():
    return RaDOGAGA(max_steps=5, random_state=0).fit(mixed(300)).model_


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("rows") / "big", 5, 40)


def write_parts(folder: Path, parts: int, rows: int) -> Path:
    folder.mkdir()
    frame = mixed(parts * rows, seed=1).assign(id=[f"c{i}" for i in range(parts * rows)])
    for i in range(parts):
        frame[i * rows : (i + 1) * rows].to_parquet(folder / f"{i:03}.parquet", index=False)
    return folder


@pytest.fixture(scope="module", autouse=True)
def ray():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(Path(distributed_cases.__file__).parent))  # for the workers
        with cluster():
            import ray.data  # only now, as it decides then who may reach it

            yield ray


def test_it_is_reached_from_this_machine_alone(ray):
    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}


def test_parts_have_the_files_and_the_manifest_of_one_machine(model, big, tmp_path):
    here = score_parts(model, find_parts(big), tmp_path / "here", id_column="id", reasons=2)
    there = score_parts(model, find_parts(big), tmp_path / "there", id_column="id", reasons=2, map_parts=map_on(2))
    assert here == there
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == names
    for name in names[:-1]:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    lines = [sorted((tmp_path / place / "manifest.jsonl").read_text().splitlines()) for place in ("here", "there")]
    assert lines[0] == lines[1]
    assert score_parts(model, find_parts(big), tmp_path / "there", id_column="id", reasons=2).before == 5


@pytest.mark.slow
def test_bad_parts_are_named_and_the_others_finished(model, tmp_path):
    big = write_parts(tmp_path / "big", 3, 20)
    (big / "001.parquet").write_bytes(b"PAR1")
    done = score_parts(model, find_parts(big), tmp_path / "out", map_parts=map_on(1))
    assert (list(done.bad), done.rows) == (["001.parquet"], 40)


@pytest.mark.slow
def test_a_sample_is_that_of_one_machine(big):
    here, there = sample_rows(find_parts(big), 60), sample_rows(find_parts(big), 60, map_parts=map_on(2), groups=2)
    assert here.frame().equals(there.frame())


@pytest.mark.slow
def test_a_data_set_is_scored(ray, model, big):
    scored = score(ray.data.read_parquet(str(big)), model, workers=1, reasons=1).to_pandas()
    rows = mixed(200, seed=1)
    assert list(scored) == [*rows, "id", "score", "p_value", "alarm", "reason_1"]
    scored = scored.set_index("id").loc[[f"c{i}" for i in range(200)]]
    assert np.allclose(scored["score"], model.score(rows), rtol=1e-9)
    assert scored["alarm"].sum() == (model.predict(rows) == -1).sum()


@pytest.mark.slow
def test_a_model_is_fitted_to_a_sample_of_a_data_set(ray, big):
    model = fit(ray.data.read_parquet(str(big)).drop_columns(["id"]), rows=100, max_steps=0)
    assert 60 < len(model.calibration.scores) <= 100
    assert np.isfinite(model.score(mixed(20))).all()


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_an_input_error():
    assert processors() >= 1
    command = "from radogaga.integrations.ray import cluster\nwith cluster('127.0.0.1:1'): pass"
    ended = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines()[-1].startswith("radogaga.errors.InputError: Expected a Ray cluster at 127.0.0.1:1")


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("radogaga.integrations.ray.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'radogaga\[cluster\]'"), cluster():
        pass


# -- kills --------------------------------------------------------------------------------------------------------


def started_by(process: int) -> dict[int, str]:
    """Return the processes that one has started, directly or not, and their command lines (Linux)."""
    parents, commands = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(place.name)] = (place / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    found, level = {}, {process}
    while level := {child for child, parent in parents.items() if parent in level}:
        found |= {child: commands[child] for child in level if child in commands}
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes under /proc")
@pytest.mark.parametrize("who", ["worker", "driver"])
def test_after_a_kill_nothing_is_lost_and_nothing_there_twice(model, tmp_path, who):
    model.save(tmp_path / "model")
    big, out = write_parts(tmp_path / "big", 16, 4000), tmp_path / "out"
    command = [sys.executable, "-m", "radogaga", "score", str(tmp_path / "model"), str(big), "--id", "id"]
    command += ["--out", str(out), "--workers", "2"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(list(out.glob("*.parquet"))) < 2 and time.monotonic() < until and running.poll() is None:
        time.sleep(0.01)
    started = started_by(running.pid)
    workers = [process for process, line in started.items() if line.startswith("ray::MapWorker")]
    assert len(workers) == 2
    whole = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    assert 2 <= len(whole) < 16
    if who == "worker":
        os.kill(workers[0], signal.SIGKILL)
        assert running.wait(timeout=300) == 0
    else:
        os.kill(running.pid, signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        until = time.monotonic() + 60
        while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < until:
            time.sleep(0.1)
        assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    ids = [one for path in sorted(out.glob("*.parquet")) for one in pd.read_parquet(path)["id"]]
    assert ids == [f"c{i}" for i in range(64_000)]
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    # Each of the two workers may have had one in its place before the manifest said so.
    assert sum(after[name] != time for name, time in whole.items()) <= 2
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


DRIVER = """
import os, sys
from functools import partial
from pathlib import Path
import distributed_cases
from radogaga.integrations.ray import cluster, train
with cluster():
    train(partial(distributed_cases.train_and_kill, Path(sys.argv[1]), 1, os.getpid()), workers=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("who", ["first worker", "second worker", "driver"])
def test_training_goes_on_from_its_checkpoint_after_a_kill(ray, tmp_path, who):
    if who == "driver":
        command = [sys.executable, "-c", DRIVER, str(tmp_path)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert checkpoint_step(tmp_path / "checkpoint") == 5
        subprocess.run(command, check=True)
    else:
        train(partial(distributed_cases.train_and_kill, tmp_path, int(who == "second worker")), workers=2)
    assert (tmp_path / "killed").is_file()
    found = load_file(tmp_path / "trained")
    for name, value in distributed_cases.train(distributed_cases.rate_distortion(dropout=0.3)).items():
        bar = 1e-5 if name == "curve" else 1e-10  # the curve is summed up in float32
        assert torch.allclose(found[name if name == "curve" else f"objective.{name}"], value, rtol=bar, atol=bar), name


def fail() -> None:
    raise InputError("Expected rows; got none.")


@pytest.mark.slow
def test_the_users_mistakes_in_workers_are_told_as_they_are(ray):
    with pytest.raises(InputError, match=r"^Expected rows; got none.$"):
        train(fail, workers=1, retries=0)
