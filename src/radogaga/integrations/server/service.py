"""A model at work: what is shared by all requests, from the start to the end of a service."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from radogaga.integrations.server.batching import Batcher
from radogaga.integrations.server.bodies import BodyReader
from radogaga.integrations.server.formats import JSON, answer_type, body_type
from radogaga.integrations.server.metrics import Metrics
from radogaga.integrations.server.model_holder import ModelHolder
from radogaga.integrations.server.request_error import RequestError
from radogaga.integrations.server.scoring import Answer, Job, Scorer
from radogaga.integrations.server.settings import Settings

_SECONDS_BETWEEN_LOOKS = 1.0


class Service:
    """Takes requests, has them answered by one thread, and loads the model anew beside that.

    Parameters
    ----------
    settings : Settings
        The model and limits.

    Raises
    ------
    InputError
        If the model cannot be loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.holder = ModelHolder(settings.folder)
        self._bodies = BodyReader(settings)
        self._batcher: Batcher[Job, Answer] = Batcher(Scorer(self.holder, self.metrics, settings))
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the thread, and listen for SIGHUP and changes of the folder, inside a context."""
        with self._batcher:
            if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGHUP"):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: self._start(self.reload()))
            if self.settings.watch:
                self._start(self._watch())
            yield
            for task in self._tasks:
                task.cancel()

    @property
    def is_alive(self) -> bool:
        """Whether requests are worked on."""
        return self._batcher.is_alive

    async def answer(self, task: str, request: Request, reasons: int = 0, id_column: str | None = None) -> Response:
        """Return the answer to a request with rows.

        Raises
        ------
        RequestError
            If it cannot be served.
        """
        came = body_type(request.headers.get("content-type"))
        wanted = answer_type(request.headers.get("accept"), JSON if task == "explain" else came)
        if task == "explain" and wanted != JSON:
            raise RequestError(406, f"Expected to answer in {JSON}; Accept asks for {wanted}.")
        async with self._bodies.read(request) as body:
            try:
                async with asyncio.timeout(self.settings.timeout):
                    answer = await self._batcher.run(Job(task, body, came, wanted, reasons, id_column))
            except TimeoutError:
                detail = f"Expected to answer within {self.settings.timeout:g} seconds; there is too much to do."
                raise RequestError(503, f"{detail} Send fewer rows, or later.", {"Retry-After": "1"}) from None
        headers = {"X-Radogaga-Model": answer.model}
        if answer.notes:
            headers["X-Radogaga-Note"] = " ".join(answer.notes).encode("ascii", "replace").decode()
        return Response(answer.content, media_type=answer.media_type, headers=headers)

    async def reload(self) -> None:
        """Load the model anew, beside requests."""
        async with self._reloading:
            self.metrics.count_reload(done=await asyncio.to_thread(self.holder.reload))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            if await asyncio.to_thread(lambda: self.holder.has_changed):
                await self.reload()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
