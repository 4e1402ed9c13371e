"""Views of the rows of JSON files in results/, as tables of text: what `figures.py` puts on the pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
Table = list[list[str]]
"""Cells, the first line the headings."""

LABELS = {
    "radogaga": "**RaDOGAGA**",
    "untrained": "RaDOGAGA, untrained",
    "lunar": "PyOD LUNAR",
    "knn": "5 nearest neighbours",
    "mixture": "full-covariance mixture by BIC",
    "lof": "local outlier factor",
    "auto_encoder": "PyOD AutoEncoder",
    "isolation_forest": "isolation forest",
    "one_class_svm": "one-class SVM",
    "vae": "PyOD VAE",
    "pca": "PCA reconstruction",
    "ecod": "PyOD ECOD",
    "kernel": "kernel density, cross-validated",
    "flow": "neural spline flow",
    "forde": "adversarial random forest, FORDE",
    "mean_squared_distance": "mean of 5 squared distances",
}
TOY = {
    "pca+mixture": "PCA + mixture, the best of nine",
    "untrained": "untrained network",
    "dagmm": "DAGMM, published settings",
    "dagmm-helped": "DAGMM with the help that RaDOGAGA(d) gets",
    "radogaga-factorized": "RaDOGAGA(d), factorized prior",
    "radogaga-d": "RaDOGAGA(d), published network",
    "radogaga-log": "RaDOGAGA(log d), published network",
    "default": "**default**",
}
PICTURES = {
    "recommended": "**recommended**",
    "pca": "PCA",
    "radogaga": "RaDOGAGA(d), random start",
    "radogaga-aligned": "the same, aligned",
    "radogaga-log": "RaDOGAGA(log d), random start",
    "radogaga-log-aligned": "the same, aligned",
    "beta-vae": "beta-VAE, decomposed",
    "beta-vae-plain": "beta-VAE, plain",
    "beta-vae-rescaled": "the same, in posterior deviations",
}
ANOMALY = {
    "dagmm": "DAGMM, published networks",
    "radogaga-d": "RaDOGAGA(d), published networks",
    "radogaga-log": "RaDOGAGA(log d), published networks",
    "radogaga-d-chosen": "**RaDOGAGA(d), chosen**",
    "radogaga-log-chosen": "**RaDOGAGA(log d), chosen**",
    "untrained-chosen": "the same, untrained",
    "radogaga-untuned": "`RaDOGAGA()`, untuned",
    "pca+mixture@standard": "PCA + mixture, standardised",
    "pca+mixture@min-max": "PCA + mixture, min-max",
    "pca+mixture@asinh": "PCA + mixture, asinh",
    "knn@standard": "5 nearest neighbours, standardised",
    "knn@min-max": "5 nearest neighbours, min-max",
    "knn@asinh": "5 nearest neighbours, asinh",
    "isolation-forest": "isolation forest",
    "pyod-autoencoder": "PyOD AutoEncoder",
    "pyod-ecod": "PyOD ECOD",
    "pyod-lunar": "PyOD LUNAR",
}
DATA = {"kddcup": "KDDCup", "kddcup-rev": "KDDCup-rev", "thyroid": "Thyroid", "arrhythmia": "Arrhythmia"}
METRICS = {"mse": "squared error", "ssim": "1 - SSIM"}


def show(row: Row | None, key: str, form: str) -> str:
    """Return a figure of a row as text, with its deviation or standard error if it has one, "" where there is none."""
    mean = key if row is None or key in row else f"{key}_mean"
    if row is None or row.get(mean) is None:
        return ""
    spread = row.get(f"{key}_sd", row.get(f"{key}_error"))
    return format(row[mean], form) + ("" if spread is None else f" ± {spread:{form.lstrip('+')}}")


def by_row(
    rows: Sequence[Row], labels: dict[str, str], columns: dict[str, tuple[str, str]], name: str = "method"
) -> Table:
    """Return a line for each row; columns, heading to key and format, that no row has a figure for are left out."""
    kept = {heading: c for heading, c in columns.items() if any(show(row, *c) for row in rows)}
    lines = [[labels.get(row[name], row[name]), *(show(row, *c) for c in kept.values())] for row in rows]
    return [["", *kept], *lines]


def by_data(
    rows: Sequence[Row], labels: dict[str, str], cell: Callable[[Row], Sequence[str]], below: Sequence[str] = ()
) -> Table:
    """Return a line for each method, its cells for one data set beside those for the next.

    With headings `below`, there are as many cells for each data set, and these words stand in the first line under it.
    """
    data, methods = (list(dict.fromkeys(row[key] for row in rows)) for key in ("data", "method"))
    found = {(row["data"], row["method"]): row for row in rows}
    width = max(len(below), 1)
    table = [["", *(part for name in data for part in [DATA.get(name, name), *[""] * (width - 1)])]]
    table += [["", *below * len(data)]] if below else []
    for method in methods:
        cells = [cell(found[name, method]) if (name, method) in found else [""] * width for name in data]
        table.append([labels.get(method, method), *(text for part in cells for text in part)])
    return table


def tables(rows: Sequence[Row]) -> Table:
    """Detectors on seven tables."""
    columns = {"AUROC": ("auroc", ".3f"), "AUPRC": ("auprc", ".3f")}
    return by_row([row for row in rows if row["method"] != "untrained"], LABELS, columns)


def oddbench(rows: Sequence[Row]) -> Table:
    """Detectors on many tables, the best first: means, differences from one of them, ranks and times."""
    columns = {
        "AUROC": ("auroc", ".3f"),
        "lead": ("auroc_difference", "+.3f"),
        "rank": ("auroc_rank", ".2f"),
        "AUPRC": ("auprc", ".3f"),
        "lead in AUPRC": ("auprc_difference", "+.3f"),
        "its rank": ("auprc_rank", ".2f"),
        "time / mixture": ("times_mixture", ".2f"),
        "time / forest": ("times_isolation_forest", ".2f"),
    }
    return by_row(sorted(rows, key=lambda row: -row["auroc"]), LABELS, columns)


def adbench(rows: Sequence[Row]) -> Table:
    """As `oddbench`, the ten best, without the times of what others have published."""
    untimed = [{key: v for key, v in row.items() if not key.startswith("times_")} for row in rows]
    return oddbench(untimed)[:11]


def likelihood(rows: Sequence[Row]) -> Table:
    """Log density of held-out rows on many tables: by the median row, and by the mean."""
    columns = {
        "rank": ("median_rank", ".2f"),
        "best on": ("median_best", ".0%"),
        "behind the best": ("median_behind", ".2f"),
        "rank by mean": ("mean_rank", ".2f"),
        "best by mean on": ("mean_best", ".0%"),
        "behind by mean": ("mean_behind", ".2f"),
        "seconds": ("seconds", ".1f"),
    }
    return by_row(sorted(rows, key=lambda row: row["median_rank"]), LABELS, columns)


def toy_density(rows: Sequence[Row]) -> Table:
    """Correlations with the true log density."""

    def cells(row: Row) -> list[str]:
        return [show(row, "pearson_log", ".4f"), show(row, "pearson_log_exact", ".4f")]

    return by_data(rows, TOY, cells, below=["isometric", "exact"])


def toy_density_fresh_seeds(rows: Sequence[Row]) -> Table:
    """Correlations on seeds that nothing was chosen by."""
    return by_data(rows, TOY, lambda row: [show(row, "pearson_log_exact", ".4f")])


def errors(rows: Sequence[Row]) -> Table:
    """Errors in nats, and the diagonal of J'AJ beside what theory predicts."""
    rows = [row for row in rows if row["method"] in ("radogaga-d", "default") and "gram_diag_mean" in row]
    rows = [row | {"label": f"{row['data']}, {TOY[row['method']]}"} for row in rows]
    columns = {
        "error, isometric": ("log_error", "+.3f"),
        "error, exact": ("log_error_exact", "+.3f"),
        "diagonal": ("gram_diag_mean", ".3f"),
        "by theory": ("gram_diag_predicted", ".3f"),
        "off-diagonal": ("gram_off_rms", ".3f"),
    }
    return by_row(rows, {}, columns, name="label")


def isometry(rows: Sequence[Row]) -> Table:
    """How isometric each model is, and what it rebuilds."""
    columns = {
        "steps": ("steps", ",d"),
        "minutes": ("minutes", "d"),
        "r": ("probe_r", ".4f"),
        "r by theory": ("probe_r_predicted", ".3f"),
        "diagonal / theory": ("diag_ratio", ".3f"),
        "off-diagonal": ("off_rms", ".3f"),
        "condition / theory": ("condition_ratio", "#.3g"),
        "active": ("active", "d"),
        "PSNR": ("psnr", ".2f"),
        "SSIM": ("ssim", ".3f"),
        "nats": ("rate", ".1f"),
    }
    return by_row(rows, PICTURES, columns, name="model")


def isometry_by_metric(rows: Sequence[Row]) -> Table:
    """As `isometry`, with rows of several sizes and metrics in one table."""

    def label(row: Row) -> str:
        size = f"{row['size']} x {row['size']}, " if "size" in row else ""
        return f"{size}{METRICS[row['metric']]}: {PICTURES[row['model']]}"

    return isometry([row | {"model": label(row)} for row in rows])


def isometry_importance(rows: Sequence[Row]) -> Table:
    """How far a latent's variance is from what it matters."""
    return by_row(rows, METRICS, {"largest factor": ("importance_worst", ".2f")}, name="metric")


def anomaly(rows: Sequence[Row]) -> Table:
    """F1, with the number of runs where it is not 20."""

    def cell(row: Row) -> list[str]:
        return [show(row, "f1", ".3f") + (f" ({row['runs']})" if row["runs"] != 20 else "")]

    return by_data(rows, ANOMALY, cell)


def anomaly_lead(rows: Sequence[Row]) -> Table:
    """F1 over the best peer on the same halves."""
    rows = [row for row in rows if row["method"] == "radogaga-d-chosen" and "difference_mean" in row]
    return by_data(rows, ANOMALY, lambda row: [show(row, "difference", "+.3f")])


def anomaly_as_published(rows: Sequence[Row]) -> Table:
    """DAGMM trained for as long as it was published."""
    columns = {"runs": ("runs", "d"), "F1": ("f1", ".3f"), "F1 as published": ("f1_published", ".3f")}
    return by_row(rows, ANOMALY, columns)


def gpu(rows: Sequence[Row]) -> Table:
    """Pictures a second of whole training steps, called from Python and replayed as one CUDA graph."""
    columns = {"pictures a second": ("pictures_per_second", ",d"), "as one graph": ("graph_pictures_per_second", ",d")}
    settings = [[f"{row['batch']:,}", row["precision"], "last" if row["channels_last"] else "first"] for row in rows]
    cells = [
        [
            *setting,
            row["compiled"],
            *("" if row[key] is None else format(row[key], form) for key, form in columns.values()),
        ]
        for setting, row in zip(settings, rows, strict=True)
    ]
    return [["batch", "precision", "channels", "compiled", *columns], *cells]


def gpu_training(rows: Sequence[Row]) -> Table:
    """Held-out faces after minutes of training, before and after alignment."""
    columns = {
        "seconds": ("seconds", "d"),
        "pictures": ("pictures_trained_on", ",d"),
        "r": ("probe_r", ".3f"),
        "r by theory": ("probe_r_predicted", ".3f"),
        "diagonal / theory": ("diag_ratio", ".3f"),
        "off-diagonal": ("off_rms", ".3f"),
        "active": ("active", "d"),
        "PSNR": ("psnr", ".2f"),
        "nats": ("rate", ".1f"),
    }
    names = {"mse": "squared error", "ssim": "1 - SSIM"}
    cells = [
        [names[row["metric"]], "aligned" if row["model"].endswith("aligned") else "as trained"]
        + [format(row[key], form) for key, form in columns.values()]
        for row in rows
    ]
    return [["metric", "latents", *columns], *cells]


def serve(rows: Sequence[Row]) -> Table:
    """Return requests and rows a second of a service, as shares of what they are beside."""
    columns = {
        "requests a second": ("requests_per_second", ",d"),
        "rows a second": ("rows_per_second", ",d"),
        "p50, ms": ("p50_ms", ".1f"),
        "p99, ms": ("p99_ms", ".1f"),
        "the service's share of it": ("ratio", ".2f"),
        "its p99, times": ("p99_ratio", ".2f"),
    }
    return by_row(rows, {}, columns, name="measured")


def cluster(rows: Sequence[Row]) -> Table:
    """Seconds that two workers and two bare processes take for as many rows, and memory."""
    columns = {
        "bare, s": ("bare_seconds", ".0f"),
        "workers, s": ("workers_seconds", ".0f"),
        "bare, processor s": ("bare_processor", ".1f"),
        "workers, processor s": ("workers_processor", ".1f"),
        "bare / workers": ("ratio_processor", ".2f"),
        "GiB a worker": ("workers_gib", ".2f"),
    }
    cells = [[f"{row['millions']:g}", *(format(row[key], form) for key, form in columns.values())] for row in rows]
    return [["million rows", *columns], *cells]


def cluster_samples(rows: Sequence[Row]) -> Table:
    """Seconds of a fit to a sample, and the mean log density of new rows."""
    cells = [
        [f"{row['rows']:,}", f"{row['cpu_seconds']:.0f}", f"{row['nats']:.2f} ± {row['error']:.2f}"] for row in rows
    ]
    return [["rows learned from", "processor seconds", "nats a new row"], *cells]


def cluster_expected(rows: Sequence[Row]) -> Table:
    """Parts of a training step, and the share of it that is computing, by the number of GPUs."""
    columns = {
        "computing, ms": ("compute_ms", ".1f"),
        "all-reduce, ms": ("reduce_ms", ".2f"),
        "noise of all, ms": ("noise_ms", ".2f"),
        "efficiency": ("efficiency", ".2f"),
        "with overlap": ("efficiency_overlapped", ".2f"),
        "at a batch of 64": ("efficiency_64", ".3f"),
    }
    cells = [
        [str(row["gpus"]), *("" if row[key] is None else format(row[key], form) for key, form in columns.values())]
        for row in rows
    ]
    return [["GPUs", *columns], *cells]


VIEWS: dict[str, Callable[[Sequence[Row]], Table]] = {
    function.__name__: function
    for function in (
        tables,
        oddbench,
        adbench,
        likelihood,
        toy_density,
        toy_density_fresh_seeds,
        errors,
        isometry,
        isometry_by_metric,
        isometry_importance,
        anomaly,
        anomaly_lead,
        anomaly_as_published,
        gpu,
        gpu_training,
        serve,
        cluster,
        cluster_samples,
        cluster_expected,
    )
}
