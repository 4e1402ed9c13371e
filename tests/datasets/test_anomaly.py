from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import savemat

from public_data import public_data
from radogaga import InputError
from radogaga.datasets.anomaly import KDD_COLUMNS, ONE_HOT, Anomalies, load, read_kddcup, read_mat, reverse, split
from radogaga.datasets.fetch import FILES

each_form = pytest.mark.parametrize("columns", ONE_HOT)


# Small files of the same make


def small_mat(path: Path, rows: int = 60, columns: int = 6, **changes: object) -> Path:
    content = {"X": np.random.default_rng(0).random((rows, columns)), "y": np.arange(rows)[:, None] % 10 == 0}
    savemat(path, content | changes)
    return path


def kdd_table(rows: int = 200) -> pd.DataFrame:
    """Rows with as many categories as the real file has, a fifth of them normal, in no order."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.integers(0, 100, rows) for name in KDD_COLUMNS})
    sizes = {"service": 66, "flag": 11, "protocol_type": 3, "land": 2, "logged_in": 2, "is_guest_login": 2}
    for name, size in sizes.items():
        table[name] = rng.permutation(np.arange(rows) % size)
    table[["service", "flag", "protocol_type"]] = "v" + table[["service", "flag", "protocol_type"]].astype(str)
    table["is_host_login"] = 0
    table["same_srv_rate"] = rng.random(rows).round(2)
    table["label"] = rng.permutation(np.where(np.arange(rows) % 5 == 0, "normal.", "smurf."))
    return table


def written(table: pd.DataFrame, folder: Path) -> Path:
    path = folder / "kddcup.data_10_percent.gz"
    table.to_csv(path, header=False, index=False)
    return path


@pytest.fixture
def small_kddcup(tmp_path: Path) -> Anomalies:
    return read_kddcup(written(kdd_table(), tmp_path))


@pytest.fixture
def small_thyroid(tmp_path: Path) -> Anomalies:
    return read_mat(small_mat(tmp_path / "small.mat"), columns=6, rho=0.1)


# The real files, where there are any


@pytest.fixture(scope="module")
def data_home() -> Iterator[Path]:
    home = public_data(*(FILES[name].path for name in ("thyroid", "arrhythmia", "kddcup")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RADOGAGA_DATA", str(home))
        yield home


@pytest.fixture(scope="module")
def kddcup(data_home: Path) -> Anomalies:
    return load("kddcup")


@pytest.fixture(params=["thyroid", "arrhythmia", "kddcup", "kddcup-rev", "small thyroid", "small kddcup"])
def data(request: pytest.FixtureRequest) -> Anomalies:
    """Every set, as real and as small."""
    name = request.param
    if name.startswith("small"):
        return request.getfixturevalue(name.replace(" ", "_"))
    if name.startswith("kddcup"):
        kddcup = request.getfixturevalue("kddcup")
        return kddcup if name == "kddcup" else reverse(kddcup, seed=0)
    request.getfixturevalue("data_home")
    return load(name)


def test_sets_hold_what_their_class_says(data: Anomalies) -> None:
    assert data.x.dtype == torch.float32
    assert data.y.dtype == bool
    assert data.x.shape == (len(data.y), len(data.columns))
    assert len(set(data.columns)) == len(data.columns)
    assert 0 < data.y.mean() < 0.5


COUNTS = {
    "thyroid": (3_772, 6, 93, 0.025),
    "arrhythmia": (452, 274, 66, 0.15),
    "kddcup": (494_021, 121, 97_278, 0.20),
    "kddcup-rev": (97_278 + 24_319, 121, 24_319, 0.20),
}


@pytest.mark.parametrize("data", COUNTS, indirect=True)
def test_real_sets_have_the_known_counts(data: Anomalies, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["data"]
    assert (*data.x.shape, data.y.sum(), data.rho) == COUNTS[name]


def test_kddcups_values_are_the_files(kddcup: Anomalies, data_home: Path) -> None:
    """Against other readings of the same file: python's own, and what is known of it."""
    sums = dict(zip(kddcup.columns, kddcup.x.sum(0, dtype=torch.float64).tolist(), strict=True))
    assert sums["protocol_type=icmp"] == 283_602
    assert sums["protocol_type=tcp"] + sums["protocol_type=udp"] == 494_021 - 283_602
    assert sums["num_outbound_cmds"] == 0
    assert sums["is_host_login=0"] == 494_021
    raw = pd.read_csv(data_home / FILES["kddcup"].path, header=None, names=KDD_COLUMNS, nrows=2000, dtype=str)
    assert_reads_back(replace(kddcup, x=kddcup.x[:2000], y=kddcup.y[:2000]), raw)


# One-hot


def assert_reads_back(data: Anomalies, table: pd.DataFrame) -> None:
    """Each value of the table is where its column's name says, and so is the label."""
    numbers = pd.DataFrame(data.x.numpy(), columns=data.columns)
    for column in table.columns.drop("label"):
        block = numbers.filter(regex=f"^{column}=")
        if block.shape[1]:
            np.testing.assert_array_equal(block.sum(axis=1), 1)
            found = block.idxmax(axis=1).str.removeprefix(f"{column}=")
            assert found.tolist() == table[column].astype(str).tolist()
        elif column in numbers:
            np.testing.assert_array_equal(numbers[column], table[column].astype(np.float32))
    assert data.y.tolist() == (table["label"] == "normal.").tolist()


@each_form
def test_each_form_reads_back(tmp_path: Path, columns: int) -> None:
    table = kdd_table()
    data = read_kddcup(written(table, tmp_path), columns=columns)
    assert data.x.shape == (len(table), columns)
    assert_reads_back(data, table)
    one_hot = {name.split("=")[0] for name in data.columns if "=" in name}
    assert one_hot == set(ONE_HOT[columns])
    absent = set(KDD_COLUMNS) - {"label"} - {name.split("=")[0] for name in data.columns}
    assert absent == ({"is_host_login"} if columns == 120 else set())


@pytest.mark.parametrize("columns", [120, 118])
def test_real_kddcup_has_the_other_forms_too(kddcup: Anomalies, columns: int) -> None:
    data = load("kddcup", columns=columns)
    assert data.x.shape == (494_021, columns)
    shared = [name for name in data.columns if name in kddcup.columns]
    assert len(shared) == {120: 120, 118: 114}[columns]
    sums = [dict(zip(d.columns, d.x[::100].sum(0).tolist(), strict=True)) for d in (data, kddcup)]
    assert all(sums[0][name] == sums[1][name] for name in shared)


def test_one_hot_blocks_of_the_real_file_sum_to_one(kddcup: Anomalies) -> None:
    for column in ONE_HOT[121]:
        block = [i for i, name in enumerate(kddcup.columns) if name.startswith(f"{column}=")]
        assert (kddcup.x[:, block].sum(1) == 1).all(), column


# KDDCup-rev


def numbered(data: Anomalies) -> Anomalies:
    """The same labels, with the rows' numbers as rows."""
    return replace(data, x=torch.arange(len(data.y))[:, None])


@pytest.fixture(params=["kddcup", "small_kddcup"])
def forward(request: pytest.FixtureRequest) -> Anomalies:
    """KDDCup, with the rows' numbers as rows."""
    return numbered(request.getfixturevalue(request.param))


def test_kddcup_rev_keeps_normal_traffic_and_a_quarter_of_attacks(forward: Anomalies) -> None:
    backward = reverse(forward, seed=0)
    rows = backward.x[:, 0].numpy()
    assert len(np.unique(rows)) == len(rows)
    np.testing.assert_array_equal(backward.y, ~forward.y[rows])
    assert (~backward.y).sum() == forward.y.sum()
    assert backward.y.sum() == forward.y.sum() // 4
    assert backward.rho == 0.20


def test_kddcup_rev_is_told_by_its_seed(forward: Anomalies) -> None:
    one, same, other = (reverse(forward, seed) for seed in (1, 1, 2))
    assert torch.equal(one.x, same.x)
    assert not torch.equal(one.x, other.x)


def test_kddcup_rev_takes_attacks_from_everywhere(kddcup: Anomalies) -> None:
    attacks = np.flatnonzero(~kddcup.y)
    backward = reverse(numbered(kddcup), seed=0)
    places = np.searchsorted(attacks, backward.x[:, 0].numpy()[backward.y]) / len(attacks)
    assert np.histogram(places, 10, (0, 1))[0] / len(places) == pytest.approx([0.1] * 10, abs=0.01)


def test_too_few_attacks_are_refused(small_kddcup: Anomalies) -> None:
    with pytest.raises(InputError, match=r"at least 50 attacks.*got 0"):
        reverse(replace(small_kddcup, y=np.ones(200, bool)), seed=0)


def test_load_takes_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kddcup99").mkdir()
    forward = read_kddcup(written(kdd_table(), tmp_path / "kddcup99"), columns=118)
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))
    backward = load("kddcup-rev", seed=3, columns=118)
    assert torch.equal(backward.x, reverse(forward, 3).x)
    assert not torch.equal(backward.x, load("kddcup-rev", seed=4, columns=118).x)


# Halves


def test_training_rows_are_normal(data: Anomalies) -> None:
    rows = split(numbered(data), seed=0).train_x[:, 0].numpy()
    assert not data.y[rows].any()


def test_halves_are_disjoint_and_complete(data: Anomalies) -> None:
    halves = split(numbered(data), seed=0)
    train, test = (x[:, 0].numpy() for x in (halves.train_x, halves.test_x))
    times = np.bincount(np.concatenate([train, test]), minlength=len(data.y))
    assert times.max() == 1
    assert data.y[times == 0].all(), "a normal row is in neither half"
    assert len(test) == (len(data.y) + 1) // 2
    np.testing.assert_array_equal(halves.test_y, data.y[test])


def test_halves_are_the_sets_rows(small_kddcup: Anomalies) -> None:
    rows, by_number = split(small_kddcup, seed=5), split(numbered(small_kddcup), seed=5)
    assert torch.equal(rows.train_x, small_kddcup.x[by_number.train_x[:, 0]])
    assert torch.equal(rows.test_x, small_kddcup.x[by_number.test_x[:, 0]])


def test_each_row_is_tested_in_half_of_the_runs(small_thyroid: Anomalies) -> None:
    tested = np.zeros(len(small_thyroid.y))
    for seed in range(400):
        tested[split(numbered(small_thyroid), seed).test_x[:, 0].numpy()] += 1 / 400
    assert tested == pytest.approx(np.full(len(tested), 0.5), abs=0.12)


def test_same_seed_makes_the_same_halves(data: Anomalies) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, same, other = (split(numbered(data), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.equal(one.train_x, same.train_x)
    assert torch.equal(one.test_x, same.test_x)
    np.testing.assert_array_equal(one.test_y, same.test_y)
    assert not torch.equal(one.test_x, other.test_x)


# Files that are not what they should be


def test_what_was_written_to_a_mat_file_is_read(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(9, 3))
    data = read_mat(small_mat(tmp_path / "a.mat", 9, 3, X=x), columns=3, rho=0.1)
    np.testing.assert_array_equal(data.x, x.astype(np.float32))
    assert data.y.tolist() == [True] + [False] * 8
    assert data.columns == ["x0", "x1", "x2"]


SPOILED_MATS: dict[str, tuple[dict[str, object], str]] = {
    "other columns": ({"X": np.ones((60, 5))}, "Expected 6 columns.*got 5"),
    "a missing number": ({"X": np.full((60, 6), np.nan)}, "nan in row 0, column 0"),
    "text": ({"X": np.array([["a", "b"]], dtype=object)}, "numbers in X"),
    "three dimensions": ({"X": np.ones((60, 6, 2))}, "rows and columns"),
    "labels of another length": ({"y": np.ones(59)}, "60 zeros and ones"),
    "labels of other values": ({"y": np.full(60, 2)}, "60 zeros and ones"),
    "labels of text": ({"y": "abc"}, "60 zeros and ones"),
    "a record for labels": ({"y": {"a": 1}}, "y of"),
}


@pytest.mark.parametrize(("changes", "message"), SPOILED_MATS.values(), ids=SPOILED_MATS)
def test_a_mat_file_of_something_else_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = small_mat(tmp_path / "small.mat", **changes)
    with pytest.raises(InputError, match=message):
        read_mat(path, columns=6, rho=0.1)


@pytest.mark.parametrize("absent", ["X", "y"])
def test_a_mat_file_without_rows_or_labels_is_refused(tmp_path: Path, absent: str) -> None:
    savemat(tmp_path / "a.mat", {"z": np.ones(3), **({"X": np.ones((3, 6))} if absent == "y" else {"y": np.ones(3)})})
    with pytest.raises(InputError, match=f"X and y at .*a.mat.*{absent}"):
        read_mat(tmp_path / "a.mat", columns=6, rho=0.1)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_mat_file_is_refused(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"X": np.random.default_rng(0).random((8, 6)), "y": np.arange(8)}, do_compression=compressed)
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"a\.mat"):
            read_mat(path, columns=6, rho=0.1)


def with_value(value: object, row: int, column: str) -> pd.DataFrame:
    table = kdd_table().astype(object)
    table.at[row, column] = value
    return table


SPOILED_KDD: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "a column too few": (lambda: kdd_table().iloc[:, 1:], "it has 41 columns and not 42"),
    "a column too many": (lambda: kdd_table().assign(more=1), "it has 43 columns and not 42"),
    "text for a number": (lambda: with_value("many", 150, "count"), "many"),
    "no number": (lambda: with_value("", 150, "count"), "damaged or another file"),
    "nan": (lambda: with_value("nan", 150, "count"), "kddcup"),
    "an infinite number": (lambda: with_value("inf", 150, "count"), "inf in row 150"),
    "no label": (lambda: with_value("", 150, "label"), "label ''"),
    "a foreign label": (lambda: with_value("normal", 150, "label"), "label 'normal'"),
    "other categories": (lambda: with_value("quic", 150, "protocol_type"), "122 columns and not 121"),
    "few rows": (lambda: kdd_table().iloc[:5], "columns and not 121"),
}


@pytest.mark.parametrize(("spoiled", "message"), SPOILED_KDD.values(), ids=SPOILED_KDD)
def test_a_table_that_is_not_kddcup_is_refused(tmp_path: Path, spoiled, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_kddcup(written(spoiled(), tmp_path))


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    path = written(kdd_table(), tmp_path)
    content = path.read_bytes()
    median = len(content) // 2
    spoiled = [b"", b"1,2,3\n", bytes(range(256)), content[:median], content[:-4]]
    spoiled += [content[:median] + bytes(50) + content[median + 50 :], content[:-8] + bytes(8)]
    for damaged in spoiled:
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"Expected the ten percent file .* damaged or another file"):
            read_kddcup(path)


def test_a_missing_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"a\.mat; there is no such file"):
        read_mat(tmp_path / "a.mat", columns=6, rho=0.1)
    with pytest.raises(InputError, match=r"a\.gz; there is no such file"):
        read_kddcup(tmp_path / "a.gz")
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))
    for name in COUNTS:
        with pytest.raises(InputError, match="RADOGAGA_DATA"):
            load(name)


def test_unknown_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="thyroid, arrhythmia, kddcup, kddcup-rev; got 'toy'"):
        load("toy")
    with pytest.raises(InputError, match="121, 120 or 118 columns; got 119"):
        read_kddcup(tmp_path / "a.gz", columns=119)
