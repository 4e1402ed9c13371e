"""Rows of figures as tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from radogaga.experiments.runs import Row

Columns = Mapping[str, tuple[str, str]]
"""A row's key to its heading and its format."""


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    title : str
        What stands above it.
    headings : sequence of str
        The columns.
    cells : sequence of sequences of str
        The rows; a new group begins where the first cell changes.
    words : int
        How many of the first columns are words, which are aligned to the left.
    """

    title: str
    headings: Sequence[str]
    cells: Sequence[Sequence[str]]
    words: int = 2


def format_row(row: Row, columns: Columns) -> list[str]:
    """Return a row's figures as text; a missing one is empty.

    Examples
    --------
    >>> from radogaga.experiments.tables import format_row
    >>> format_row({"r": 0.98765, "rate": None}, {"r": ("r", ".3f"), "rate": ("rate, nats", ".1f")})
    ['0.988', '']
    """
    return ["" if row.get(key) is None else format(row[key], form) for key, (_, form) in columns.items()]


def number(value: float | None, form: str) -> str:
    """Return a figure as text, or a dash where there is none."""
    return "\N{EN DASH}" if value is None else format(value, form)


def headings(columns: Columns) -> list[str]:
    """Return the headings of columns."""
    return [heading for heading, _ in columns.values()]


def distinct(rows: Sequence[Row], key: str) -> list[str]:
    """Return what rows hold under a key, each once, in order."""
    return list(dict.fromkeys(row[key] for row in rows))
