"""The split into training and test pictures, which depends on their names alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from radogaga.errors import InputError

PARTS = 10
GIVEN_HALVES = re.compile(r"(train|test|t10k|val|dev)", re.IGNORECASE)


def own_parts(names: Sequence[str]) -> list[list[str]]:
    """Return names as lists of folders and file, without the folders that all share."""
    parts = [name.split("/") for name in names]
    folders = [p[:-1] for p in parts]
    first, last = min(folders, default=[]), max(folders, default=[])
    common = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return [p[common:] for p in parts]


def top_folders(names: Sequence[str], source: Path) -> list[str]:
    """Return the first folder in which names differ, for each name."""
    folders = [parts[0] if len(parts) > 1 else "." for parts in own_parts(names)]
    if names and len(set(folders)) < 2:
        raise InputError(
            f"Expected pictures in at least two folders to split {source} by folder; got one. Split it by name instead."
        )
    return folders


def test_rows(groups: Sequence[str], *, given: bool, tenth: int) -> list[int]:
    """Return the rows of about a tenth of the groups, chosen by their names, so that groups added later change nothing.

    The ten tenths are disjoint, and together they have all groups.
    """
    distinct = set(groups)
    if given and all(GIVEN_HALVES.match(group) for group in distinct):
        if tenth:
            raise InputError(f"Expected no tenth where folders say which pictures to test on; got {tenth}. Drop it.")
        test = {group for group in distinct if not group.lower().startswith("train")}
    else:
        test = {group for group in distinct if int(PARTS * _place(group)) == tenth}
    if len(distinct) > 1:
        # Few groups may all fall on one side.
        ranked = sorted(distinct, key=_place)
        test = (test or {ranked[tenth % len(ranked)]}) if test != distinct else distinct - {ranked[-1]}
    return [i for i, group in enumerate(groups) if group in test and len(distinct) > 1]


def _place(name: str) -> float:
    """Return a number in [0, 1) that looks random but depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="backslashreplace")).digest()[:8]) / 2**64
