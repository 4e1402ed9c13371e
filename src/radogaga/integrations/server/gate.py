"""What stands before every endpoint: who may ask, and how long an answer took."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radogaga.integrations.server.metrics import Metrics
from radogaga.integrations.server.request_error import RequestError

_OPEN = "/healthz"
_OWN_NAMES = {"localhost", "127.0.0.1", "[::1]"}


class Gate:
    """Lets requests through that carry the token or, where there is none, that ask for this machine by its own name.

    Without the second check a page in a browser could ask a service on loopback, by a name of its own that leads there.

    Parameters
    ----------
    app : ASGI application
        What answers.
    token : str, optional
        What requests have to carry; all but ``/healthz``.
    endpoints : collection of str
        Paths that are counted by name.
    metrics : Metrics
        Where answers are counted.
    """

    def __init__(self, app: ASGIApp, token: str | None, endpoints: Collection[str], metrics: Metrics) -> None:
        self._app, self._endpoints, self._metrics = app, endpoints, metrics
        self._digest = None if token is None else _digest(token.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, send_counted)
        except RequestError as error:
            await error.response()(scope, receive, send_counted)
        finally:
            endpoint = scope["path"] if scope["path"] in self._endpoints else "other"
            self._metrics.observe(endpoint, status, time.perf_counter() - start)

    def _check(self, scope: Scope) -> None:
        if scope["path"] == _OPEN:
            return
        headers = dict(scope["headers"])
        if self._digest is None:
            host = headers.get(b"host", b"").decode("latin-1")
            if host.rpartition(":")[0] not in _OWN_NAMES and host not in _OWN_NAMES:
                detail = f"Expected the host localhost or 127.0.0.1, as there is no token; got {host[:80]!r}."
                raise RequestError(403, f"{detail} Start the service with --token-file.")
            return
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        # Digests are as long as one another, so that the time does not tell how much of a token was right.
        if not hmac.compare_digest(_digest(token.strip()), self._digest) or kind.lower() != b"bearer":
            detail = "Expected the service's token; got none or another. Send Authorization: Bearer TOKEN."
            raise RequestError(401, detail, {"WWW-Authenticate": "Bearer"})


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
