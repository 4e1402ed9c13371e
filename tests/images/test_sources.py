import gzip
import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from picture_files import (
    PEOPLE,
    Files,
    each_archive,
    each_source,
    encoded,
    everything,
    folder,
    idx,
    noise,
    plain,
    tar,
    tar_gz,
    written,
    zipped,
)
from radogaga import InputError
from radogaga.images.prepare import prepare_images
from radogaga.images.reading import read_images
from radogaga.images.source import MAX_BYTES

LARGE = MAX_BYTES + tarfile.BLOCKSIZE  # bytes of a file with a hole


@each_source
def test_hidden_files_are_left_out(pack: Callable[[Path, Files], Path], tmp_path: Path, out: Path) -> None:
    hidden = dict.fromkeys([".DS_Store", "a/.x.png", ".git/x.png", "__MACOSX/a/._1.png"], encoded(noise(0)))
    prepared = prepare_images(pack(tmp_path, {**PEOPLE, **hidden}), out, size=8)
    assert prepared.shape[0] == len(PEOPLE)
    assert prepared.skipped == {}


def with_a_large_file(place: Path) -> Path:
    source = folder(place, PEOPLE)
    (source / "zeros.png").touch()
    os.truncate(source / "zeros.png", LARGE)
    return source


def with_a_large_zip_member(place: Path) -> Path:
    source = zipped(place, {**PEOPLE, "zeros.png": bytes(54_321)})
    source.write_bytes(source.read_bytes().replace(struct.pack("<I", 54_321), struct.pack("<I", LARGE)))
    return source


def with_a_large_tar_member(place: Path) -> Path:
    source = tar(place, PEOPLE)
    with tarfile.open(source, "a") as archive:
        info = tarfile.TarInfo("zeros.png")
        info.size = LARGE
        archive.fileobj.write(info.tobuf())
        archive.fileobj.seek(LARGE, io.SEEK_CUR)
        archive.offset += tarfile.BLOCKSIZE + LARGE
    return source


@pytest.mark.parametrize("make", [with_a_large_file, with_a_large_zip_member, with_a_large_tar_member])
def test_a_file_of_too_many_bytes_is_not_read(make: Callable[[Path], Path], tmp_path: Path, out: Path) -> None:
    prepared = prepare_images(make(tmp_path), out, size=8)
    assert prepared.skipped == {"zeros.png": f"{LARGE:,} bytes, more than {MAX_BYTES:,}"}


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
