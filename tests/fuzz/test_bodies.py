"""Damaged bodies are refused or answered, and change nothing beside them."""

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'radogaga[serve]'")

from fuzz.bodies import attack


@pytest.mark.slow
def test_damaged_bodies_are_refused_or_answered(tmp_path):
    counts = attack(3000, 1, tmp_path)
    assert {verdict for verdict in counts if verdict.startswith("fault")} == set()
    assert counts["answered"] > 100
    assert counts["refused with 422"] > 100
