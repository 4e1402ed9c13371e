"""Public data that some tests check against, where it is on this machine."""

import os
from pathlib import Path

import pytest


def public_data(*files: str) -> Path:
    """Return the folder with some files in it, or skip the test."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RADOGAGA_DATA") or beside)
    missing = [file for file in files if not (folder / file).exists()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not in {folder}; set RADOGAGA_DATA to the folder that holds them")
    return folder


def public_file(file: str) -> Path:
    """Return the path of a file, or skip the test."""
    return public_data(file) / file
