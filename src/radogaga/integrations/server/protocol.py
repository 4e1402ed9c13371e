"""HTTP connections that end when a client is too slow: with its request's head, or with reading the answer."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PunctualProtocol(HttpToolsProtocol):
    """uvicorn's connection, ended where its client takes longer than `timeout_keep_alive`.

    uvicorn itself waits without end for a request's head, and for a client to read an answer that is complete. Bodies
    have a time limit of their own, see `BodyReader`.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Go on waiting if that was not yet a whole head."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect_request()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """End the connection, even if the answer was not read yet."""
        self.transport.abort()

    def on_response_complete(self) -> None:
        """Wait for the answer to be read."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_request()

    def _expect_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
