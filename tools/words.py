"""Fail where the code or the README uses a word that readers of the field would stumble over: part of ``make lint``.

python tools/words.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSTEAD = {
    "law": "distribution",
    "laws": "distributions",
    "likeliest": "most probable, or maximum likelihood",
    "drawn in": "clipped",
    "so many": "the number itself",
    "in vain": "without improvement",
    "vain": "without improvement",
    "as yet": "yet, or nothing",
    "lets in": "admits, or gates",
    "wants to be": "is best",
    "finds none of": "the plain negative",
}
"""Words to avoid and what to say instead."""

# Letters alone end a word, so that names_with_law are found; words of a phrase may stand on two lines.
PATTERN = re.compile(
    r"(?<![a-z])(" + "|".join(word.replace(" ", r"\s+(?:#:?\s+)?") for word in INSTEAD) + r")(?![a-z])", re.IGNORECASE
)


def found(text: str) -> Iterator[tuple[int, str]]:
    r"""Yield the line and the word of each place where a text uses one.

    Examples
    --------
    >>> list(found("a mixture\nwhose law is so\n# many"))
    [(2, 'law'), (2, 'so many')]
    """
    for match in PATTERN.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, re.sub(r"[\s#:]+", " ", match[0]).lower()


def pages() -> list[Path]:
    """Return the files to look at."""
    code = [path for kind in ("*.py", "*.pyi") for path in (ROOT / "src").rglob(kind)]
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(code)]


def main() -> None:
    """Print each place, and fail if there is one."""
    places = [
        f"{path.relative_to(ROOT)}:{line}: {word} (say: {INSTEAD[word]})"
        for path in pages()
        for line, word in found(path.read_text())
    ]
    sys.exit("\n".join(places) or None)


if __name__ == "__main__":
    main()
