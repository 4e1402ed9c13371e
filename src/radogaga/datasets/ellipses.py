"""Pictures made on the spot: soft ellipses of ten properties, for demonstrations and tests without data."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radogaga.errors import InputError

_ALL_AT_ONCE = 256


def soft_ellipses(count: int, size: int = 32, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return pictures of one soft ellipse each, ``(count, size, size, 3)``: place, radii, angle and two colours vary.

    Examples
    --------
    >>> from radogaga.datasets.ellipses import soft_ellipses
    >>> soft_ellipses(2, size=16).shape
    (2, 16, 16, 3)
    """
    random = np.random.default_rng(seed)
    place = random.uniform(-0.3, 0.3, (count, 2, 1, 1))
    radius = random.uniform(0.3, 0.7, (count, 2, 1, 1))
    angle = random.uniform(0, np.pi, (count, 1, 1))
    inside, outside = random.uniform(0.5, 1.0, (count, 1, 1, 3)), random.uniform(0.0, 0.5, (count, 1, 1, 3))
    line = np.linspace(-1, 1, size)
    include_residual, down = line[None, None, :] - place[:, 0], line[None, :, None] - place[:, 1]
    along = (include_residual * np.cos(angle) + down * np.sin(angle)) / radius[:, 0]
    beside = (down * np.cos(angle) - include_residual * np.sin(angle)) / radius[:, 1]
    edge = 1 / (1 + np.exp(6 * (np.hypot(along, beside) - 1)))
    pictures = outside + (inside - outside) * edge[..., None]
    return np.rint(255 * pictures).astype(np.uint8)


def write_ellipses(
    out: str | Path, count: int, size: int = 32, *, seed: int = 0, progress: Callable[[int, int], object] | None = None
) -> None:
    """Write soft shapes as PNG files in a zip, beside its place first and then renamed into it.

    Parameters
    ----------
    out : path
        The zip's file.
    count, size : int
        How many pictures, and their side in pixels.
    seed : int
        Draws the shapes.
    progress : callable
        Called as ``progress(done, total)``.

    Raises
    ------
    InputError
        If the file cannot be written or is no ``*.zip``.

    Examples
    --------
    >>> import tempfile, zipfile
    >>> from pathlib import Path
    >>> from radogaga.datasets.ellipses import write_ellipses
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_ellipses(Path(place) / "shapes.zip", count=3, size=16)
    ...     zipfile.ZipFile(Path(place) / "shapes.zip").namelist()
    ['00000.png', '00001.png', '00002.png']
    """
    out = Path(out)
    if out.suffix != ".zip":
        raise InputError(f"Expected a file *.zip to write to; got {out}. Add the ending.")
    beside = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(beside, "w") as archive:
            for start in range(0, count, _ALL_AT_ONCE):
                some = soft_ellipses(min(_ALL_AT_ONCE, count - start), size, seed=seed + start)
                for i, picture in enumerate(some, start):
                    buffer = io.BytesIO()
                    Image.fromarray(picture).save(buffer, "PNG")
                    archive.writestr(f"{i:05}.png", buffer.getvalue())
                if progress:
                    progress(start + len(some), count)
        beside.replace(out)
    except OSError as error:
        raise InputError(f"Expected to write {out}; it failed ({error.strerror}). Pass another place.") from None
    finally:
        beside.unlink(missing_ok=True)
