"""Idx files, the format of MNIST: grey numbers after a header with their count, height and width."""

from __future__ import annotations

import gzip
import math
import re
import struct
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from radogaga.errors import InputError
from radogaga.images.source import BROKEN, MAX_BYTES, Source, Unusable, damaged

GZIP_START = b"\x1f\x8b"
NAME = re.compile(r"[-.]idx3-ubyte(\.gz)?$")
HEAD = 16  # four bytes that say what follows, and three numbers


def is_idx(path: Path, start: bytes) -> bool:
    """Return whether a file that starts with these four bytes is an idx file, be it of pictures or of labels."""
    if start.startswith(GZIP_START):
        try:
            with gzip.open(path) as stream:
                start = stream.read(4)
        except BROKEN:
            return False
    return len(start) == 4 and start[:2] == b"\0\0" and 8 <= start[2] <= 14 and start[3] > 0


def open_idx(paths: Sequence[Path], root: Path, others: Iterable[str], stack: ExitStack) -> Source:
    """Open idx files of pictures as one source; `others` are names of files beside them that hold none."""
    places: dict[str, tuple[IO[bytes], int, tuple[int, int]]] = {}
    refusals = dict.fromkeys(others, "no pictures, beside idx files")
    seen: set[str] = set()
    for path in paths:
        file = path.relative_to(root).as_posix().removesuffix(".gz")
        if file in seen:
            refusals[f"{file}.gz"] = "the same file uncompressed is taken"
            continue
        seen.add(file)
        stream = stack.enter_context(_unpacked(path))
        count, height, width = _idx_shape(stream, path)
        for i in range(count):
            name = f"{file}/{i:0{len(str(count - 1))}}"
            places[name] = stream, HEAD + i * height * width, (height, width)

    def read(name: str) -> NDArray[np.uint8]:
        if name in refusals:
            raise Unusable(refusals[name])
        stream, offset, shape = places[name]
        if math.prod(shape) > MAX_BYTES:
            raise Unusable(f"{math.prod(shape):,} bytes, more than {MAX_BYTES:,}")
        stream.seek(offset)
        return np.frombuffer(stream.read(math.prod(shape)), np.uint8).reshape(shape)

    return Source([*refusals, *places], read, channels=1)


def _unpacked(path: Path) -> IO[bytes]:
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == GZIP_START
        return cast(IO[bytes], gzip.open(path)) if packed else path.open("rb")
    except OSError as error:
        raise damaged(path, "idx file", error) from None


def _idx_shape(stream: IO[bytes], path: Path) -> tuple[int, int, int]:
    """Return how many pictures of what height and width an idx file holds, all of which have to be there."""
    try:
        kind, *shape = struct.unpack(">4s3I", stream.read(HEAD))
        if kind == b"\0\0\x08\x03":
            # Counted before a name is made for each, since the header may say anything.
            size = 0
            while chunk := stream.read(2**20):
                size += len(chunk)
            if not size or size != math.prod(shape):
                raise EOFError(f"{math.prod(shape):,} bytes are said and {size:,} are there")
            return shape[0], shape[1], shape[2]
    except (*BROKEN, struct.error) as error:
        raise damaged(path, "idx file", error) from None
    raise InputError(f"Expected pictures of bytes in {path}; it holds something else, maybe labels. Pass the pictures.")
