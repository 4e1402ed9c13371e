"""The benchmark for a GPU, with small networks on a CPU."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_it_measures_and_trains_within_its_budget(tmp_path: Path) -> None:
    start = time.monotonic()
    options = ["--smoke", "--device", "cpu", "--budget", "100", "--speed-share", ".5", "--seconds", "3"]
    subprocess.run([sys.executable, BENCHMARK, "--out", tmp_path, *options], check=True)
    assert time.monotonic() - start < 100
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["bars"]["pictures_per_second"]["measured"] > 0
    assert result["machine"]["machine"]["gradient_error_fp32"] < 1e-5
    row = result["training"]["mse-radogaga"]
    assert len(row["curve"]["validation_reconstruction"]) == len(row["curve"]["seconds"])
    assert (tmp_path / "mse-radogaga-aligned.npz").is_file()


@pytest.mark.slow
def test_what_fails_is_written_down(tmp_path: Path) -> None:
    """Here nothing can be measured, as there is no such device."""
    command = [sys.executable, BENCHMARK, "--out", tmp_path, "--smoke", "--device", "meta", "--budget", "40"]
    assert subprocess.run(command, check=False).returncode == 1
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert all("error" in entry for section in ("speed", "training") for entry in result[section].values())
    assert result["training"]
