"""Pictures in a folder, a zip, a tar or idx files, read member by member and never unpacked to disk."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from radogaga.errors import InputError
from radogaga.images import idx
from radogaga.images.source import BROKEN, MAX_BYTES, Source, Unusable, damaged

ZIP_STARTS = b"PK\3\4", b"PK\5\6"


@dataclass(frozen=True)
class _Member:
    """A file in a folder or an archive: what it is read by, its bytes, and why it is not read if so."""

    handle: Any
    size: int = 0
    refusal: str = ""


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a folder, zip, tar (also compressed) or idx file (also gzip), and close it in the end.

    Hidden files and ``__MACOSX`` are left out; of two members of one name the last one counts.

    Raises
    ------
    InputError
        If there is nothing, it cannot be read, or it is none of these.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from radogaga.images.sources import open_source
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.png").write_bytes(b"some bytes")
    ...     with open_source(Path(folder)) as source:
    ...         source.names, source.read("a.png")
    (['a.png'], b'some bytes')
    """
    with ExitStack() as stack:
        yield _open(path, stack)


def _open(path: Path, stack: ExitStack) -> Source:
    if path.is_dir():
        return _open_folder(path, stack)
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(
            f"Expected pictures at {path}; it cannot be read ({error.strerror}). Check the path."
        ) from None
    if start in ZIP_STARTS:
        return _open_zip(path, stack)
    if idx.is_idx(path, start):
        return idx.open_idx([path], path.parent, [], stack)
    return _open_tar(path, stack)


def _open_folder(path: Path, stack: ExitStack) -> Source:
    try:
        components = sorted(_walk(path), key=lambda named: named[0])
    except OSError as error:
        raise InputError(
            f"Expected a folder of pictures at {path}; {error.filename} cannot be read ({error.strerror}). "
            "Change its permissions, or take it out."
        ) from None
    source = _source(components, lambda file: file.read_bytes())
    chosen = {name for name in source.names if idx.NAME.search(name)}
    if not chosen:
        return source
    others = [name for name in source.names if name not in chosen]
    return idx.open_idx([path / name for name in sorted(chosen)], path, others, stack)


def _walk(path: Path) -> Iterator[tuple[str, _Member]]:
    def fail(error: OSError) -> None:
        raise error

    for here, folders, files in os.walk(path, onerror=fail):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in [*files, *folders]:
            place = Path(here) / name
            relative = place.relative_to(path).as_posix()
            if place.is_file():
                yield relative, _Member(place, place.stat().st_size)
            elif name in files:
                # Opening a pipe would wait for ever.
                yield relative, _Member(place, refusal="not a file")
            elif place.is_symlink():
                yield relative, _Member(place, refusal="a link to a folder, which is not followed")


def _open_zip(path: Path, stack: ExitStack) -> Source:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except BROKEN as error:
        raise damaged(path, "zip", error) from None

    def fetch(info: zipfile.ZipInfo) -> bytes:
        # A limit, since a member may unpack to more than it says.
        with archive.open(info) as stream:
            return stream.read(info.file_size + 1)

    # Some programs write the other slash.
    components = (
        (info.filename.replace("\\", "/"), _Member(info, info.file_size, _zip_refusal(info)))
        for info in archive.infolist()
        if info.filename and not info.is_dir()
    )
    return _source(components, fetch)


def _zip_refusal(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by method {info.compress_type}; only 0 (stored) and 8 (deflated) are read"
    return ""


def _open_tar(path: Path, stack: ExitStack) -> Source:
    try:
        archive = stack.enter_context(tarfile.open(path))  # noqa: SIM115
    except tarfile.TarError:
        raise InputError(
            f"Expected a folder, zip, tar or idx file of pictures; {path} is none of them. Pass one of these."
        ) from None
    except BROKEN as error:
        raise damaged(path, "tar", error) from None
    try:
        entries = archive.getmembers()
        _check_complete(archive)
    except BROKEN as error:
        raise damaged(path, "tar", error) from None

    def fetch(info: tarfile.TarInfo) -> bytes:
        stream = archive.extractfile(info)
        return stream.read() if stream else b""

    components = (
        (info.name, _Member(info, info.size, "" if info.isfile() else "a link or device"))
        for info in entries
        if not info.isdir()
    )
    return _source(components, fetch)


def _check_complete(archive: tarfile.TarFile) -> None:
    # tarfile takes whatever is no header for the end, be it zeros, as it should be, or a download that broke off.
    stream = archive.fileobj
    if stream is not None:
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise EOFError("its end is missing")


def _source(components: Iterable[tuple[str, _Member]], fetch: Callable[[Any], bytes]) -> Source:
    chosen: dict[str, _Member] = {}
    for raw, member in components:
        place = PurePosixPath(raw)
        if not any(_is_hidden(part) for part in place.parts):
            # The last of a name counts, and is read in its own turn.
            chosen.pop(str(place), None)
            chosen[str(place)] = member

    def read(name: str) -> bytes:
        member = chosen[name]
        if name.startswith("/") or ".." in name.split("/"):
            raise Unusable("its name leads out of the archive")
        if member.refusal:
            raise Unusable(member.refusal)
        if member.size > MAX_BYTES:
            raise Unusable(f"{member.size:,} bytes, more than {MAX_BYTES:,}")
        try:
            return fetch(member.handle)
        except BROKEN as error:
            raise Unusable(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None

    return Source(list(chosen), read)


def _is_hidden(part: str) -> bool:
    return (part.startswith(".") and part != "..") or part == "__MACOSX"
