"""An array of pictures and its manifest, read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radogaga.errors import InputError

FORMAT = "radogaga images 1"


@dataclass(frozen=True)
class Images:
    """Pictures on disk, of which only the rows that are asked for come into memory.

    Attributes
    ----------
    array : memmap
        Bytes, ``(n, size, size, channels)``.
    names : tuple of str
        The file that each row was made of.
    train, test : ndarray
        Indexes of rows.
    """

    array: np.memmap[Any, np.dtype[np.uint8]]
    names: tuple[str, ...]
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def read_images(path: str | Path) -> Images:
    """Open an array that `prepare_images` wrote, without reading it.

    Parameters
    ----------
    path : path
        The array's file, ``*.npy``, with its manifest, ``*.json``, beside it.

    Raises
    ------
    InputError
        If one of the two is not there, is damaged, or is not the other's.

    Examples
    --------
    >>> from radogaga.images.reading import read_images
    >>> read_images("nowhere.npy")
    Traceback (most recent call last):
    radogaga.errors.InputError: Expected nowhere.json beside ...; there is none. Make both: radogaga images prepare.
    """
    path = Path(path)
    manifest = read_manifest(path.with_suffix(".json"))
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        names = tuple(manifest["names"])
        rows, test = np.arange(len(names)), np.array(manifest["test"], dtype=np.intp)
        fits = array.dtype == np.uint8 and list(array.shape) == manifest["shape"] and len(array) == len(names)
        train = np.setdiff1d(rows, test)
    except (OSError, EOFError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"Expected an array and its manifest at {path}; they cannot be read ({error}). "
            "Make them again: radogaga images prepare."
        ) from None
    if not fits or len(train) + len(test) != len(rows):
        raise InputError(
            f"Expected the array that {path.with_suffix('.json').name} tells of at {path}; "
            f"got {array.dtype} of shape {array.shape}. Make them again: radogaga images prepare."
        )
    return Images(array, names, train, test)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what a manifest says, or raise `InputError`."""
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"Expected {path.name} beside the array in {path.resolve().parent}; there is none. "
            "Make both: radogaga images prepare."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"Expected JSON in {path}; it is damaged ({error}). Make it again: radogaga images prepare."
        ) from None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise InputError(f"Expected the format {FORMAT!r} in {path}; got {found!r}. Was it made by this program?")
    return dict(manifest)
