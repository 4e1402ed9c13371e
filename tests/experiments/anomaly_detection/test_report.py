import json
from html.parser import HTMLParser

import numpy as np

from anomaly_rows import FAMILIES, PEERS, make_row, make_table
from radogaga.experiments.anomaly_detection.report import write
from radogaga.experiments.anomaly_detection.settings import Config

VOID = {"meta", "img"}


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


def test_the_page_is_well_formed_and_holds_every_method_setting_and_plot(tmp_path):
    rows = make_table()
    keep_arrays(tmp_path, rows)
    write(tmp_path, Config(), rows)
    page = (tmp_path / "report.html").read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert {*FAMILIES, *PEERS, "0.4782"} <= set(reader.text)
    assert "<script" not in page
    made = json.loads(next(text for text in reader.text if text.startswith("{")))
    assert made["config"] == json.loads(json.dumps(Config().described()))
    assert 'class="best">0.5050 ± 0.0071</td>' in page
    kinds = {"spread", "scores", "curves", "scaling"}
    assert {path.name for path in tmp_path.glob("*.png")} == {f"{kind}-thyroid.png" for kind in kinds}
    assert page.count("data:image/png;base64,") == len(kinds)
    assert "A quick run" not in page


def test_a_page_of_one_method_without_figures_is_a_page(tmp_path):
    rows = [make_row("odd <name>", 3, None, data="else")]
    keep_arrays(tmp_path, rows)
    write(tmp_path, Config(quick=True), rows)
    page = (tmp_path / "report.html").read_text()
    assert "odd &lt;name&gt;" in page
    assert "A quick run" in page
    assert not (tmp_path / "scaling-else.png").exists()
