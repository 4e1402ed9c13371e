"""The bodies of requests, read within limits on their size, on all of them together, and on time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from radogaga.integrations.server.request_error import RequestError
from radogaga.integrations.server.settings import Settings

_CLOSE = {"Connection": "close"}  # what is still to come is not read


class BodyReader:
    """Reads bodies and counts the bytes of all that are held.

    Parameters
    ----------
    settings : Settings
        Limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._held = settings, 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Give the body of a request, which is held until the context ends.

        Raises
        ------
        RequestError
            If it is encoded, too large, too slow, or others take all the room.
        """
        parts: list[bytes] = []
        try:
            await self._receive(request, parts)
            parts[:] = [b"".join(parts)]
            yield parts[0]
        finally:
            self._held -= sum(map(len, parts))

    async def _receive(self, request: Request, parts: list[bytes]) -> None:
        self._check_headers(request)
        try:
            async with asyncio.timeout(self._settings.timeout):
                async for part in request.stream():
                    self._held += len(part)
                    parts.append(part)
                    self._check_size(sum(map(len, parts)))
        except TimeoutError:
            detail = f"Expected the whole body within {self._settings.timeout:g} seconds. Send less at once."
            raise RequestError(408, detail, _CLOSE) from None
        except ClientDisconnect:
            raise RequestError(400, "Expected the whole body; the connection ended.", _CLOSE) from None

    def _check_headers(self, request: Request) -> None:
        if (encoding := request.headers.get("content-encoding", "identity").lower()) != "identity":
            raise RequestError(415, f"Expected a body without Content-Encoding; got {encoding[:40]!r}. Send it plain.")
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._settings.max_bytes:
            raise self._too_large()

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_bytes:
            raise self._too_large()
        if self._held > self._settings.max_bytes_in_all:
            detail = "Expected to answer; too many large bodies came at once. Try again."
            raise RequestError(503, detail, _CLOSE | {"Retry-After": "1"})

    def _too_large(self) -> RequestError:
        most = self._settings.max_bytes / 2**20
        return RequestError(413, f"Expected a body of {most:g} MiB at most; got more. Send the rows in parts.", _CLOSE)
