"""Fixtures of the tests of images."""

from pathlib import Path

import pytest


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where an array of pictures is to be written."""
    return tmp_path / "out" / "faces.npy"
