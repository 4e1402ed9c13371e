import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from picture_files import folder, idx, noise, written
from public_data import public_file
from radogaga import InputError
from radogaga.images.prepare import prepare_images
from radogaga.images.reading import read_images
from radogaga.images.source import MAX_BYTES

GREY = np.arange(3 * 8 * 9, dtype=np.uint8).reshape(3, 8, 9)
IDX = {"plain": idx, "gzip": lambda numbers: gzip.compress(idx(numbers))}
each_idx = pytest.mark.parametrize("pack", IDX.values(), ids=IDX)


@each_idx
def test_idx_pictures_are_the_raw_numbers(
    pack: Callable[[NDArray[np.uint8]], bytes], tmp_path: Path, out: Path
) -> None:
    numbers = np.random.default_rng(0).integers(0, 256, (101, 28, 28), dtype=np.uint8)
    source = written("digits", pack(numbers))(tmp_path)
    prepare_images(source, out, size=28)
    images = read_images(out)
    np.testing.assert_array_equal(images.array, numbers[..., None])
    assert images.names[:2] == ("digits/000", "digits/001")
    assert images.names[-1] == "digits/100"


def test_idx_pictures_are_cropped_and_resized(tmp_path: Path, out: Path) -> None:
    source = written("digits", idx(np.tile(GREY, (1, 2, 2))))(tmp_path)
    assert prepare_images(source, out, size=32, crop=10).shape == (3, 32, 32, 1)


def test_idx_pictures_of_too_many_bytes_are_refused(tmp_path: Path, out: Path) -> None:
    height, width = 8193, MAX_BYTES // 8192
    source = written("digits", struct.pack(">BBBB3I", 0, 0, 8, 3, 1, height, width))(tmp_path)
    os.truncate(source, source.stat().st_size + height * width)  # a file with a hole
    with pytest.raises(InputError, match=f"digits/0: {height * width:,} bytes, more than {MAX_BYTES:,}"):
        prepare_images(source, out)


def test_a_folder_of_idx_files_keeps_its_halves(tmp_path: Path, out: Path) -> None:
    train, test = noise(0, 100, 256).reshape(-1, 8, 8), noise(1, 8, 16).reshape(-1, 8, 8)
    labels = gzip.compress(idx(np.zeros(len(train), np.uint8)))
    source = folder(
        tmp_path,
        {
            "raw/train-images-idx3-ubyte.gz": gzip.compress(idx(train)),
            "raw/train-images-idx3-ubyte": idx(train),
            "raw/train-labels-idx1-ubyte.gz": labels,
            "raw/t10k-images-idx3-ubyte.gz": gzip.compress(idx(test)),
        },
    )
    prepared = prepare_images(source, out, size=8, by_folder=True)
    images = read_images(out)
    np.testing.assert_array_equal(images.array[images.train, ..., 0], train)
    np.testing.assert_array_equal(images.array[images.test, ..., 0], test)
    assert list(prepared.skipped) == ["raw/train-images-idx3-ubyte.gz", "raw/train-labels-idx1-ubyte.gz"]


def test_fashion_is_the_raw_numbers(out: Path) -> None:
    source = public_file("fashion_mnist/t10k-images-idx3-ubyte.gz")
    prepare_images(source, out, size=28)
    with gzip.open(source) as stream:
        numbers = np.frombuffer(stream.read()[16:], np.uint8)
    np.testing.assert_array_equal(read_images(out).array, numbers.reshape(10_000, 28, 28, 1))
