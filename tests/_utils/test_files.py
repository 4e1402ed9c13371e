import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import SafetensorError

from radogaga import InputError
from radogaga._utils.files import (
    check_can_write_folder,
    check_may_replace,
    read_json,
    replace_file,
    replace_folder,
    write_bytes,
    write_text,
)


class Interrupted(Exception):  # noqa: N818
    pass


FULL = [OSError(28, "No space left on device"), SafetensorError("No space left (os error 28)")]
each_full_disk = pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced_on_the_way_to_new_folders(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b" / "file"
    write_text(place, "old")
    write_bytes(place, b"new")
    assert place.read_text() == "new"
    assert names(place.parent) == ["file"]


@each_full_disk
def test_a_file_on_a_full_disk_stays_as_it_was(tmp_path: Path, error: Exception) -> None:
    place = tmp_path / "file"
    write_text(place, "old")

    def write() -> None:
        with replace_file(place) as beside:
            beside.write_text("half")
            raise error

    with pytest.raises(InputError, match="No space left"):
        write()
    assert place.read_text() == "old"
    assert names(tmp_path) == ["file"]


@each_full_disk
def test_a_folder_on_a_full_disk_stays_as_it_was(tmp_path: Path, error: Exception) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    (place / "file").write_text("old")

    def write() -> None:
        with replace_folder(place) as beside:
            (beside / "file").write_text("half")
            raise error

    with pytest.raises(InputError, match="No space left"):
        write()
    assert (place / "file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("replace", [replace_file, replace_folder])
def test_an_interruption_leaves_no_trace(tmp_path: Path, replace) -> None:
    with pytest.raises(Interrupted), replace(tmp_path / "place"):
        raise Interrupted
    assert names(tmp_path) == []


def test_a_folder_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    for name in ("first", "second"):
        with replace_folder(place) as beside:
            (beside / name).write_text(name)
            assert not (place / name).exists()
    assert names(place) == ["second"]
    assert names(tmp_path) == ["folder"]


def test_a_file_in_the_way_of_a_folder_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "file" / "inside"
    with pytest.raises(InputError, match="Expected to write"), replace_folder(place):
        pass
    with pytest.raises(InputError, match="Expected to write"), replace_file(place):
        pass
    with pytest.raises(InputError, match="Expected to write"):
        check_can_write_folder(place)
    assert (tmp_path / "file").read_text() == "mine"


def dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_what_killed_processes_of_this_machine_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dead, own = dead_process(), os.getpid()
    here, elsewhere = (hashlib.sha256(name.encode()).hexdigest()[:8] for name in (socket.gethostname(), "elsewhere"))
    kept = ["file", ".file", f".file-{here}-{dead}-abcdefgh", f".file-{here}-{own}-abcdefgh.radogaga"]
    kept += [".a-1-b.radogaga", f".file-{elsewhere}-{dead}-abcdefgh.radogaga"]
    for name in [*kept, f".file-{here}-{dead}-abcdefgh.radogaga"]:
        (tmp_path / name).write_text(name)
    (tmp_path / f".model-{here}-{dead}-abcdefgh.radogaga").mkdir()
    (tmp_path / f".model-{here}-{dead}-abcdefgh.radogaga" / "rows").write_text("private")
    (tmp_path / f".old-{here}-{dead}-abcdefgh.radogaga-old").mkdir()
    write_text(tmp_path / "new", "")
    assert names(tmp_path) == sorted([*kept, "new", "old"])


def test_only_files_of_our_own_may_be_replaced(tmp_path: Path) -> None:
    place = tmp_path / "file"

    def check(*, force: bool = False) -> None:
        check_may_replace(place, lambda path: path.read_text() == "ours", force=force)

    check()
    for content in ("", "ours"):
        place.write_text(content)
        check()
    place.write_text("mine")
    check(force=True)
    with pytest.raises(InputError, match="--force"):
        check()
    place.unlink()
    place.symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match="something else"):
        check(force=True)
    place.unlink()
    os.mkfifo(place)
    with pytest.raises(InputError, match="something else"):
        check(force=True)


def test_a_check_leaves_no_trace(tmp_path: Path) -> None:
    check_can_write_folder(tmp_path / "a" / "folder")
    assert names(tmp_path / "a") == []


def test_json_of_a_known_format_is_read(tmp_path: Path) -> None:
    write_text(tmp_path / "file", '{"format": "ours 1", "a": 3}')
    assert read_json(tmp_path / "file", {"ours 1", "ours 2"}) == {"format": "ours 1", "a": 3}


REFUSED = {
    "no JSON": "{",
    "no mapping": "[]",
    "no format": "{}",
    "another format": '{"format": "theirs"}',
    "a format that is a list": '{"format": ["ours 1"]}',
    "a depth without end": "[" * 200_000,
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    write_text(tmp_path / "file", text)
    with pytest.raises(InputError, match="Expected"):
        read_json(tmp_path / "file", {"ours 1"})


def test_json_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected JSON"):
        read_json(tmp_path / "file", {"ours 1"})
