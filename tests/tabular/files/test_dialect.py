"""Tables in text: however they are written, the same rows."""

import gzip

import numpy as np
import pandas as pd
import pytest

from radogaga.errors import InputError
from radogaga.tabular.files.dialect import Dialect
from radogaga.tabular.files.table_files import open_source, read

FRAME = pd.DataFrame(
    {
        "amount": [1.5, -2.25, None, 1e-3] * 25,
        "town": ["Köln; am Rhein", 'the "Hague"', "Zürich, Oerlikon", "two\nlines"] * 25,
        "count": [1, 2, 3, 40000] * 25,
    }
)


def written(**options) -> str:
    return FRAME.to_csv(index=False, **options)


WAYS = {
    "comma.csv": written().encode(),
    "semicolon.csv": written(sep=";").encode(),
    "decimal-comma.csv": written(sep=";", decimal=",").encode(),
    "tab.csv": written(sep="\t").encode(),
    "tab.tsv": written(sep="\t").encode(),
    "bar.csv": written(sep="|").encode(),
    "bom.csv": written().encode("utf-8-sig"),
    "windows.csv": written(sep=";", decimal=",", lineterminator="\r\n").replace("two\r\n", "two\n").encode("cp1252"),
    "excel-text.csv": written(sep="\t").encode("utf-16"),
    "packed.csv.gz": gzip.compress(written().encode()),
    "PACKED.CSV.GZ": gzip.compress(written(sep=";").encode()),
    "question-marks.csv": written(na_rep="?").encode(),
}


@pytest.mark.filterwarnings("ignore:.*is not in UTF-8")
@pytest.mark.parametrize("name", WAYS)
def test_every_way_of_writing_gives_the_same_rows(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(WAYS[name])
    pd.testing.assert_frame_equal(read(path), FRAME)
    source = open_source(path)
    assert source.names == list(FRAME)
    parts = [batch.to_pandas() for batch in source.batches(["count", "amount"])]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), FRAME[["count", "amount"]])


def test_other_letters_are_told(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(WAYS["windows.csv"])
    with pytest.warns(UserWarning, match=r"table.csv is not in UTF-8.*Save it as UTF-8"):
        Dialect.of(path)


def test_a_file_larger_than_its_sample_is_read_whole(tmp_path):
    path = tmp_path / "long.csv"
    rows = np.random.default_rng(0).normal(size=(50_000, 3))
    # The sample ends within a line, and within a letter of two bytes.
    pd.DataFrame(rows, columns=["ä" * 7, "b", "c"]).assign(d="ö" * 9).to_csv(path, sep=";", decimal=",", index=False)
    assert path.stat().st_size > 2**21
    np.testing.assert_array_equal(read(path).iloc[:, :3], rows)
    assert sum(len(batch) for batch in open_source(path).batches(["b"])) == 50_000


@pytest.mark.parametrize("text", ["a\n1\n2\n", "a\n1;2\n2;3\n4\n", "a,b\n1,2\n1,2,3\n", "", "a;b\n", "\n\na,b\n1,2\n"])
def test_where_nothing_tells_a_comma_separates(text, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    assert Dialect.of(path) == Dialect(";" if text == "a;b\n" else ",", ".", "utf-8")


def test_a_single_column_with_commas_is_not_two(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a;b\n1,000;2.5\n2,000;3.5\n")
    # Points and commas both: which of them is the decimal sign, nothing tells.
    assert Dialect.of(path).decimal == "."
    with pytest.warns(UserWarning, match="signs between thousands"):
        assert read(path)["b"].tolist() == [2.5, 3.5]


def test_thousands_are_not_taken_for_decimals(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("a\tb\n1,234\t1\n999\t2\n")
    assert Dialect.of(path).decimal == "."
    with pytest.warns(UserWarning, match="signs between thousands"):
        assert read(path)["a"].tolist() == ["1,234", "999"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_sample_that_ends_within_a_long_cell_tells_as_much(pack, tmp_path):
    path = tmp_path / ("table.csv" if pack is bytes else "table.csv.gz")
    frame = pd.DataFrame({"a": [1.5, 2.5] * 20, "words": ["one, two\nthree; four\n" * 3000] * 40})
    path.write_bytes(pack(frame.to_csv(sep=";", decimal=",", index=False).encode()))
    assert Dialect.of(path) == Dialect(";", ",", "utf-8")


def test_a_first_line_of_numbers_is_told(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("1.5,2\n2.5,3\n")
    with pytest.warns(UserWarning, match=r"first line of table.csv .* holds numbers, 1.5 say"):
        read(path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_separator_that_excel_names_is_taken(end, tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("sep=;\na;b\n1,5;2\n2,5;3\n".replace("\n", end).encode())
    assert read(path).to_dict("list") == {"a": [1.5, 2.5], "b": [2, 3]}


@pytest.mark.parametrize("title", ["Report 2024", "Report 2024;", "Report 2024\n"])
def test_titles_above_the_names_are_left_out_and_told(title, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(f"{title}\na;b\n1.5;2\n2.5;3\n")
    with pytest.warns(UserWarning, match="'Report 2024', is a title"):
        assert read(path).to_dict("list") == {"a": [1.5, 2.5], "b": [2, 3]}


def test_blanks_may_separate_numbers(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a b\n1.5 2\n2.5 3\n")
    assert read(path).to_dict("list") == {"a": [1.5, 2.5], "b": [2, 3]}
    path.write_text("full name\nAnn Lee\nBo Ray\n")
    assert list(read(path)) == ["full name"]


def test_numbers_that_are_read_as_something_else_are_told(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('a;b\n"1,007";1\n999;2\n')
    with pytest.warns(UserWarning, match="Numbers of 'a' .* signs between thousands"):
        read(path)
    path.write_text("a,b\n12345678901234567890,1\n12345678901234567891,2\n")
    with pytest.warns(UserWarning, match="Numbers of 'a' .* identifiers"):
        read(path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_in_quoted_cells_of_a_long_file(end, tmp_path):
    path = tmp_path / "table.csv"
    n = 60_000
    lines = [f'{i},"one{end}two, ""three""{end}",{i / 2}' for i in range(n)]
    path.write_bytes(end.join(["a,note,b", *lines, ""]).encode())
    frame = read(path)
    assert frame["a"].tolist() == list(range(n))
    assert set(frame["note"]) == {f'one{end}two, "three"{end}'}
    streamed = pd.concat([batch.to_pandas() for batch in open_source(path).batches(["b", "note"])])
    assert streamed["b"].tolist() == (np.arange(n) / 2).tolist()
    assert set(streamed["note"]) == set(frame["note"])


def test_text_of_32_bits_and_lines_that_end_in_cr(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("a,b\n1,ä\n2,ö\n".encode("utf-32"))
    assert read(path).to_dict("list") == {"a": [1, 2], "b": ["ä", "ö"]}
    path.write_bytes(b"a,b\r1,x\r2,y\r")
    assert read(path).to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}


def test_columns_may_have_numbers_as_names(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("0,1\n2.5,3\n")
    assert list(read(path)) == ["0", "1"]


def test_no_other_compressed_files_are_tables(tmp_path):
    path = tmp_path / "table.parquet.gz"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"\.csv\.gz"):
        read(path)


def test_a_broken_archive_is_told(tmp_path):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(b"no gzip at all")
    with pytest.raises(InputError, match="cannot be read"):
        read(path)
