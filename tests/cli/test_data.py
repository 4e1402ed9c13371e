import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from radogaga.datasets.fetch import FILES, find

CONTENT = b"0,1\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    """A data folder that holds small files in place of all others."""
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))
    for name, file in FILES.items():
        small = replace(file, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT), urls=())
        monkeypatch.setitem(FILES, name, small)
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
        (tmp_path / file.path).write_bytes(CONTENT)
    return tmp_path


def test_a_file_that_is_there_is_kept_and_its_path_printed(program, home):
    assert program("data", "fetch", "toy").stdout == f"{home / FILES['toy'].path}\n"


def test_all_files_are_fetched_by_one_word(program, home):
    assert program("data", "fetch", "all").stdout.split() == [str(find(name)) for name in FILES]


def test_files_are_listed_with_their_places(program, home):
    lines = program("data", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines[::2]] == list(FILES)
    assert all(str(find(name)) in line for name, line in zip(FILES, lines[::2], strict=True))
    assert "10,000 x 16" in lines[0]
    assert "Apache-2.0" in lines[1]
    find("toy").unlink()
    assert "not here" in program("data", "list").stdout.splitlines()[0]
