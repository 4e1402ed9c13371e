import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy.stats import chisquare

from mixed_table import mixed
from radogaga import InputError
from radogaga.tabular.files.parts import find_parts
from radogaga.tabular.files.sampling import RowSample, Sampler, sample_rows


@pytest.fixture
def parts(tmp_path):
    """Five parts of unequal sizes, 1,000 rows in all, one of them of several row groups."""
    frame = pd.DataFrame({"a": np.arange(1000), "b": np.arange(1000) % 7})
    for i, (start, end) in enumerate([(0, 3), (3, 400), (400, 400), (400, 990), (990, 1000)]):
        parquet.write_table(pa.Table.from_pandas(frame[start:end]), tmp_path / f"{i}.parquet", row_group_size=100)
    return find_parts(tmp_path)


def test_every_row_is_as_probable_as_any_other(parts):
    drawn = np.concatenate([sample_rows(parts, 50, seed=seed).frame()["a"] for seed in range(100)])
    counts = np.bincount(drawn, minlength=1000)
    assert counts.sum() == 5000
    assert chisquare(counts.reshape(50, 20).sum(1)).pvalue > 0.001
    assert counts.max() <= 20


def test_no_row_comes_twice_and_rows_keep_their_order(parts):
    sample = sample_rows(parts, 300)
    assert sample.seen == 1000
    assert sample.frame()["a"].is_monotonic_increasing
    assert sample.frame()["a"].is_unique
    assert len(sample.frame()) == 300


@pytest.mark.parametrize("size", [1000, 5000])
def test_of_fewer_rows_all_are_taken(parts, size):
    assert sample_rows(parts, size).frame()["a"].tolist() == list(range(1000))


@pytest.mark.parametrize("size", [1, 20, 700])
def test_samples_of_parts_add_up_to_that_of_all_in_any_order(parts, size):
    whole = sample_rows(parts, size, seed=3)
    sampler, numbered = Sampler.of_first(parts, size, seed=3), list(enumerate(parts))
    groups = [sampler(group) for group in (numbered[3:], numbered[:1], numbered[1:3])]
    added = RowSample.merged([groups[1], RowSample.merged([groups[0], groups[2]])])
    assert added.frame().equals(whole.frame())
    assert np.array_equal(added.places, whole.places)
    for count in (1, 2, 9):
        assert sample_rows(parts, size, seed=3, groups=count).frame().equals(whole.frame())


def test_another_seed_draws_other_rows(parts):
    assert not sample_rows(parts, 50, seed=0).frame().equals(sample_rows(parts, 50, seed=1).frame())


@pytest.mark.parametrize("suffix", ["parquet", "feather", "csv"])
def test_a_sample_of_all_rows_is_what_a_whole_file_gives(tmp_path, suffix):
    frame = mixed(90)
    writers = {"parquet": pd.DataFrame.to_parquet, "feather": pd.DataFrame.to_feather}
    for i in range(3):
        rows = frame[30 * i : 30 * i + 30].reset_index(drop=True)
        writers.get(suffix, lambda rows, path: rows.to_csv(path, index=False))(rows, tmp_path / f"{i}.{suffix}")
    found = sample_rows(find_parts(tmp_path), 1000, drop=["city"]).frame()
    pd.testing.assert_frame_equal(found, frame.drop(columns="city"), check_dtype=False)


def test_bad_parts_are_named_and_the_others_are_read(parts, tmp_path):
    (tmp_path / "3.parquet").write_bytes((tmp_path / "3.parquet").read_bytes()[:-50])
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "5.parquet")
    pd.DataFrame({"a": ["much"], "b": [1]}).to_parquet(tmp_path / "6.parquet")
    sample = sample_rows(find_parts(tmp_path), 1000)
    assert sample.seen == len(sample.frame()) == 410
    assert list(sample.bad) == ["3.parquet", "5.parquet", "6.parquet"]
    assert "cannot be read" in sample.bad["3.parquet"]
    assert "'b' missing" in sample.bad["5.parquet"]
    assert "int64 in column 'a'" in sample.bad["6.parquet"]


def test_numbers_of_two_types_are_one_column(tmp_path):
    for i, values in enumerate(([1, 2], [0.5], [None])):
        pd.DataFrame({"a": values}).to_parquet(tmp_path / f"{i}.parquet")
    assert sample_rows(find_parts(tmp_path), 9).frame()["a"].tolist()[:3] == [1.0, 2.0, 0.5]


def test_nothing_to_draw_from_is_an_input_error(tmp_path):
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "0.parquet")
    with pytest.raises(InputError, match="Expected parts with rows"):
        sample_rows(find_parts(tmp_path), 9)
    (tmp_path / "0.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"0.parquet; it cannot be read"):
        sample_rows(find_parts(tmp_path), 9)
    with pytest.raises(InputError, match="at least 1 row"):
        sample_rows(find_parts(tmp_path), 0)
