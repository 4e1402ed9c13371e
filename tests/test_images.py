import errno
import gzip
import io
import json
import os
import random
import struct
import tarfile
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from radogaga import InputError
from radogaga.images import idx as idx_module
from radogaga.images import pixels as pixels_module
from radogaga.images import prepare_images, read_images
from radogaga.images import sources as sources_module
from radogaga.images.pixels import square
from radogaga.images.source import Unusable
from radogaga.images.split import test_rows as chosen_rows

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


def one(content: bytes, size: int = 10, crop: int | None = None) -> NDArray[np.uint8]:
    return square(content, size=size, crop=crop)


def everything(place: Path) -> list[str]:
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "faces.npy"


# What a picture becomes


VALUES = {
    "RGB": (plain((10, 20, 30)), (10, 20, 30)),
    "grey": (plain(77, "L"), (77, 77, 77)),
    "black and white": (plain(1, "1"), (255, 255, 255)),
    "CMYK": (plain((255, 0, 0, 0), "CMYK", "TIFF"), (0, 255, 255)),
    "CMYK as JPEG": (plain((0, 0, 0, 0), "CMYK", "JPEG"), (255, 255, 255)),
    "palette": (encoded(Image.new("RGB", (12, 10), (200, 0, 100)).quantize(4)), (200, 0, 100)),
    "palette, transparent": (plain(0, "P", transparency=0), (255, 255, 255)),
    "opaque": (plain((9, 8, 7, 255), "RGBA"), (9, 8, 7)),
    "transparent": (plain((0, 0, 0, 0), "RGBA"), (255, 255, 255)),
    "half transparent": (plain((0, 100, 200, 128), "RGBA"), (127, 177, 227)),
    "grey, half transparent": (plain((0, 128), "LA"), (127, 127, 127)),
    "a transparent colour": (plain((1, 2, 3), transparency=(1, 2, 3)), (255, 255, 255)),
    "16 bits, white": (plain(65535, "I;16"), (255, 255, 255)),
    "16 bits, middle": (plain(128 * 257, "I;16"), (128, 128, 128)),
    "16 bits, rounded": (plain(300, "I;16"), (1, 1, 1)),
    "16 bits, TIFF": (plain(128 * 257, "I;16", "TIFF"), (128, 128, 128)),
    "16 bits, other end first": (plain(128 * 257, "I;16B", "TIFF"), (128, 128, 128)),
    "16 bits, PGM": (b"P5 12 10 65535\n" + b"\x80\x80" * 120, (128, 128, 128)),
    "GIF": (plain(0, "P", "GIF"), (0, 0, 0)),
    "MPO": (plain(0, kind="MPO", save_all=True, append_images=[Image.new("RGB", (12, 10), "white")]), (0, 0, 0)),
    "WebP": (plain((10, 20, 30), "RGB", "WEBP", lossless=True), (10, 20, 30)),
}


@pytest.mark.parametrize(("content", "colour"), VALUES.values(), ids=VALUES)
def test_every_mode_becomes_8_bit_rgb(content: bytes, colour: tuple[int, ...]) -> None:
    pixels = one(content)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (10, 10, 3)
    np.testing.assert_array_equal(pixels.reshape(-1, 3), np.broadcast_to(colour, (100, 3)))


def test_a_ramp_of_16_bits_is_scaled_and_not_clipped() -> None:
    ramp = np.tile(np.linspace(0, 65535, 16).round().astype(np.uint16), (16, 1))
    pixels = one(encoded(Image.fromarray(ramp)), size=16)
    np.testing.assert_array_equal(pixels[..., 0], np.tile(np.arange(16) * 17, (16, 1)))


TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: x.transpose(1, 0, 2)[::-1],
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: x.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_is_turned_upright(orientation: int, kind: str) -> None:
    """As the camera held: `TURNS` is how an upright picture is stored."""
    upright = noise(0, 20, 16)
    exif = Image.Exif()
    exif[0x0112] = orientation
    # 6 is to be turned by 90 degrees clockwise when shown, so it lies turned the other way.
    stored = np.ascontiguousarray(TURNS[orientation](upright))
    content = encoded(stored, kind, exif=exif)
    np.testing.assert_array_equal(one(content, size=16), upright[2:18])


def test_16_bits_are_turned_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    grey = np.arange(100, dtype=np.uint16).reshape(10, 10) * 257
    content = encoded(Image.fromarray(grey), exif=exif)
    np.testing.assert_array_equal(one(content)[..., 0], np.arange(100)[::-1].reshape(10, 10))


def test_the_square_is_from_the_centre() -> None:
    pixels = noise(0, 218, 178)
    content = encoded(pixels)
    np.testing.assert_array_equal(one(content, size=178), pixels[20:198])
    np.testing.assert_array_equal(one(content, size=178, crop=178), pixels[20:198])
    np.testing.assert_array_equal(one(content, size=100, crop=100), pixels[59:159, 39:139])


def test_resizing_down_is_free_of_alias() -> None:
    board = np.indices((128, 128)).sum(0) % 2 * np.uint8(255)
    small = one(encoded(board.astype(np.uint8)), size=32)
    assert np.abs(small.astype(int) - 127.5).max() < 3


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


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_unusable_is_said(content: bytes, reason: str) -> None:
    with pytest.raises(Unusable, match=reason) as raised:
        one(content)
    assert "\n" not in str(raised.value)


def test_a_crop_larger_than_the_picture_is_unusable() -> None:
    with pytest.raises(Unusable, match="16 x 20 pixels, less than 17 on a side"):
        one(encoded(noise(0)), crop=17)


# The whole way


@each_source
def test_every_source_gives_the_same_array(pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path) -> None:
    source = pack(tmp_path, PEOPLE)
    prepared = prepare_images(source, out, size=16)
    images = read_images(out)
    np.testing.assert_array_equal(images.array, [one(PEOPLE[name], 16) for name in sorted(PEOPLE)])
    assert [name.removeprefix("celeba/img/") for name in images.names] == sorted(PEOPLE)
    assert prepared.skipped == {}
    assert prepared.shape == images.array.shape == (len(PEOPLE), 16, 16, 3)
    assert prepared.test == len(images.test)


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


def test_the_array_is_mapped_and_not_read(tmp_path: Path, out: Path) -> None:
    prepare_images(folder(tmp_path, PEOPLE), out, size=256)
    tracemalloc.start()
    images = read_images(out)
    assert tracemalloc.get_traced_memory()[1] < images.array.nbytes / 4
    tracemalloc.stop()
    assert isinstance(images.array, np.memmap)
    assert not images.array.flags.writeable
    assert out.stat().st_size == images.array.nbytes + 128


@each_source
def test_what_is_unusable_is_listed_and_leaves_no_gap(
    pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path
) -> None:
    unusable = {f"{'aem'[i % 3]}/{i}.jpg": content for i, (content, _) in enumerate(REFUSED.values())}
    prepared = prepare_images(pack(tmp_path, {**PEOPLE, **unusable}), out, size=16)
    images = read_images(out)
    assert [name[-9:] for name in images.names] == sorted(PEOPLE)
    np.testing.assert_array_equal(images.array, [one(PEOPLE[name], 16) for name in sorted(PEOPLE)])
    assert [name.removeprefix("celeba/img/") for name in prepared.skipped] == sorted(unusable)
    for (name, reason), (_, expected) in zip(
        sorted(prepared.skipped.items(), key=by_number), REFUSED.values(), strict=True
    ):
        assert expected in reason, name


def by_number(named: tuple[str, str]) -> int:
    return int(Path(named[0]).stem)


@each_source
def test_hidden_files_are_left_out(pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path) -> None:
    hidden = dict.fromkeys([".DS_Store", "a/.x.png", ".git/x.png", "__MACOSX/a/._1.png"], encoded(noise(0)))
    prepared = prepare_images(pack(tmp_path, {**PEOPLE, **hidden}), out, size=8)
    assert prepared.shape[0] == len(PEOPLE)
    assert prepared.skipped == {}


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


# What goes wrong


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

    monkeypatch.setattr(pixels_module, "_close_gaps", fill)
    with pytest.raises(InputError, match=r"write .*faces\.npy.*No space left"):
        prepare_images(folder(tmp_path, PEOPLE), out)
    assert everything(out.parent) == []


@pytest.mark.parametrize("side", [11, 20], ids=["a warning of Pillow", "an error of Pillow"])
def test_a_picture_of_too_many_pixels_is_refused(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    files = {"bomb.png": encoded(noise(0, side, side)), "good.png": encoded(noise(0, 10, 10))}
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare_images(zipped(tmp_path, files), out, size=8)
    assert prepared.skipped == {"bomb.png": "more than 100 pixels"}
    assert read_images(out).names == ("good.png",)


@each_source
def test_a_file_of_too_many_bytes_is_not_read(
    pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources_module, "MAX_BYTES", 5000)
    prepared = prepare_images(pack(tmp_path, {**PEOPLE, "a/zeros.png": bytes(5001)}), out, size=8)
    assert [*prepared.skipped.values()] == ["5,001 bytes, more than 5,000"]


def test_a_zip_member_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path, out: Path) -> None:
    source = zipped(tmp_path, {"a.png": plain((1, 2, 3)), "bomb.png": bytes(10**7)})
    content = source.read_bytes()
    source.write_bytes(content.replace(struct.pack("<I", 10**7), struct.pack("<I", 100)))
    prepared = prepare_images(source, out, size=8)
    assert list(prepared.skipped) == ["bomb.png"]


@each_archive
def test_names_that_lead_out_of_an_archive_are_skipped(
    pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path
) -> None:
    (tmp_path / "inner").mkdir()
    outside = ["../out.png", "a/../../out.png", "/tmp/out.png"]
    source = pack(tmp_path / "inner", {**PEOPLE, **dict.fromkeys(outside, encoded(noise(0)))})
    before = everything(tmp_path)
    prepared = prepare_images(source, out, size=8)
    assert prepared.skipped == dict.fromkeys(sorted(outside), "its name leads out of the archive")
    assert everything(tmp_path) == [*before, "out", "out/faces.json", "out/faces.npy"]


def test_links_and_devices_in_a_tar_are_skipped(tmp_path: Path, out: Path) -> None:
    source = tar(tmp_path, PEOPLE)
    with tarfile.open(source, "a") as archive:
        for name, kind in (
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    prepared = prepare_images(source, out, size=8)
    assert prepared.skipped == dict.fromkeys(["hard.png", "link.png", "pipe.png"], "a link or device")


def test_the_last_of_a_name_counts(tmp_path: Path, out: Path) -> None:
    source = tar(tmp_path, PEOPLE)
    content = plain((1, 2, 3))
    with tarfile.open(source, "a") as archive:
        info = tarfile.TarInfo("a/a_0.png")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    assert prepare_images(source, out, size=8).shape[0] == len(PEOPLE)
    np.testing.assert_array_equal(read_images(out).array[0], np.broadcast_to([1, 2, 3], (8, 8, 3)))


def test_links_and_pipes_in_a_folder(tmp_path: Path, out: Path) -> None:
    source = folder(tmp_path, {"a/1.png": plain((1, 2, 3))})
    (source / "linked.png").symlink_to(source / "a" / "1.png")
    (source / "dangling.png").symlink_to(source / "nowhere")
    (source / "again").symlink_to(source)
    os.mkfifo(source / "pipe.png")
    prepared = prepare_images(source, out, size=8)
    assert read_images(out).names == ("a/1.png", "linked.png")
    assert prepared.skipped == {
        "again": "a link to a folder, which is not followed",
        "dangling.png": "not a file",
        "pipe.png": "not a file",
    }


def test_an_encrypted_or_oddly_packed_zip_member_is_listed(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "pictures.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for name, method in (("a.png", 0), ("b.png", 0), ("c.png", zipfile.ZIP_LZMA)):
            archive.writestr(name, plain((1, 2, 3)), compress_type=method)
    content = bytearray(source.read_bytes())
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    content[second + 8] |= 1  # the flag of encryption
    source.write_bytes(content)
    prepared = prepare_images(source, out, size=8)
    assert prepared.skipped["b.png"] == "encrypted"
    assert "method 14" in prepared.skipped["c.png"]
    assert read_images(out).names == ("a.png",)


def test_a_zip_member_with_a_wrong_checksum_is_listed(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "pictures.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("a.bmp", plain((1, 2, 3), kind="BMP"))
        archive.writestr("b.bmp", plain((4, 5, 6), kind="BMP"))
    source.write_bytes(source.read_bytes().replace(bytes([3, 2, 1]), bytes([3, 2, 0]), 1))
    prepared = prepare_images(source, out, size=8)
    assert "CRC" in prepared.skipped["a.bmp"]
    assert read_images(out).names == ("b.bmp",)


@pytest.mark.parametrize("pack", [tar, tar_gz])
def test_a_tar_that_breaks_off_anywhere_is_refused(
    pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path
) -> None:
    source = pack(tmp_path, {name: PEOPLE[name] for name in list(PEOPLE)[:3]})
    content = source.read_bytes()
    # Up to the zeros at the end, which take few bytes when packed.
    needed = len(content) - 60 if pack is tar_gz else len(content.rstrip(b"\0"))
    for size in [*range(600, needed, 97), *range(512, needed, 512)]:
        source.write_bytes(content[:size])
        with pytest.raises(InputError):
            prepare_images(source, out, size=8)


def cut_short(pack: Callable[[Path, Files], Path]) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        path = pack(place, PEOPLE)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path

    return make


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        (place / name).write_bytes(content)
        return place / name

    return make


GREY = np.arange(3 * 8 * 9, dtype=np.uint8).reshape(3, 8, 9)

BAD_SOURCES = {
    "nothing there": (lambda place: place / "nowhere", "No such file"),
    "a folder of nothing": (lambda place: folder(place, {".hidden": b""}), "it is empty"),
    "an empty zip": (lambda place: zipped(place, {}), "it is empty"),
    "an empty tar": (lambda place: tar(place, {}), "it is empty"),
    "no usable picture": (
        lambda place: folder(place, dict.fromkeys("abcd", b"text")),
        r"none of its 4 files could be used \(a: not a picture; b: .*; c: not a picture; \.\.\.\)",
    ),
    "half a zip": (cut_short(zipped), "whole zip.*truncated"),
    "half a tar": (cut_short(tar), "whole tar.*truncated"),
    "half a tar.gz": (cut_short(tar_gz), "whole tar.*truncated"),
    "a picture": (written("a.png", plain(0)), "folder, zip, tar or idx"),
    "an empty file": (written("a.zip", b""), "folder, zip, tar or idx"),
    "packed text": (written("a.gz", gzip.compress(b"text")), "folder, zip, tar or idx"),
    "half an idx": (written("a", idx(GREY)[:-1]), "216 bytes are said and 215 are there"),
    "half an idx.gz": (written("a.gz", gzip.compress(idx(noise(0)))[:-9]), "whole idx file"),
    "an idx of nothing": (written("a", struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 0, 0)), "0 bytes are said"),
    "an idx of labels": (written("a", idx(np.zeros(30, np.uint8))), "maybe labels"),
}


@pytest.mark.parametrize(("make", "message"), BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_a_source_without_pictures_is_refused(
    make: Callable[[Path], Path], message: str, tmp_path: Path, out: Path
) -> None:
    source = make(tmp_path)
    with pytest.raises(InputError, match=message) as raised:
        prepare_images(source, out)
    assert str(source) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not out.parent.exists() or everything(out.parent) == []


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(place: str) -> None:
        raise PermissionError(13, "Permission denied", str(place))

    source = folder(tmp_path, PEOPLE)
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match="Permission denied"):
        prepare_images(source, out)


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


# The two halves


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


# Idx files


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


def test_idx_pictures_of_too_many_bytes_are_refused(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx_module, "MAX_BYTES", 71)
    with pytest.raises(InputError, match="digits/0: 72 bytes, more than 71"):
        prepare_images(written("digits", idx(GREY))(tmp_path), out)


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


# Reading


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


# The data that others know too


def real(name: str) -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("RADOGAGA_DATA") or beside) / name
    if not path.exists():
        pytest.skip(f"{name} is not at {path}; set RADOGAGA_DATA to the folder that holds it")
    return path


def some_of(source: Path, place: Path, count: int) -> Path:
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(place / source.name, "w") as part:
        for name in whole.namelist()[:: len(whole.namelist()) // count]:
            part.writestr(name, whole.read(name))
    return place / source.name


def test_faces_are_split_by_person(tmp_path: Path, out: Path) -> None:
    source = some_of(real("faces_lfw/lfw_pairs_aligned_112.zip"), tmp_path, 500)
    prepared = prepare_images(source, out, by_folder=True)
    assert prepared.skipped == {}
    assert prepared.shape[0] >= 500
    assert prepared.shape[1:] == (64, 64, 3)
    assert 0.05 < prepared.test / prepared.shape[0] < 0.15
    assert 80 < read_images(out).array.mean() < 150


def test_clothing_of_the_right_size_is_unchanged(tmp_path: Path, out: Path) -> None:
    source = some_of(real("clothing_cc0/clothing_small_64.zip"), tmp_path, 200)
    prepare_images(source, out, by_folder=True)
    images = read_images(out)
    with zipfile.ZipFile(source) as archive:
        for i in (0, len(images.names) - 1):
            decoded = Image.open(io.BytesIO(archive.read(images.names[i])))
            np.testing.assert_array_equal(images.array[i], np.asarray(decoded))
    assert {images.names[i].split("/")[0] for i in images.train} == {"train"}


def test_fashion_is_the_raw_numbers(out: Path) -> None:
    source = real("fashion_mnist/t10k-images-idx3-ubyte.gz")
    prepare_images(source, out, size=28)
    with gzip.open(source) as stream:
        numbers = np.frombuffer(stream.read()[16:], np.uint8)
    np.testing.assert_array_equal(read_images(out).array, numbers.reshape(10_000, 28, 28, 1))


@pytest.mark.slow
def test_all_faces_take_seconds(out: Path) -> None:
    started = time.perf_counter()
    prepared = prepare_images(real("faces_lfw/lfw_pairs_aligned_112.zip"), out, by_folder=True)
    assert prepared.shape == (7701, 64, 64, 3)
    assert time.perf_counter() - started < 120
