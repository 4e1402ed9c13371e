"""The number of workers changes the time that a training takes, and nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import distributed_cases
from distributed_cases import CASES, STEPS, rate_distortion, train
from radogaga import InputError
from radogaga.method.training.checkpoint import checkpoint_step
from radogaga.method.training.distributed import map_over_workers, random_rows, sharing

WORKERS = 2


def run(folder: Path, workers: int, cases: list[str]) -> None:
    torch.multiprocessing.spawn(distributed_cases.work, (workers, folder, cases), nprocs=workers)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """What two workers end with."""
    folder = tmp_path_factory.mktemp("shared")
    run(folder, WORKERS, list(CASES))
    return folder


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        bar = 1e-5 if name == "curve" else 1e-10  # the curve is summed up in float32
        assert torch.allclose(found[name].double(), value.double(), rtol=bar, atol=bar), name


@pytest.mark.parametrize("name", CASES)
def test_two_workers_end_with_the_parameters_of_one(shared, tmp_path, name):
    alone = CASES[name](tmp_path)
    first, second = (load_file(shared / f"{name}-{rank}") for rank in range(WORKERS))
    assert_close(first, alone)
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def test_the_law_can_fail():
    one, other = (train(rate_distortion(), seed=seed) for seed in (0, 1))
    with pytest.raises(AssertionError):
        assert_close(one, other)


def test_a_checkpoint_goes_on_under_another_number_of_workers(shared, tmp_path):
    place = tmp_path / "checkpoint"
    shutil.copy(shared / "checkpoint", place)
    assert checkpoint_step(place) == STEPS
    further = {"steps": 2 * STEPS, "schedule": "constant"}
    found = train(rate_distortion(dropout=0.3), checkpoint=place, **further)
    train(rate_distortion(dropout=0.3), checkpoint=tmp_path / "alone")
    expected = train(rate_distortion(dropout=0.3), checkpoint=tmp_path / "alone", **further)
    assert_close(found, expected)


def test_alone_a_batch_is_whole_and_random_numbers_are_torchs():
    z = torch.zeros(5, 2)
    with sharing(5) as share:
        torch.manual_seed(0)
        found = random_rows(torch.randn_like, z)
    torch.manual_seed(0)
    assert (share.rows, share.weight) == (slice(0, 5), 1.0)
    assert torch.equal(found, torch.randn_like(z))
    assert list(map_over_workers(abs, [-1, 2])) == [1, 2]


def test_a_batch_of_fewer_rows_than_workers_is_an_input_error(monkeypatch):
    monkeypatch.setattr("radogaga.method.training.distributed.world_size", lambda: 8)
    with pytest.raises(InputError, match="got 7 for 8"), sharing(7):
        pass


@pytest.mark.slow
def test_torchrun_fits_a_table_and_one_worker_writes(tmp_path):
    frame = pytest.importorskip("pandas").DataFrame(torch.randn(400, 3).numpy(), columns=list("abc"))
    for i in range(4):
        frame[100 * i : 100 * i + 100].to_parquet(tmp_path / f"{i}.parquet")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "radogaga"]
    command += ["fit", str(tmp_path), "--out", str(tmp_path / "model"), "--max-steps", "20"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("400 rows") == 1
    assert (tmp_path / "model" / "model.json").is_file()
