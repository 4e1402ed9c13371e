import errno
import io
import os
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picture_files import (
    PEOPLE,
    REFUSED,
    Files,
    each_source,
    encoded,
    everything,
    folder,
    manifest,
    noise,
    zipped,
)
from public_data import public_file
from radogaga import InputError
from radogaga.images import prepare as prepare_module
from radogaga.images.pixels import square
from radogaga.images.prepare import prepare_images
from radogaga.images.reading import read_images


@each_source
def test_every_source_gives_the_same_array(pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path) -> None:
    source = pack(tmp_path, PEOPLE)
    prepared = prepare_images(source, out, size=16)
    images = read_images(out)
    np.testing.assert_array_equal(images.array, [square(PEOPLE[name], size=16, crop=None) for name in sorted(PEOPLE)])
    assert [name.removeprefix("celeba/img/") for name in images.names] == sorted(PEOPLE)
    assert prepared.skipped == {}
    assert prepared.shape == images.array.shape == (len(PEOPLE), 16, 16, 3)
    assert prepared.test == len(images.test)


def test_the_manifest_tells_everything(tmp_path: Path, out: Path) -> None:
    files = {**PEOPLE, "b/notes.txt": b"text", "a/tiny.png": encoded(noise(0, 4, 4))}
    prepared = prepare_images(zipped(tmp_path, files), out, size=8, crop=10, by_folder=True)
    told = manifest(out)
    assert told["format"] == "radogaga images 1"
    assert told["source"] == "pictures.zip"
    assert (told["size"], told["crop"], told["split"]) == (8, 10, "by-folder")
    assert told["shape"] == list(prepared.shape) == [len(PEOPLE), 8, 8, 3]
    assert told["names"] == sorted(PEOPLE)
    assert told["folders"] == [name[0] for name in sorted(PEOPLE)]
    assert told["sha256"] == sha256(out.read_bytes()).hexdigest()
    assert told["skipped"] == prepared.skipped
    assert list(told["skipped"]) == ["a/tiny.png", "b/notes.txt"]
    assert str(tmp_path) not in out.with_suffix(".json").read_text()


def test_the_same_source_gives_the_same_bytes(tmp_path: Path, out: Path) -> None:
    source = zipped(tmp_path, PEOPLE)
    written = []
    for workers in (1, 3, None):
        prepare_images(source, out, size=8, workers=workers)
        written.append((out.read_bytes(), out.with_suffix(".json").read_bytes()))
    assert written[0] == written[1] == written[2]
    assert everything(out.parent) == ["faces.json", "faces.npy"]


@each_source
def test_what_is_unusable_is_listed_and_leaves_no_gap(
    pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path
) -> None:
    unusable = {f"{'aem'[i % 3]}/{i}.jpg": content for i, (content, _) in enumerate(REFUSED.values())}
    prepared = prepare_images(pack(tmp_path, {**PEOPLE, **unusable}), out, size=16)
    images = read_images(out)
    assert [name[-9:] for name in images.names] == sorted(PEOPLE)
    np.testing.assert_array_equal(images.array, [square(PEOPLE[name], size=16, crop=None) for name in sorted(PEOPLE)])
    assert [name.removeprefix("celeba/img/") for name in prepared.skipped] == sorted(unusable)
    for (name, reason), (_, expected) in zip(
        sorted(prepared.skipped.items(), key=by_number), REFUSED.values(), strict=True
    ):
        assert expected in reason, name


def by_number(named: tuple[str, str]) -> int:
    return int(Path(named[0]).stem)


def test_progress_is_told_for_each_file(tmp_path: Path, out: Path) -> None:
    told: list[tuple[int, int]] = []
    files = {**PEOPLE, "notes.txt": b"text"}
    prepare_images(zipped(tmp_path, files), out, size=8, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, len(files)) for i in range(1, len(files) + 1)]


def test_few_pictures_are_in_memory_at_a_time(tmp_path: Path, out: Path) -> None:
    picture = encoded(noise(0, 100, 100))
    source = folder(tmp_path, {f"{i:03}.png": picture for i in range(150)})
    tracemalloc.start()
    prepare_images(source, out, size=128, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < out.stat().st_size / 3


@pytest.mark.parametrize("before", [False, True], ids=["nothing there", "an array there"])
def test_an_interruption_leaves_the_place_as_it_was(tmp_path: Path, out: Path, before: bool) -> None:
    class StopError(BaseException):
        pass

    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise StopError

    source = zipped(tmp_path, PEOPLE)
    if before:
        prepare_images(source, out, size=8)
    kept = {path: (path.read_bytes(), path.stat().st_ino) for path in out.parent.rglob("*")}
    filters = list(warnings.filters)
    with pytest.raises(StopError):
        prepare_images(source, out, size=16, progress=stop)
    assert {path: (path.read_bytes(), path.stat().st_ino) for path in out.parent.rglob("*")} == kept
    assert warnings.filters == filters


def test_a_full_disk_is_told(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(prepare_module, "write_rows", fill)
    with pytest.raises(InputError, match=r"write .*faces\.npy.*No space left"):
        prepare_images(folder(tmp_path, PEOPLE), out)
    assert everything(out.parent) == []


BAD_ARGUMENTS = {
    "another ending": ({"out": "faces.npz"}, r"a file \*\.npy"),
    "no ending": ({"out": ".npy"}, r"a file \*\.npy"),
    "size": ({"size": 0}, "size of at least 1 pixel; got 0"),
    "crop": ({"crop": -1}, "crop of at least 1 pixel; got -1"),
    "a folder there": ({"out": "taken.npy"}, "is a folder"),
    "a file in the way": ({"out": "file/faces.npy"}, "Expected to write"),
    "another's JSON there": ({"out": "config.npy"}, "the format 'radogaga images 1' in .*config.json; got None"),
}


@pytest.mark.parametrize(("options", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_arguments_of_no_use_are_refused(options: dict, message: str, tmp_path: Path) -> None:
    (tmp_path / "taken.npy").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "config.json").write_text("{}")
    source = folder(tmp_path, PEOPLE)
    before = everything(tmp_path)
    with pytest.raises(InputError, match=message):
        prepare_images(source, tmp_path / options.pop("out", "faces.npy"), **options)
    assert everything(tmp_path) == before


# The data that others know too


def some_of(source: Path, place: Path, count: int) -> Path:
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(place / source.name, "w") as part:
        for name in whole.namelist()[:: len(whole.namelist()) // count]:
            part.writestr(name, whole.read(name))
    return place / source.name


def test_faces_are_split_by_person(tmp_path: Path, out: Path) -> None:
    source = some_of(public_file("faces_lfw/lfw_pairs_aligned_112.zip"), tmp_path, 500)
    prepared = prepare_images(source, out, by_folder=True)
    assert prepared.skipped == {}
    assert prepared.shape[0] >= 500
    assert prepared.shape[1:] == (64, 64, 3)
    assert 0.05 < prepared.test / prepared.shape[0] < 0.15
    assert 80 < read_images(out).array.mean() < 150


def test_clothing_of_the_right_size_is_unchanged(tmp_path: Path, out: Path) -> None:
    source = some_of(public_file("clothing_cc0/clothing_small_64.zip"), tmp_path, 200)
    prepare_images(source, out, by_folder=True)
    images = read_images(out)
    with zipfile.ZipFile(source) as archive:
        for i in (0, len(images.names) - 1):
            decoded = Image.open(io.BytesIO(archive.read(images.names[i])))
            np.testing.assert_array_equal(images.array[i], np.asarray(decoded))
    assert {images.names[i].split("/")[0] for i in images.train} == {"train"}


@pytest.mark.slow
def test_all_faces_take_seconds(out: Path) -> None:
    started = time.perf_counter()
    prepared = prepare_images(public_file("faces_lfw/lfw_pairs_aligned_112.zip"), out, by_folder=True)
    assert prepared.shape == (7701, 64, 64, 3)
    assert time.perf_counter() - started < 120
