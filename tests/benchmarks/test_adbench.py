"""The protocols on ADBench's tables, on generated ones."""

from pathlib import Path

import numpy as np
import pytest

import adbench


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "7_Small.npz"
    anomaly = np.arange(100) % 10 == 0
    np.savez(path, X=np.arange(100.0)[:, None] + 1000 * anomaly[:, None], y=anomaly.astype(int))
    return path


def test_clean_tables_have_no_row_on_both_sides(table: Path) -> None:
    train, test, anomaly = adbench.split(table, "one-class", True, 0)
    assert len(train) == 45
    assert len(np.unique(np.r_[train, test])) == 100
    assert anomaly.sum() == 10
    assert not (train >= 1000).any()
    assert ((test >= 1000)[:, 0] == anomaly).all()


def test_small_tables_are_drawn_to_a_thousand_rows_as_published(table: Path) -> None:
    train, test, anomaly = adbench.split(table, "one-class", False, 0)
    assert len(train) + len(test) == 1000
    assert len(train) == (1000 - anomaly.sum()) // 2
    assert np.isin(test, train).any()
    assert not (train >= 1000).any()


def test_without_supervision_all_rows_are_tested(table: Path) -> None:
    train, test, anomaly = adbench.split(table, "unsupervised", False, 0)
    assert len(train) == len(test) == 1000
    assert np.isin(train, test).all()
    assert not np.array_equal(np.sort(train, 0), np.sort(test, 0))
    train, test, anomaly = adbench.split(table, "unsupervised", True, 0)
    assert (train == test).all()
    assert anomaly.sum() == 10


def test_published_figures_are_found_by_name_whatever_its_case(tmp_path: Path) -> None:
    for file, figure in (("published_auroc.csv", 0.9), ("published_auprc.csv", 0.5)):
        (tmp_path / file).write_text(f"table,DTE-NP\nsmall,{figure}\nother,0.1\n")
    rows = adbench.published(tmp_path, "one-class", {"Small"})
    assert rows == [{"table": "Small", "method": "DTE-NP", "auroc": 0.9, "auprc": 0.5}]


def test_every_table_has_a_checksum_and_a_name_of_its_own() -> None:
    lines = [line.split() for line in adbench.CHECKSUMS.read_text().splitlines()]
    assert len({adbench.table_name(Path(name)).lower() for name, _ in lines}) == len(lines) == 43
    assert all(len(checksum) == 64 for _, checksum in lines)
