"""Tables in files, damaged and as pandas writes them: what is no cell of a table is told in one line."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import ipc

from radogaga.errors import InputError
from radogaga.tabular.files.cells import LITERAL
from radogaga.tabular.files.table_files import open_source, read


def write_arrow(table: pa.Table, path):
    with pa.OSFile(str(path), "wb") as file, ipc.new_file(file, table.schema) as sink:
        sink.write_table(table)
    return path


def test_offsets_that_point_outside_of_an_arrow_file_are_found(tmp_path):
    text = pa.array(["x" * 8] * 64)
    path = write_arrow(pa.table({"a": text}), tmp_path / "table.arrow")
    content = bytearray(path.read_bytes())
    offsets = np.arange(0, 65 * 8, 8, dtype=np.int32).tobytes()
    place = content.index(offsets)
    content[place + 130 : place + 132] = b"\xff\x7f"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"table\.arrow; it cannot be read: In column 0"):
        read(path)
    with pytest.raises(InputError, match=r"table\.arrow; it cannot be read: In column 0"):
        list(open_source(path).batches(["a"]))


STRANGE = {
    "list": pa.array([[1], [2]]),
    "structure": pa.array([{"a": 1}, {"a": 2}]),
    "bytes": pa.array([b"a", b"b"]),
    "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "union": pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array([1, 2])]),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", "[]"])),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_cell_of_a_table_is_refused_and_may_be_dropped(name, tmp_path):
    path = write_arrow(pa.table({"odd": STRANGE[name], "b": [1, 2]}), tmp_path / "table.arrow")
    with pytest.raises(InputError, match="column 'odd' holds"):
        read(path)
    assert read(path, drop=["odd"]).to_dict("list") == {"b": [1, 2]}
    with pytest.raises(InputError, match="column 'odd' holds"):
        list(open_source(path).batches(["odd"]))


def test_text_that_is_no_utf8_is_refused(tmp_path):
    text = pa.array([b"ab", b"\xff\xfe"]).view(pa.string())
    path = write_arrow(pa.table({"a": text}), tmp_path / "table.arrow")
    with pytest.raises(InputError, match="cannot be read"):
        read(path)


def test_identifiers_are_kept_letter_for_letter(tmp_path):
    path = tmp_path / "table.csv"
    ids = ["00000001", "12345678901234567890", "1.10", "NA", "null", "?", "", " x "]
    pd.DataFrame({"id": ids, "a": 1}).to_csv(path, index=False)
    (batch,) = open_source(path).batches({"id": LITERAL, "a": pa.float64()})
    assert batch.column("id").to_pylist() == ids


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_the_index_of_pandas_is_no_column(suffix, tmp_path):
    frame = pd.DataFrame({"a": np.arange(20) / 2, "b": range(20)}).sample(frac=1, random_state=0)
    path = tmp_path / f"table{suffix}"
    if suffix == ".csv":
        frame.to_csv(path)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        write_arrow(pa.Table.from_pandas(frame), path)
    with pytest.warns(UserWarning, match="pandas' index"):
        assert list(read(path)) == ["a", "b"]
    if suffix == ".csv":
        pd.read_csv(path).to_csv(path, index=False)
        with pytest.warns(UserWarning, match="'Unnamed: 0'"):
            assert list(read(path)) == ["a", "b"]


def test_a_column_without_a_name_is_refused_or_dropped(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,,b\n1,2,3\n")
    with pytest.raises(InputError, match="column 1 has none"):
        read(path)
    assert list(read(path, drop=[""])) == ["a", "b"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_dates_of_any_zone_are_in_utc(suffix, tmp_path):
    frame = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=4, freq="h", tz="America/New_York"), "a": 1})
    path = tmp_path / f"table{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    with pytest.warns(UserWarning, match="'when' .* taken in UTC"):
        whole = read(path)["when"]
    (batch,) = open_source(path).batches({"when": pa.timestamp("us")})
    streamed = batch.to_pandas()["when"]
    assert whole.iloc[0] == streamed.iloc[0] == pd.Timestamp("2024-01-01 05:00")
    assert whole.tolist() == streamed.tolist()


def test_dates_are_read_in_whatever_way_later_rows_write_them(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("when\n2024-01-01\n2024-01-01 10:00:00.250\n?\n2024-01-01T10:00:00+02:00\n")
    (batch,) = open_source(path).batches({"when": pa.timestamp("us")})
    assert [str(x) for x in batch.to_pandas()["when"]] == [
        "2024-01-01 00:00:00",
        "2024-01-01 10:00:00.250000",
        "NaT",
        "2024-01-01 08:00:00",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_clock_times_are_durations_from_midnight(suffix, tmp_path):
    path = tmp_path / f"table{suffix}"
    frame = pd.DataFrame({"at": [pd.Timestamp("2024-01-01 10:30:05").time()], "a": [1]})
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    assert read(path)["at"].tolist() == [pd.Timedelta("10:30:05")]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "table.csv"
    os.mkfifo(path)
    with pytest.raises(InputError, match="pipe"):
        read(path)


def test_feathers_first_version_is_named(tmp_path):
    path = tmp_path / "table.feather"
    path.write_bytes(b"FEA1" + bytes(100) + b"FEA1")
    with pytest.raises(InputError, match="Feather's first version"):
        read(path)
