from collections.abc import Callable
from pathlib import Path

import pytest

from picture_files import PEOPLE, Files, each_source, folder, manifest, plain, zipped
from radogaga import InputError
from radogaga.images.prepare import prepare_images
from radogaga.images.reading import read_images
from radogaga.images.split import test_rows as chosen_rows


@each_source
def test_every_source_is_split_alike(pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path) -> None:
    tests = []
    for by_folder in (False, True):
        prepare_images(folder(tmp_path, PEOPLE), out, size=8, by_folder=by_folder)
        expected = manifest(out)["test"]
        prepare_images(pack(tmp_path, PEOPLE), out, size=8, by_folder=by_folder)
        assert manifest(out)["test"] == expected
        tests.append(expected)
    assert tests[0] != tests[1]


@each_source
def test_a_folder_is_never_in_both_halves(pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path) -> None:
    prepare_images(pack(tmp_path, PEOPLE), out, size=8, by_folder=True)
    images = read_images(out)
    people = [Path(name).parent.name for name in images.names]
    train, test = ({people[i] for i in rows} for rows in (images.train, images.test))
    assert train
    assert test
    assert not train & test
    assert sorted([*images.train, *images.test]) == list(range(len(PEOPLE)))


@pytest.mark.parametrize("given", [True, False])
def test_a_tenth_is_for_testing_and_stays_so(given: bool) -> None:
    people = [f"person {i // 2}" for i in range(4000)]
    test = chosen_rows(people, given=given, tenth=0)
    assert 300 < len(test) < 500
    some = people[:1000]
    assert chosen_rows(some, given=given, tenth=0) == [row for row in test if row < 1000]


@pytest.mark.parametrize("count", range(2, 6))
def test_few_folders_give_both_halves_some(count: int) -> None:
    for first in range(200):
        test = chosen_rows([f"folder {first + i}" for i in range(count)], given=True, tenth=0)
        assert 0 < len(test) < count


def test_tenths_have_no_folder_in_common_and_all_between_them() -> None:
    groups = [f"person {i // 2}" for i in range(2000)]
    tenths = [chosen_rows(groups, given=True, tenth=tenth) for tenth in range(10)]
    assert sorted(i for tenth in tenths for i in tenth) == list(range(2000))
    assert all(120 < len(tenth) < 280 for tenth in tenths)


def test_another_tenth_is_other_pictures(tmp_path: Path, out: Path) -> None:
    source = folder(tmp_path, {f"{i}.png": plain((i, 0, 0)) for i in range(40)})
    tests = []
    for tenth in (0, 1):
        prepare_images(source, out, size=8, tenth=tenth)
        tests.append(set(manifest(out)["test"]))
        assert manifest(out)["tenth"] == tenth
    assert not tests[0] & tests[1]


@pytest.mark.parametrize("tenth", [-1, 10])
def test_a_tenth_is_one_of_ten(tenth: int, tmp_path: Path, out: Path) -> None:
    with pytest.raises(InputError, match="tenth of 0 to 9"):
        prepare_images(folder(tmp_path, PEOPLE), out, size=8, tenth=tenth)


def test_no_tenth_of_halves_that_are_given_is_told_before_the_work(tmp_path: Path, out: Path) -> None:
    source = folder(tmp_path, {f"{half}/1.png": plain((1, 2, 3)) for half in ("train", "test")})
    told: list[int] = []
    with pytest.raises(InputError, match="no tenth"):
        prepare_images(source, out, by_folder=True, tenth=3, progress=lambda done, total: told.append(done))
    assert told == []


def test_one_picture_is_for_training(tmp_path: Path, out: Path) -> None:
    prepare_images(folder(tmp_path, {"1.png": plain((1, 2, 3))}), out, size=8)
    assert read_images(out).train.tolist() == [0]
    assert read_images(out).test.tolist() == []


def test_halves_that_are_given_are_kept(tmp_path: Path, out: Path) -> None:
    halves = ["train", "test", "validation"]
    files = {f"set/{half}/{kind}/{i}.png": plain((i, 0, 0)) for half in halves for kind in "ab" for i in range(3)}
    prepare_images(folder(tmp_path, files), out, size=8, by_folder=True)
    images = read_images(out)
    assert {images.names[i].split("/")[1] for i in images.train} == {"train"}
    assert {images.names[i].split("/")[1] for i in images.test} == {"test", "validation"}


@pytest.mark.parametrize("names", [["1.png", "2.png"], ["one/1.png", "one/2.png"]], ids=["none", "one"])
def test_no_folders_to_split_by_are_told_before_the_work(names: list[str], tmp_path: Path, out: Path) -> None:
    source = zipped(tmp_path, dict.fromkeys(names, plain((1, 2, 3))))
    told: list[int] = []
    with pytest.raises(InputError, match="at least two folders"):
        prepare_images(source, out, by_folder=True, progress=lambda done, total: told.append(done))
    assert told == []
