"""Jobs come back in order, whatever becomes of the others."""

import asyncio
import threading
import time

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'radogaga[serve]'")

from radogaga.integrations.server.batching import Batcher
from radogaga.integrations.server.request_error import RequestError


def test_each_job_gets_its_own_result_and_jobs_that_wait_are_done_together():
    batches = []

    def square(jobs):
        batches.append(len(jobs))
        time.sleep(0.002)
        return [job**2 for job in jobs]

    async def run():
        with Batcher(square, max_batch=16) as batcher:
            return await asyncio.gather(*map(batcher.run, range(100)))

    assert asyncio.run(run()) == [job**2 for job in range(100)]
    assert sum(batches) == 100
    assert max(batches) == 16


def test_an_exception_is_the_jobs_own_and_the_thread_lives_on():
    def work(jobs):
        if jobs[0] == "all":
            raise ZeroDivisionError
        return [ValueError(job) if job == "bad" else job for job in jobs]

    async def run():
        with Batcher(work) as batcher:
            first = await asyncio.gather(*map(batcher.run, ["good", "bad", "good"]), return_exceptions=True)
            second = await asyncio.gather(batcher.run("all"), return_exceptions=True)
            return first, second, await batcher.run("good"), batcher.is_alive

    first, second, last, alive = asyncio.run(run())
    assert [type(result) for result in first] == [str, ValueError, str]
    assert type(second[0]) is ZeroDivisionError
    assert last == "good"
    assert alive


def test_jobs_that_were_given_up_are_left_out_and_too_many_are_refused():
    begin, done = threading.Event(), []

    def work(jobs):
        begin.wait(5)
        done.extend(jobs)
        return jobs

    async def run():
        with Batcher(work, max_batch=1, max_waiting=2) as batcher:
            first = asyncio.create_task(batcher.run("first"))
            await asyncio.sleep(0.05)
            waiting = [asyncio.create_task(batcher.run(name)) for name in ("given up", "last")]
            await asyncio.sleep(0)
            with pytest.raises(RequestError) as refused:
                await batcher.run("too many")
            waiting[0].cancel()
            await asyncio.sleep(0)
            begin.set()
            assert await asyncio.gather(first, waiting[1]) == ["first", "last"]
            return refused.value.status

    assert asyncio.run(run()) == 503
    assert done == ["first", "last"]
