"""Pages show the numbers of results/*.json, and no others."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RESULTS = sorted((ROOT / "results").glob("*.json"))


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


figures = tool("figures")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_rendering_again_changes_nothing(page: Path) -> None:
    assert figures.rendered(page.read_text(), page) == page.read_text()


@each_page
def test_a_page_shows_no_number_that_no_file_stands_for(page: Path) -> None:
    assert figures.stray_figures(page.read_text()) == []


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_says_what_gave_it(path: Path) -> None:
    result = json.loads(path.read_text())
    assert {"about", "command", "date", "versions", "machine", "rows"} <= set(result)
    assert all(result[key] for key in ("about", "command", "date", "machine", "rows"))
    assert "radogaga" in result["versions"]


def test_every_result_is_on_a_page() -> None:
    shown = {place[2] for page in PAGES for place in figures.PLACE.finditer(page.read_text())}
    assert shown == {path.name for path in RESULTS}


def test_a_number_outside_a_table_is_found() -> None:
    page = "It is 1.5 times as fast (`0.1`, Python 3.11):\n```python\n0.25\n```\n[page](a.1.md) and .75 or -0.5.\n"
    assert figures.stray_figures(page) == ["1.5", ".75", "0.5"]


def test_a_number_that_is_not_its_files_is_replaced() -> None:
    page = PAGES[0]
    wrong = page.read_text().replace("| **RaDOGAGA** | 0.", "| **RaDOGAGA** | 9.")
    assert wrong != page.read_text()
    assert figures.rendered(wrong, page) == page.read_text()


def result(experiment: str, rows: list[dict[str, Any]], **config: Any) -> dict[str, Any]:
    environment = {"radogaga": "9.9.9", "torch": "2.6.0", "machine": "x86_64", "system": "Linux", "accelerator": "none"}
    return {"experiment": experiment, "config": config, "environment": environment, "rows": rows}


def test_a_stored_run_has_the_medians_of_its_seeds_and_where_they_come_from() -> None:
    rows = [{"data": "flat", "method": "default", "seed": i, "pearson_log": r} for i, r in enumerate((0.7, 0.9, 0.8))]
    stored = tool("store").stored([result("density", rows)], [{}], "radogaga reproduce density", "about")
    assert stored["rows"][0]["pearson_log"] == 0.8
    assert stored["versions"] == {"radogaga": "9.9.9", "torch": "2.6.0"}
    assert "x86_64" in stored["machine"]
    assert figures.VIEWS["toy_density"](stored["rows"])[-1][1] == "0.8000"


def test_several_folders_of_pictures_make_one_file() -> None:
    store, row = tool("store"), {"metric": "mse", "model": "recommended", "seconds": 120.0, "probe_r": 0.5}
    runs = [result("isometry", [row], steps=10), result("isometry", [row], steps=20)]
    stored = store.stored(runs, [{"size": 32}, {"size": 64}], "command", "about")
    assert [(row["size"], row["steps"], row["minutes"]) for row in stored["rows"]] == [(32, 10, 2), (64, 20, 2)]
    assert json.loads(store.as_text(stored)) == stored
