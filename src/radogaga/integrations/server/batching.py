"""One thread that does all the work, on whatever has come while it was busy."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

from radogaga.integrations.server.request_error import RequestError

Job = TypeVar("Job")
Result = TypeVar("Result")

_PATIENCE = 0.004  # seconds


class Batcher(Generic[Job, Result]):
    """Gives jobs to one thread in batches: those that came while the batch before was worked on.

    A batch that begins with fewer jobs than the one before waits for as many, some thousandths of a second: clients
    that were answered together ask again together. One client that asks again and again never waits.

    Parameters
    ----------
    work : callable
        From jobs to as many results; a result that is an exception is raised where the job was given.
    max_batch : int
        Jobs in a batch at most.
    max_waiting : int
        Jobs that may wait; others are refused.

    Examples
    --------
    >>> import asyncio
    >>> from radogaga.integrations.server.batching import Batcher
    >>> async def squares():
    ...     with Batcher(lambda jobs: [job**2 for job in jobs]) as batcher:
    ...         return await asyncio.gather(*map(batcher.run, range(4)))
    >>> asyncio.run(squares())
    [0, 1, 4, 9]
    """

    def __init__(
        self, work: Callable[[list[Job]], Sequence[Result | Exception]], max_batch: int = 64, max_waiting: int = 1024
    ) -> None:
        self._work, self._max_batch, self._max_waiting = work, max_batch, max_waiting
        self._queue: SimpleQueue[tuple[Job, asyncio.Future[Result]] | None] = SimpleQueue()
        self._jobs_of_last_batch = 1
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)

    def __enter__(self) -> Batcher[Job, Result]:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    async def run(self, job: Job) -> Result:
        """Return the result of a job; if this is cancelled before the job was begun, it is left out.

        Raises
        ------
        RequestError
            If too many jobs wait already.
        """
        if self._queue.qsize() >= self._max_waiting:
            raise RequestError(
                503, f"Expected to answer; {self._max_waiting} requests wait already.", {"Retry-After": "1"}
            )
        future: asyncio.Future[Result] = self._loop.create_future()
        self._queue.put((job, future))
        return await future

    def _run(self) -> None:
        while batch := self._next_batch():
            if wanted := [(job, future) for job, future in batch if not future.cancelled()]:
                results = self._results([job for job, _ in wanted])
                # At once for the whole batch: each call wakes the loop.
                self._loop.call_soon_threadsafe(_deliver, [future for _, future in wanted], results)

    def _results(self, jobs: list[Job]) -> Sequence[Result | Exception]:
        try:
            return self._work(jobs)
        except Exception as error:  # the thread lives on, whatever the work is
            return [error] * len(jobs)

    def _next_batch(self) -> list[tuple[Job, asyncio.Future[Result]]]:
        """Return the jobs that wait, at least one; none when all is over."""
        batch, item = [], self._queue.get()
        self._wait_for_more()
        while item is not None:
            batch.append(item)
            if len(batch) == self._max_batch or self._queue.empty():
                break
            item = self._queue.get()
        if item is None and batch:
            self._queue.put(None)  # for the next time
        self._jobs_of_last_batch = len(batch)
        return batch

    def _wait_for_more(self) -> None:
        end = time.monotonic() + _PATIENCE
        while self._queue.qsize() + 1 < self._jobs_of_last_batch and time.monotonic() < end:
            time.sleep(
                _PATIENCE / 8
            )  # and not for each job by itself, which would stop the loop that takes them each time


def _deliver(futures: Sequence[asyncio.Future[Result]], results: Sequence[Result | Exception]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.cancelled():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
