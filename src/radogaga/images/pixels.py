"""A picture's bytes to a square of 8-bit numbers, and many pictures, decoded in parallel, to one file."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from radogaga.images.source import Content, Source, Unusable

# What cameras and programs write; to read some others, Pillow starts programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
MIN_SIDE = 8
AHEAD = 4  # pictures in memory for each thread

Bytes = NDArray[np.uint8]


def square(content: Content, *, size: int, crop: int | None) -> Bytes:
    """Return a picture's centre square, resized, ``(size, size, 3)``, or ``(size, size, 1)`` of grey numbers.

    Parameters
    ----------
    content : bytes or ndarray
        A picture's file, or grey numbers ``(height, width)``.
    size : int
        Side of the square that comes out.
    crop : int, optional
        Side of the square that is taken; default: the largest.

    Raises
    ------
    Unusable
        If it is no picture, is damaged, too large, too small, or of numbers whose white is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.images.pixels import square
    >>> square(np.arange(100, dtype=np.uint8).reshape(10, 10), size=2, crop=2)[..., 0].tolist()
    [[44, 45], [54, 55]]
    """
    try:
        image = _opened(content, crop or MIN_SIDE)
        side = crop or min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = left, top, left + side, top + side
        pixels = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box))
    except Unusable:
        raise
    except UnidentifiedImageError:
        raise Unusable("not a picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    # A damaged file may raise nearly anything.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise Unusable(f"damaged ({reason})") from None
    return pixels.reshape(size, size, -1)


def _opened(content: Content, least: int) -> Image.Image:
    """Return an upright picture in 8-bit RGB, or grey numbers as they are."""
    if isinstance(content, np.ndarray):
        image = Image.fromarray(content)
        _check_size(image, least)
        return image
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        # Before it is decoded.
        _check_size(image, least)
        # 16 bits, in the modes that these formats are opened in.
        deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
        upright = ImageOps.exif_transpose(image)
        return _scaled_to_8_bits(upright) if deep else _rgb(upright)


def _check_size(image: Image.Image, least: int) -> None:
    if min(image.size) < max(least, MIN_SIDE):
        raise Unusable(f"{image.width} x {image.height} pixels, less than {max(least, MIN_SIDE)} on a side")


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    # Pillow would clip at 255.
    levels = (np.asarray(image).astype(np.int64) * 255 + 32767) // 65535
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise Unusable("numbers of 32 bits, of which it is not known what is white")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def write_rows(
    path: Path,
    shape: tuple[int, int, int],
    source: Source,
    decode: Callable[[Content], Bytes],
    workers: int,
    progress: Callable[[int, int], object] | None,
) -> tuple[list[str], dict[str, str]]:
    """Write pictures as the rows of an ``.npy`` file, sorted by name; return their names, and why others are skipped.

    A few pictures are in memory at a time. They are read in the source's own order and written to their places.
    """
    skipped: dict[str, str] = {}
    ordered = sorted(source.names)
    place = {name: i for i, name in enumerate(ordered)}
    with path.open("wb+") as file, _quiet(), ThreadPoolExecutor(workers) as pool:
        start = _write_header(file, (len(ordered), *shape))
        row_bytes = int(np.prod(shape))
        for done, (name, future) in enumerate(_decoded(pool, source, decode, AHEAD * workers), 1):
            try:
                row = future.result().tobytes()
            except Unusable as unusable:
                skipped[name] = str(unusable)
            else:
                file.seek(start + place[name] * row_bytes)
                file.write(row)
            if progress:
                progress(done, len(ordered))
        names = [name for name in ordered if name not in skipped]
        _close_gaps(file, start, row_bytes, [place[name] for name in names])
        file.seek(0)
        _write_header(file, (len(names), *shape))
    return names, dict(sorted(skipped.items()))


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> int:
    """Write the header of an array, whose length does not depend on the number of rows, and return that length."""
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.tell()


def _close_gaps(file: IO[bytes], start: int, row_bytes: int, rows: list[int]) -> None:
    for new, old in enumerate(rows):
        if new != old:
            file.seek(start + old * row_bytes)
            row = file.read(row_bytes)
            file.seek(start + new * row_bytes)
            file.write(row)
    file.truncate(start + len(rows) * row_bytes)


def _decoded(
    pool: ThreadPoolExecutor, source: Source, decode: Callable[[Content], Bytes], ahead: int
) -> Iterator[tuple[str, Future[Bytes]]]:
    """Decode in parallel, as Pillow releases the interpreter's lock, and yield pictures in the source's order."""
    waiting: deque[tuple[str, Future[Bytes]]] = deque()
    for name in source.names:
        waiting.append((name, _submit(pool, source, name, decode)))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _submit(pool: ThreadPoolExecutor, source: Source, name: str, decode: Callable[[Content], Bytes]) -> Future[Bytes]:
    # Archives are read by this thread only.
    try:
        return pool.submit(decode, source.read(name))
    except Unusable as unusable:
        refused: Future[Bytes] = Future()
        refused.set_exception(unusable)
        return refused


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn Pillow's warning of a picture too large into an error, and drop its others, which name no file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
