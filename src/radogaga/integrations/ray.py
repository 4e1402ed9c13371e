"""Ray, to score and sample on many processes or machines: ``pip install 'radogaga[cluster]'``.

Ray schedules, restarts what died and moves data; nothing of that is done here. A worker holds one model.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from radogaga.errors import InputError
from radogaga.tabular.defaults import MAX_ROWS_SAMPLED
from radogaga.tabular.estimator import RaDOGAGA
from radogaga.tabular.files.parts import Map
from radogaga.tabular.model import TabularModel
from radogaga.tabular.scoring import score_frame

if TYPE_CHECKING:
    import pandas as pd
    from ray.data import Dataset
    from ray.train import TrainingFailedError

# Ray Data waits for ever if its workers take every processor and none is left to read.
_SHARE = 0.9
# Ray's log is no business of the user's, and it reports no usage.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what a later version does anyway; unset it is a warning
}
# A Ray of this machine keeps to the loopback interface, on any system in spite of the name. Its workers are not put
# behind all other processes, as they are by default: they are what the user waits for.
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}
_ROWS = 65_536


@contextmanager
def cluster(address: str | None = None) -> Iterator[None]:
    """Connect to Ray inside a context; without an address a Ray of this machine starts, and ends with it.

    A Ray that this process is connected to already is taken as it is. The one that starts listens on the loopback
    interface alone if nothing has imported `ray` before, has no dashboard and reports no usage.

    Parameters
    ----------
    address : str, optional
        "auto", "host:6379", "ray://host:10001", ...

    Raises
    ------
    InputError
        If Ray is not installed or there is no cluster at the address.
    """
    if find_spec("ray") is None:
        raise InputError("Expected Ray for a cluster; it is not installed. Run: pip install 'radogaga[cluster]'.")
    before = dict(os.environ)
    os.environ.update(_QUIET | (_LOCAL if address is None else {}))
    try:
        import ray

        if ray.is_initialized():
            yield
            return
        _check_reachable(address)
        own = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address is None else {"address": address}
        try:
            ray.init(**own, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(f"Expected a Ray cluster at {address}; there is none ({reason}). Start one.") from None
        try:
            yield
        finally:
            ray.shutdown()
    finally:
        os.environ.clear()
        os.environ.update(before)


def processors() -> int:
    """Return the number of processors of the cluster."""
    import ray

    return max(int(ray.cluster_resources().get("CPU", 1)), 1)


def map_on(workers: int, *, device: str = "cpu") -> Map:
    """Return a `map` that calls a function on the workers of the cluster, each of which is given it once.

    Results come as they are done. What a worker that died was at is done again by another.

    Parameters
    ----------
    workers : int
        Processes, spread over the machines; each computes with its share of the processors.
    device : str
        Where the function computes; "cuda" takes one GPU for each worker.
    """

    def mapped(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        import ray.data

        if items := list(items):
            dataset = ray.data.from_items([{"item": item} for item in items], override_num_blocks=len(items))
            done = _mapped(dataset, _Worker, (function,), workers, batch_size=1, device=device)
            yield from (row["done"] for row in done.iter_rows())

    return mapped


def fit(dataset: Dataset, *, rows: int = MAX_ROWS_SAMPLED, seed: int = 0, **parameters: Any) -> TabularModel:
    """Return the model of a uniform sample of a Ray data set's rows, fitted in this process.

    A fit takes seconds, and gains nothing from more rows than a hundred thousand; the sample takes one pass.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Rows, with no other columns than those to learn from.
    rows : int
        Rows to draw; of fewer all are taken.
    seed : int
        Draws the rows, and all else that is random.
    parameters
        Those of `radogaga.RaDOGAGA`.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("ray"); pytest.skip("starting Ray takes seconds")
    >>> import ray
    >>> from radogaga.integrations.ray import cluster, fit
    >>> with cluster():
    ...     model = fit(ray.data.read_parquet("big"))
    """
    share = min(1.1 * rows / max(dataset.count(), 1) + 1e-4, 1.0)  # a few too many, of which `rows` are kept
    drawn = dataset.random_sample(share, seed=seed) if share < 1 else dataset
    frame = drawn.to_pandas()
    if len(frame) > rows:
        frame = frame.sample(rows, random_state=seed).sort_index().reset_index(drop=True)
    return RaDOGAGA(random_state=seed, **parameters).fit(frame).model_


def score(dataset: Dataset, model: TabularModel, *, workers: int, reasons: int = 0, device: str = "cpu") -> Dataset:
    """Return a Ray data set with columns for the score, the p-value, whether it is an alarm, and why; it is lazy.

    Parameters
    ----------
    dataset : ray.data.Dataset
        Rows with the columns that the model was fitted to, in any order, and others.
    model : TabularModel
        A fitted model.
    workers : int
        Processes, each with one copy of the model.
    reasons : int
        For how many columns to say how they lower an alarm's score.
    device : str
        Where to compute; "cuda" takes one GPU for each worker.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("ray"); pytest.skip("starting Ray takes seconds")
    >>> import ray
    >>> from radogaga import TabularModel
    >>> from radogaga.integrations.ray import cluster, score
    >>> with cluster():
    ...     scored = score(ray.data.read_parquet("big"), TabularModel.load("model"), workers=4)
    ...     scored.write_parquet("scores")
    """
    arguments = (model, reasons, device)
    return _mapped(dataset, _RowScorer, arguments, workers, batch_size=_ROWS, batch_format="pandas", device=device)


def train(
    function: Callable[[], Any],
    *,
    workers: int,
    device: str = "cpu",
    retries: int = 3,
    storage: str | Path | None = None,
) -> None:
    """Call a function in each of some workers that `torch.distributed` connects; `radogaga.fit` in it trains one model.

    What the function trains goes on from its own checkpoint, at a place that all workers can read, when a worker dies:
    then Ray Train starts all of them again. When this process dies, call it again.

    Parameters
    ----------
    function : callable
        Without arguments. Only the first worker is to write files: `radogaga.method.training.distributed.is_main`.
    workers : int
        Processes.
    device : str
        "cuda" takes one GPU for each worker.
    retries : int
        How often workers are started again.
    storage : path, optional
        A folder for what Ray Train notes of the run, which all machines can write to; by default one of this machine.

    Raises
    ------
    InputError
        Of the function, or if workers died too often.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("ray"); pytest.skip("starting Ray takes seconds")
    >>> from radogaga.integrations.ray import cluster, train
    >>> with cluster():
    ...     train(lambda: radogaga.fit(model, x, checkpoint="/shared/checkpoint"), workers=4, device="cuda")
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    cuda = device.startswith("cuda")
    resources = {"CPU": _cpu_share(workers), **({"GPU": 1} if cuda else {})}
    with tempfile.TemporaryDirectory(prefix="radogaga-") as own:
        trainer = TorchTrainer(
            partial(_work, function, device, max(processors() // workers, 1)),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=cuda, resources_per_worker=resources),
            run_config=RunConfig(storage_path=str(storage or own), failure_config=FailureConfig(max_failures=retries)),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise _as_input_error(error) from None


def _as_input_error(error: TrainingFailedError) -> InputError:
    """Return what a person did wrong, or what has befallen the workers."""
    failures = getattr(error, "worker_failures", {}).values()
    mistakes = [getattr(one, "cause", one) for one in failures]
    reason = next(iter(str(error).strip().splitlines()[-1:]), type(error).__name__)
    return next(
        (one for one in mistakes if isinstance(one, InputError)),
        InputError(f"Expected workers that train to the end; they have failed ({reason}). Run this again."),
    )


def _work(function: Callable[[], Any], device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    function()


def _cpu_share(workers: int) -> float:
    """Return what each of some workers takes of the processors, so that something is left."""
    return round(_SHARE * min(processors() / workers, 1), 4)


def _check_reachable(address: str | None) -> None:
    """Raise `InputError` at once where Ray would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise InputError(f"Expected a Ray cluster at {address}; there is none ({error.strerror or error}).") from None


class _Worker:
    """Calls a function for one item after the other."""

    def __init__(self, function: Callable[[Any], Any], threads: int) -> None:
        torch.set_num_threads(threads)
        self.function = function

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        return {"done": [self.function(item) for item in batch["item"]]}


class _RowScorer:
    """Adds columns of scores to batches of rows."""

    def __init__(self, model: TabularModel, reasons: int, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        if model.density is not None:
            model.density.to(device)
        self.model, self.reasons = model, reasons

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        return batch.assign(**score_frame(self.model, batch, reasons=self.reasons))


def _mapped(
    dataset: Dataset, worker: type, arguments: tuple[Any, ...], workers: int, *, device: str = "cpu", **options: Any
) -> Dataset:
    import ray.data

    return dataset.map_batches(
        worker,
        fn_constructor_args=(*arguments, max(processors() // workers, 1)),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=_cpu_share(workers),
        num_gpus=1 if device.startswith("cuda") else 0,
        **options,
    )
