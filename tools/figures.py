"""Write the tables of README.md and docs/ from the JSON files in results/: ``make figures``.

    python tools/figures.py [--check]

A page marks the place of a table by ``<!-- results: FILE [VIEW] [KEY=VALUE ...] -->`` and ``<!-- end -->``. VIEW names
a function in `views.VIEWS`, by default that of the file's own name; ``KEY=VALUE`` keeps the rows that have it. Outside
such places and outside code a page shows no decimal number. ``--check`` writes nothing and fails where a page is not
what its JSON files make it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from views import VIEWS, Row, Table

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

PLACE = re.compile(r"(<!-- results: (\S+\.json)((?: [^\s>]+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)|<!--.*?-->", re.DOTALL | re.MULTILINE)
DECIMAL = re.compile(r"(?<![\w.])\d*\.\d+")
NO_FIGURE = re.compile(
    r"Python \d\.\d+|(?:[Ss]ections?|[Ee]xperiments?) \d\.\d|(?:radogaga|torch|version) \d+\.\d+(?:\.\d+)?"
)
"""Decimal numbers that were not measured: versions and the paper's sections."""


def rendered(text: str, page: Path) -> str:
    """Return a page with the tables that its JSON files make."""

    def fill(place: re.Match[str]) -> str:
        path = ROOT / "results" / place[2]
        result = json.loads(path.read_text())
        words = place[3].split()
        view = next((word for word in words if "=" not in word), path.stem)
        wanted = dict(word.split("=") for word in words if "=" in word)
        rows = [row for row in result["rows"] if all(str(row.get(key)) == value for key, value in wanted.items())]
        link = os.path.relpath(path, page.parent)
        return f"{place[1]}\n{_markdown(VIEWS[view](rows))}\n{_caption(result, rows, link)}{place[4]}"

    return PLACE.sub(fill, text)


def stray_figures(text: str) -> list[str]:
    """Return the decimal numbers of a page that no JSON file stands for."""
    prose = CODE.sub("``", PLACE.sub("", text))
    return DECIMAL.findall(NO_FIGURE.sub("", prose))


def _markdown(table: Table) -> str:
    head, *lines = ("| " + " | ".join(line) + " |" for line in table)
    rule = "| --- |" + " ---: |" * (len(table[0]) - 1)
    return "\n".join([head, rule, *lines]) + "\n"


def _caption(result: dict[str, Any], rows: Sequence[Row], link: str) -> str:
    """Return one line that says which command gave the figures, when, and on what."""
    dates = sorted({row.get("date", result["date"]) for row in rows})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    made = "; ".join(filter(None, [versions, when, result["machine"], result.get("duration")]))
    return f"<sub>[{Path(link).name}]({link}): `{result['command']}`; {made}.</sub>\n"


def main() -> None:
    """Write the pages, or say which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a page is out of date")
    check = parser.parse_args().check
    wrong = []
    for page in PAGES:
        text = page.read_text()
        made = rendered(text, page)
        if stray := stray_figures(made):
            wrong.append(f"{page.relative_to(ROOT)}: no JSON file in results/ stands for {', '.join(stray)}")
        if made != text and check:
            wrong.append(f"{page.relative_to(ROOT)} is not what results/ makes it. Run: make figures")
        elif made != text:
            page.write_text(made)
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
