"""The bodies of requests, read within limits on their size and on that of all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Receive

from radogaga.integrations.server.request_error import RequestError

_CLOSE = {"Connection": "close"}  # what is still to come is not read


@dataclass
class Room:
    """Room for bodies.

    Attributes
    ----------
    max_bytes, max_bytes_in_all : int
        Bytes of one body, and of all that are held, at most.
    held : int
        Bytes that are held.
    """

    max_bytes: int
    max_bytes_in_all: int
    held: int = 0


class Body:
    """The body of one request, which takes room inside a context.

    Attributes
    ----------
    is_whole : bool
        Whether all of it has come.
    """

    def __init__(self, room: Room) -> None:
        self.is_whole, self._room, self._size = False, room, 0

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.held -= self._size

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """Return all of it.

        Raises
        ------
        RequestError
            If it is encoded or too large, the connection ends, or other bodies take all the room.
        """
        if (encoding := headers.get(b"content-encoding", b"identity").lower()) != b"identity":
            shown = encoding[:40].decode("latin-1")
            raise RequestError(415, f"Expected a body without Content-Encoding; got {shown!r}. Send it plain.", _CLOSE)
        if (length := headers.get(b"content-length", b"")).isdigit():
            self._check_size(int(length[:20]))
        parts = []
        while not self.is_whole:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestError(400, "Expected the whole body; the connection ended. Send it again.", _CLOSE)
            parts.append(message.get("body", b""))
            self._take(len(parts[-1]))
            self.is_whole = not message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, size: int) -> None:
        self._size += size
        self._room.held += size
        self._check_size(self._size)
        if self._room.held > self._room.max_bytes_in_all:
            detail = "Expected to answer; too many large bodies came at once. Try again."
            raise RequestError(503, detail, _CLOSE | {"Retry-After": "1"})

    def _check_size(self, size: int) -> None:
        if size > (most := self._room.max_bytes):
            detail = f"Expected a body of {most / 2**20:g} MiB at most; got more. Send the rows in parts."
            raise RequestError(413, detail, _CLOSE)
