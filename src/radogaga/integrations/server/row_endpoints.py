"""The endpoints that take rows: /score, /explain and /embed.

They are plain ASGI, since FastAPI takes longer to validate two parameters than the model takes for a row among others;
`openapi` describes them.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from radogaga.integrations.server.bodies import Body
from radogaga.integrations.server.formats import JSON, answer_type, body_type
from radogaga.integrations.server.request_error import RequestError
from radogaga.integrations.server.scoring import Answer, Job
from radogaga.integrations.server.service import Service
from radogaga.integrations.server.settings import MAX_REASONS

TASKS = {"/score": "score", "/explain": "explain", "/embed": "embed"}


class RowEndpoints:
    """Answers requests with rows, and passes all others on.

    Parameters
    ----------
    app : ASGI application
        What answers the others.
    service : Service
        What scores.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        task = TASKS.get(scope["path"]) if scope["type"] == "http" else None
        if task is None:
            await self._app(scope, receive, send)
            return
        try:
            answer = await self._answer(task, scope, receive)
        except RequestError as error:
            await error.response()(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _headers(answer)})
        await send({"type": "http.response.body", "body": answer.content})

    async def _answer(self, task: str, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            detail = f"Expected POST with rows as its body; got {scope['method'][:20]}."
            raise RequestError(405, detail, {"Allow": "POST"})
        headers = dict(scope["headers"])
        came = body_type(headers.get(b"content-type", b"").decode("latin-1"))
        accept = headers.get(b"accept", b"*/*").decode("latin-1")
        wanted = answer_type(accept, came, [JSON] if task == "explain" else None)
        query = _query(scope["query_string"]) if scope["query_string"] else _Query()
        seconds = self._service.settings.timeout
        with Body(self._service.room) as body:
            try:
                async with asyncio.timeout(seconds):
                    rows = await body.read(headers, receive)
                    return await self._service.batcher.run(Job(task, rows, came, wanted, query.reasons, query.id))
            except TimeoutError:
                raise _too_late(body, seconds) from None


class _Query(NamedTuple):
    reasons: int = 0
    id: str | None = None


def _query(text: bytes) -> _Query:
    try:
        parameters = parse_qs(text.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise RequestError(422, "Expected a query in ASCII, of 20 parameters at most. Encode or drop some.") from None
    reasons, id_column = parameters.get("reasons", ["0"])[-1], parameters.get("id", [None])[-1]
    if not (reasons.isascii() and reasons.isdecimal() and len(reasons) < 9 and int(reasons) <= MAX_REASONS):
        raise RequestError(422, f"Expected reasons from 0 to {MAX_REASONS}; got {reasons[:20]!r}.")
    return _Query(int(reasons), id_column)


def _too_late(body: Body, seconds: float) -> RequestError:
    if not body.is_whole:
        detail = f"Expected the whole body within {seconds:g} seconds. Send less at once."
        return RequestError(408, detail, {"Connection": "close"})
    detail = f"Expected to answer within {seconds:g} seconds; there is too much to do. Send fewer rows, or later."
    return RequestError(503, detail, {"Retry-After": "1"})


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", str(len(answer.content)).encode()),
        (b"x-radogaga-model", answer.model.encode()),
    ]
    if answer.notes:
        note = " ".join(answer.notes).encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ")
        headers.append((b"x-radogaga-note", note[:2000]))
    return headers
