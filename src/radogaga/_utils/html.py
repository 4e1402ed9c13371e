"""Results as one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Container, Sequence
from html import escape
from pathlib import Path

_STYLE = """
:root { color-scheme: light dark; --ink: #22313f; --paper: #ffffff; --line: #d5dce3; --soft: #f4f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --paper: #171d23; --line: #39434d; --soft: #212a33; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 92rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { max-width: 50rem; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { background: var(--soft); } td.word, th.word { text-align: left; }
td.best { font-weight: 700; } table.wrap td { white-space: normal; max-width: 32rem; vertical-align: top; }
tr.group td { border-top: 2px solid var(--ink); }
figure { margin: 1rem 0; } img { max-width: 100%; background: #fff; border-radius: 4px; }
figcaption { font-size: .85rem; opacity: .85; max-width: 50rem; }
code, pre { background: var(--soft); padding: .1rem .3rem; border-radius: 3px; font-size: .85rem; }
"""

_GENERATOR = '<meta name="generator" content="radogaga">'


def is_page(path: Path) -> bool:
    """Return whether a file is a page that `page` made."""
    with path.open("rb") as file:
        return _GENERATOR.encode() in file.read(10_000)


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def heading(text: str) -> str:
    """Return a section's heading."""
    return f"<h2>{escape(text)}</h2>"


def subheading(text: str) -> str:
    """Return the heading of a part of a section."""
    return f"<h3>{escape(text)}</h3>"


def preformatted(text: str) -> str:
    """Return text as it was typed: a command, a configuration."""
    return f"<pre>{escape(text)}</pre>"


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: int = 1,
    grouped: bool = False,
    best: Container[tuple[int, int]] = (),
    wrap: bool = False,
) -> str:
    """Return a table.

    Parameters
    ----------
    columns : sequence of str
        The headings.
    rows : sequence of sequences of str
        The cells.
    words : int
        How many of the first columns are text.
    grouped : bool
        Whether a line stands above each row whose first cell is neither empty nor that of the row before.
    best : container of (int, int)
        Which cells, as row and column, are in bold.
    wrap : bool
        Whether long cells may break into lines.
    """
    kinds = ["word" if i < words else "" for i in range(len(columns))]
    head = "".join(_cell("th", kind, column) for kind, column in zip(kinds, columns, strict=True))
    body = []
    for i, row in enumerate(rows):
        starts = grouped and i > 0 and row[0] not in ("", rows[i - 1][0])
        group = ' class="group"' if starts else ""
        cells = (
            _cell("td", f"{kind} best" if (i, j) in best else kind, cell)
            for j, (kind, cell) in enumerate(zip(kinds, row, strict=True))
        )
        body.append(f"<tr{group}>{''.join(cells)}</tr>")
    kind = ' class="wrap"' if wrap else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _cell(tag: str, kind: str, text: str) -> str:
    kind = f' class="{kind.strip()}"' if kind else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def picture(image: bytes, caption: str) -> str:
    """Return a PNG inside the page, with a caption that says what to see in it."""
    data = base64.b64encode(image).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole HTML page of a title and parts in order."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'{_GENERATOR}<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
