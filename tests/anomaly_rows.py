"""Rows of experiment 5.3 that nothing was trained for."""

FAMILIES = {"dagmm": "published", "radogaga-d": "published", "radogaga-untuned": "untuned", "lone-peer": "peer"}
PEERS = ("knn@min-max", "knn@standard")


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
