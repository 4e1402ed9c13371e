"""What every kind of source gives: pictures by name."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radogaga.errors import InputError

# What reading a damaged file raises.
BROKEN = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)

MAX_BYTES = 2**27  # of one picture's file, unpacked

Content = bytes | NDArray[np.uint8]


class Unusable(Exception):  # noqa: N818 - it stops one picture, not the run
    """A picture that cannot be used: the message says why, in a few words."""


@dataclass(frozen=True)
class Source:
    """Pictures by name.

    Attributes
    ----------
    names : sequence of str
        Files in the order in which they are read at the least cost, which need not be sorted.
    read : callable
        From a name to a file's bytes, or to grey numbers ``(height, width)``; raises `Unusable`.
    channels : int
        3 for colour pictures, 1 for grey numbers.
    """

    names: Sequence[str]
    read: Callable[[str], Content]
    channels: int = 3


def damaged(path: Path, kind: str, error: Exception) -> InputError:
    """Return the error of a file that begins well and cannot be read on."""
    return InputError(f"Expected a whole {kind} at {path}; it is truncated or damaged ({error}). Fetch it again.")
