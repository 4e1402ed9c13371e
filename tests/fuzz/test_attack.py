"""Damaged files end no process and raise nothing unexpected; no score changes in silence."""

import pytest

from fuzz.attack import KINDS, attack


@pytest.mark.slow
def test_damaged_files_are_refused_or_read():
    report = attack(2000, seed=20_000)
    assert report["faults"] == []
    assert report["cases"] == 2000
    assert set(report["counts"]) == set(KINDS)
