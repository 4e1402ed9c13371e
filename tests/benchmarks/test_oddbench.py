"""The benchmark on ODDBench's tables, on generated ones."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import oddbench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    (tmp_path / "oddbench_dev").mkdir()
    for name in "dbeca":
        test = np.r_[random.normal(size=(40, 2)), random.normal(size=(10, 2)) + 9]
        labels = np.repeat([0, 1], [40, 10]).astype(np.int8)
        rows = {"train": random.normal(size=(60, 2)), "test": test, "test_labels": labels}
        np.savez(tmp_path / "oddbench_dev" / f"{name}.npz", **rows)
    return tmp_path / "oddbench_dev"


def test_the_halves_part_the_tables_and_choosing_has_the_first(folder: Path) -> None:
    choosing, checking = ([path.stem for path in oddbench.tables(folder, half)] for half in ("choosing", "checking"))
    assert choosing == ["a", "c", "e"]
    assert checking == ["b", "d"]


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=str(tmp_path)):
        oddbench.tables(tmp_path, "checking")


def test_a_second_call_fits_nothing_and_writes_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = ["--out", str(out), "--data", str(folder), "--methods", "knn,mean_squared_distance"]
    monkeypatch.setattr(sys, "argv", ["oddbench.py", *options])
    oddbench.main()
    first = (out / "result.json").read_text()
    monkeypatch.setattr(oddbench, "measure", lambda *_: pytest.fail("a kept run was run again"))
    oddbench.main()
    assert (out / "result.json").read_text() == first
    rows = json.loads(first)["rows"]
    assert [row["auroc"] for row in rows] == [1.0] * 6  # two methods, and two tables of each
