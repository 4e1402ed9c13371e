import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from picture_files import PEOPLE, folder
from radogaga import InputError
from radogaga.images.prepare import prepare_images
from radogaga.images.reading import read_images


def test_the_array_is_mapped_and_not_read(tmp_path: Path, out: Path) -> None:
    prepare_images(folder(tmp_path, PEOPLE), out, size=256)
    tracemalloc.start()
    images = read_images(out)
    assert tracemalloc.get_traced_memory()[1] < images.array.nbytes / 4
    tracemalloc.stop()
    assert isinstance(images.array, np.memmap)
    assert not images.array.flags.writeable
    assert out.stat().st_size == images.array.nbytes + 128


def test_an_array_without_its_manifest_is_refused(tmp_path: Path, out: Path) -> None:
    prepare_images(folder(tmp_path, PEOPLE), out, size=8)
    described = out.with_suffix(".json")
    told = described.read_text()
    damages = {"JSON in": "{", "the format": "[]", "tells of": told.replace('"shape": [', '"shape": [1,')}
    damages |= {"cannot be read": told.replace('"names"', '"others"')}
    for message, text in damages.items():
        described.write_text(text)
        with pytest.raises(InputError, match=message):
            read_images(out)
    described.unlink()
    with pytest.raises(InputError, match="there is none"):
        read_images(out)


@pytest.mark.parametrize("content", [None, b"", b"text", b"half"])
def test_a_damaged_array_is_refused(tmp_path: Path, out: Path, content: bytes | None) -> None:
    prepare_images(folder(tmp_path, PEOPLE), out, size=8)
    if content is None:
        out.unlink()
    else:
        out.write_bytes(out.read_bytes()[:-100] if content == b"half" else content)
    with pytest.raises(InputError, match="Expected"):
        read_images(out)
