"""Generated pictures: soft ellipses of random place, shape and colours, for demonstrations and tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radogaga._utils.files import replace_file
from radogaga.errors import InputError

_BATCH = 256


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
    x, y = line[None, None, :] - place[:, 0], line[None, :, None] - place[:, 1]
    major = (x * np.cos(angle) + y * np.sin(angle)) / radius[:, 0]
    minor = (y * np.cos(angle) - x * np.sin(angle)) / radius[:, 1]
    edge = 1 / (1 + np.exp(6 * (np.hypot(major, minor) - 1)))
    pictures = outside + (inside - outside) * edge[..., None]
    return np.rint(255 * pictures).astype(np.uint8)


def write_ellipses(
    out: str | Path, count: int, size: int = 32, *, seed: int = 0, progress: Callable[[int, int], object] | None = None
) -> None:
    """Write soft ellipses as PNG files in a zip.

    Parameters
    ----------
    out : path
        The zip's file.
    count, size : int
        Number of pictures, and their side in pixels.
    seed : int
        Seeds the pictures.
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
    with replace_file(out) as beside, zipfile.ZipFile(beside, "w") as archive:
        for start in range(0, count, _BATCH):
            some = soft_ellipses(min(_BATCH, count - start), size, seed=seed + start)
            for i, picture in enumerate(some, start):
                buffer = io.BytesIO()
                Image.fromarray(picture).save(buffer, "PNG")
                archive.writestr(f"{i:05}.png", buffer.getvalue())
            if progress:
                progress(start + len(some), count)
