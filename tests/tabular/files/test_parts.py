import fsspec
import pandas as pd
import pytest

from radogaga import InputError
from radogaga.tabular.files.parts import find_parts, is_many
from radogaga.tabular.files.table_files import open_source

NAMES = ["a.parquet", "b.csv", "2024/a.parquet", "2024/05/c.parquet", "2025/a.parquet"]


@pytest.fixture
def folder(tmp_path):
    for name in [*NAMES, "readme.txt", "_SUCCESS", "_log/d.parquet", ".hidden.parquet", "2024/.unfinished.parquet"]:
        place = tmp_path / "big" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    return tmp_path / "big"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", NAMES),
        ("*.parquet", ["a.parquet"]),
        ("[!a].*", ["b.csv"]),
        ("[b]*", ["b.csv"]),
        ("*/a.parquet", ["2024/a.parquet", "2025/a.parquet"]),
        ("2024/**/*.parquet", ["2024/a.parquet", "2024/05/c.parquet"]),
        ("**/c.parquet", ["2024/05/c.parquet"]),
        ("2025/**", ["2025/a.parquet"]),
        ("_log/*", ["_log/d.parquet"]),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_folders_and_patterns_mean_files_in_the_order_of_their_names(folder, pattern, names, scheme):
    found = find_parts(f"{scheme}{folder}/{pattern}")
    base = pattern.split("/", 1)[0] if pattern.startswith(("2", "_")) else ""
    assert [f"{base}/{part.name}".lstrip("/") for part in found] == sorted(names)
    assert all((folder / base / part.name).read_text() == f"{base}/{part.name}".lstrip("/") for part in found)


def test_a_files_own_name_comes_before_the_pattern_it_might_be(tmp_path):
    for name in ("data[1].csv", "data1.csv"):
        (tmp_path / name).write_text(name)
    assert not is_many(f"{tmp_path}/data[1].csv")
    assert [part.name for part in find_parts(f"{tmp_path}/data[1].csv")] == ["data[1].csv"]
    assert is_many(f"{tmp_path}/data?.csv")


@pytest.mark.parametrize("where", ["none.csv", "none/*.csv", "*.nothing", "big/readme.txt/*", "nothing://bucket/*"])
def test_what_is_not_there_is_an_input_error(folder, where, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(InputError, match=r"Expected files at"):
        find_parts(where)


def test_parts_behind_a_url_are_read_through_a_copy_that_is_gone_in_the_end():
    files = fsspec.filesystem("memory")
    with files.open("/bucket/x/a.parquet", "wb") as file:
        pd.DataFrame({"a": [1, 2]}).to_parquet(file)
    (part,) = find_parts("memory://bucket/*/a.parquet")
    with part.local() as path:
        assert open_source(path).total == 2
    assert not path.exists()


def test_an_error_of_a_copy_names_the_part():
    files = fsspec.filesystem("memory")
    files.pipe("/broken/a.parquet", b"PAR1")
    (part,) = find_parts("memory://broken")
    with pytest.raises(InputError, match=r"in /broken/a.parquet"), part.local() as path:
        open_source(path)
    files.rm("/broken/a.parquet")
    with pytest.raises(InputError, match=r"/broken/a.parquet; it cannot be copied"), part.local():
        pass
