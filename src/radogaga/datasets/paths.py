"""Where data files lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pooch


def data_folder() -> Path | None:
    """Return the folder that ``RADOGAGA_DATA`` names, if it is set."""
    named = os.environ.get("RADOGAGA_DATA")
    return Path(named) if named else None


def data_home() -> Path:
    """Return the folder that data files are read from and fetched to: `data_folder`, or the user's cache."""
    return data_folder() or Path(pooch.os_cache("radogaga"))
