"""A model at work: what is shared by all requests, from the start to the end of a service."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from radogaga.integrations.server.batching import Batcher
from radogaga.integrations.server.bodies import Room
from radogaga.integrations.server.metrics import Metrics
from radogaga.integrations.server.model_holder import ModelHolder
from radogaga.integrations.server.scoring import Answer, Job, Scorer
from radogaga.integrations.server.settings import Settings

_SECONDS_BETWEEN_LOOKS = 1.0


class Service:
    """Takes requests, has them answered by one thread, and loads the model anew beside that.

    Parameters
    ----------
    settings : Settings
        The model and limits.

    Attributes
    ----------
    holder : ModelHolder
        The model.
    metrics : Metrics
        What is counted.
    room : Room
        Where bodies are held.
    batcher : Batcher
        The thread that answers jobs.

    Raises
    ------
    InputError
        If the model cannot be loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.holder = ModelHolder(settings.folder)
        self.room = Room(settings.max_bytes, settings.max_bytes_in_all)
        self.batcher: Batcher[Job, Answer] = Batcher(Scorer(self.holder, self.metrics, settings))
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the thread, and listen for SIGHUP and changes of the folder, inside a context."""
        with self.batcher:
            if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGHUP"):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: self._start(self.reload()))
            if self.settings.watch:
                self._start(self._watch())
            gc.collect()
            gc.freeze()  # what is there now stays: to go through it again would stop requests for a tenth of a second
            yield
            gc.unfreeze()
            for task in self._tasks:
                task.cancel()

    @property
    def is_alive(self) -> bool:
        """Whether requests are worked on."""
        return self.batcher.is_alive

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
