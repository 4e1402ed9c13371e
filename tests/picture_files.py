"""Pictures in files, folders and archives, for the tests of images."""

import io
import json
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Files = Mapping[str, bytes]


def encoded(image: Image.Image | NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(seed: int, height: int = 20, width: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain(colour: int | tuple[int, ...], mode: str = "RGB", kind: str = "PNG", **options: object) -> bytes:
    return encoded(Image.new(mode, (12, 10), colour), kind, **options)


PEOPLE = {f"{p}/{p}_{i}.png": encoded(noise(7 * n + i)) for n, p in enumerate("abcdefghij") for i in range(1 + n % 3)}


def folder(place: Path, files: Files) -> Path:
    path = place / "pictures"
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def shuffled(files: Files) -> list[tuple[str, bytes]]:
    return random.Random(0).sample(list(files.items()), len(files))


def zipped(place: Path, files: Files) -> Path:
    with zipfile.ZipFile(place / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in shuffled(files):
            archive.writestr(name, content)
    return place / "pictures.zip"


def tar(place: Path, files: Files, end: str = "tar") -> Path:
    mode = "w" if end == "tar" else "w:gz"
    with tarfile.open(place / f"pictures.{end}", mode) as archive:
        for name, content in shuffled(files):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return place / f"pictures.{end}"


def tar_gz(place: Path, files: Files) -> Path:
    return tar(place, files, "tar.gz")


def inner(place: Path, files: Files) -> Path:
    """A zip with one folder around all, as downloads often have, with the names that some programs of Windows write."""
    return zipped(place, {f"celeba\\img\\{name}".replace("/", "\\"): content for name, content in files.items()})


def idx(numbers: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{numbers.ndim}I", 0, 0, 8, numbers.ndim, *numbers.shape) + numbers.tobytes()


SOURCES = {"folder": folder, "zip": zipped, "tar": tar, "tar.gz": tar_gz, "zip around a folder": inner}
each_source = pytest.mark.parametrize("pack", SOURCES.values(), ids=SOURCES)
each_archive = pytest.mark.parametrize("pack", [zipped, tar, tar_gz])


def manifest(out: Path) -> dict:
    return json.loads(out.with_suffix(".json").read_text())


def everything(place: Path) -> list[str]:
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*"))


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        (place / name).write_bytes(content)
        return place / name

    return make


REFUSED = {
    "text": (b"no picture at all", "not a picture"),
    "nothing": (b"", "not a picture"),
    "PostScript": (encoded(Image.new("RGB", (12, 10)), "EPS"), "not a picture"),
    "truncated PNG": (encoded(noise(0))[:500], "damaged"),
    "truncated JPEG": (encoded(noise(0, 90, 90), "JPEG")[:2000], "damaged"),
    "damaged within": (encoded(noise(0))[:100] + bytes(100) + encoded(noise(0))[200:], "damaged"),
    "tiny": (encoded(noise(0, 7, 30)), "30 x 7 pixels, less than 8 on a side"),
    "floats": (encoded(Image.new("F", (12, 10)), "TIFF"), "32 bits"),
    "32 bits": (encoded(Image.new("I", (12, 10)), "TIFF"), "32 bits"),
}
