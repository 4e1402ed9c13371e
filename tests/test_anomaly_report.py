import csv
import json
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from radogaga.experiments.anomaly_detection import report as anomaly_report
from radogaga.experiments.anomaly_detection import summary as anomaly_summary

FAMILIES = {"dagmm": "published", "radogaga-d": "published", "radogaga-untuned": "untuned", "lone-peer": "peer"}
PEERS = ("knn@min-max", "knn@standard")
SETTINGS = [("setting", "value", "source"), ("rate < weight", "0.1", "the paper's & ours")]
VOID = {"meta", "img"}


@dataclass
class Config:
    quick: bool = False

    def described(self) -> dict:
        return {"runs": 2, "note": "<script>"}


class Reader(HTMLParser):
    """Keeps a page's text and refuses tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def make_row(
    method: str, run: int, f1: float | None, *, data: str = "thyroid", family: str = "peer", **figures
) -> dict:
    row = {"data": data, "method": method, "family": family, "scaling": "min-max", "run": run, "seed": run}
    row |= dict.fromkeys(("precision", "recall", "f1", "auroc", "auprc"), f1)
    row |= {"fit_seconds": 1.0 + run, "score_rows_per_second": 1000.0, "collapsed": False, "seconds": 1.0}
    return row | {"difference": None} | figures


def make_table(*, data: str = "thyroid", runs: int = 2) -> list[dict]:
    families = FAMILIES | dict.fromkeys(PEERS, "peer")
    return [
        make_row(method, run, 0.1 * place + 0.01 * run, data=data, family=family)
        for place, (method, family) in enumerate(families.items())
        for run in range(runs)
    ]


def keep_arrays(out, rows: list[dict]) -> None:
    (out / "runs").mkdir(exist_ok=True)
    edges = np.linspace(-1.0, 1.0, 6)
    curve = np.linspace(0, 1, 20)
    for row in rows:
        np.savez(
            out / "runs" / f"{row['data']}-{row['method']}-{row['run']}.npz",
            edges=edges,
            histogram_normal=np.array([0, 1, 5, 9, 4]),
            histogram_anomaly=np.array([3, 1, 0, 0, 0]),
            recall_curve=curve,
            precision_curve=1 - curve / 2,
        )


def read_csv(path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_summary_is_numpys_mean_and_sample_deviation():
    f1 = [0.2, 0.5, 0.9]
    rows = [make_row("knn", run, value, difference=value - 0.5, collapsed=run == 1) for run, value in enumerate(f1)]
    (row,) = anomaly_summary.summary(rows)
    assert row["runs"] == 3
    assert row["f1_mean"] == pytest.approx(np.mean(f1))
    assert row["f1_sd"] == pytest.approx(np.std(f1, ddof=1))
    assert row["difference_mean"] == pytest.approx(np.mean(f1) - 0.5)
    assert row["difference_sd"] == pytest.approx(np.std(f1, ddof=1))
    assert row["collapsed"] == 1
    assert row["fit_seconds"] == 2.0
    assert row["score_rows_per_second"] == 1000.0


def test_one_run_has_no_deviation_and_what_is_missing_stays_missing():
    (row,) = anomaly_summary.summary([make_row("knn", 0, 0.5)])
    assert row["f1_mean"] == 0.5
    assert row["f1_sd"] is None
    assert row["difference_mean"] is None
    assert row["difference_sd"] is None


def test_runs_without_a_figure_are_left_out_of_its_mean_only():
    rows = [make_row("knn", 0, 0.5, difference=0.1), make_row("knn", 1, None), make_row("knn", 2, float("nan"))]
    (row,) = anomaly_summary.summary(rows)
    assert (row["runs"], row["f1_mean"], row["difference_mean"]) == (3, 0.5, 0.1)


def test_the_summary_keeps_the_order_of_rows_and_families_together():
    order = (("b", "peer", "knn"), ("b", "published", "dagmm"), ("b", "peer", "forest"), ("a", "published", "dagmm"))
    rows = [make_row(method, 0, 0.5, data=data, family=family) for data, family, method in order]
    found = [(row["data"], row["family"], row["method"]) for row in anomaly_summary.summary(rows)]
    assert found == [order[0], order[2], order[1], order[3]]


def test_csv_files_read_back_as_the_rows(tmp_path):
    rows = [make_row("knn, with a comma", 0, 0.1 + 0.2), make_row("knn, with a comma", 1, 0.5, difference=-0.25)]
    anomaly_summary.write_csv(tmp_path, rows)
    first, second = read_csv(tmp_path / "runs.csv")
    assert list(first) == list(rows[0])
    assert first["method"] == "knn, with a comma"
    assert float(first["f1"]) == rows[0]["f1"]
    assert (first["difference"], float(second["difference"])) == ("", -0.25)
    (mean,) = read_csv(tmp_path / "table.csv")
    assert float(mean["f1_mean"]) == anomaly_summary.summary(rows)[0]["f1_mean"]
    assert mean["difference_sd"] == ""


def test_the_terminal_table_has_every_row():
    rows = make_table() + make_table(data="kddcup", runs=1)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(anomaly_summary.terminal_table(rows))
    lines = capture.get().splitlines()
    for method in (*FAMILIES, *PEERS):
        assert sum(f" {method} " in line for line in lines) == 2
    assert any("0.505 ± 0.007" in line for line in lines)


def test_the_page_is_well_formed_and_holds_every_method_setting_and_plot(tmp_path):
    rows = make_table()
    keep_arrays(tmp_path, rows)
    anomaly_report.write(tmp_path, Config(), rows, SETTINGS)
    page = (tmp_path / "report.html").read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert {*FAMILIES, *PEERS, "rate < weight", "the paper's & ours", "0.4782"} <= set(reader.text)
    assert "<script" not in page
    made = json.loads(next(text for text in reader.text if text.startswith("{")))
    assert made["config"] == Config().described()
    assert 'class="best">0.5050 ± 0.0071</td>' in page
    kinds = {"spread", "scores", "curves", "scaling"}
    assert {path.name for path in tmp_path.glob("*.png")} == {f"{kind}-thyroid.png" for kind in kinds}
    assert page.count("data:image/png;base64,") == len(kinds)
    assert "A quick run" not in page


def test_a_page_of_one_method_without_figures_is_a_page(tmp_path):
    rows = [make_row("odd <name>", 3, None, data="else")]
    keep_arrays(tmp_path, rows)
    anomaly_report.write(tmp_path, Config(quick=True), rows, [])
    page = (tmp_path / "report.html").read_text()
    assert "odd &lt;name&gt;" in page
    assert "A quick run" in page
    assert not (tmp_path / "scaling-else.png").exists()
