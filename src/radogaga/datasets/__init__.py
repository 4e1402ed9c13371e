"""The experiments' data: where files come from, the toy laws of section 5.2, the anomaly sets of section 5.3.

The anomaly sets and the files are reached by their modules: ``anomaly.load("thyroid")``, ``fetch.fetch("thyroid")``.
"""

from radogaga.datasets.anomaly import Anomalies, Split
from radogaga.datasets.fetch import locate
from radogaga.datasets.toy import (
    FEATURES,
    MEANS,
    ROLL_RADIUS,
    VARIANCES,
    WARP,
    Toy,
    data_folder,
    flat,
    read_toy,
    rolled,
    source_log_prob,
    toy_path,
    warped,
)

__all__ = [
    "FEATURES",
    "MEANS",
    "ROLL_RADIUS",
    "VARIANCES",
    "WARP",
    "Anomalies",
    "Split",
    "Toy",
    "data_folder",
    "flat",
    "locate",
    "read_toy",
    "rolled",
    "source_log_prob",
    "toy_path",
    "warped",
]
