"""Answers to requests that cannot be served: a status, and what was expected, what came and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import to_json
from starlette.responses import Response


class RequestError(Exception):
    """A request that is refused.

    Parameters
    ----------
    status : int
        The status of the answer, 400 to 599.
    detail : str
        What was expected, what came and what to do.
    headers : mapping, optional
        Headers of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    def response(self) -> Response:
        """Return the answer."""
        content = to_json({"detail": self.detail})
        return Response(content, self.status, self.headers, media_type="application/json")
