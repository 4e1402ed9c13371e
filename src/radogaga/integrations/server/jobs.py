"""What a request asks, and what comes of it."""

from __future__ import annotations

from typing import NamedTuple

from radogaga.integrations.server.formats import JSON


class Job(NamedTuple):
    """What one request asks.

    Attributes
    ----------
    task : str
        "score", "explain" or "embed".
    body, body_type : bytes, str
        The rows and their media type.
    answer_type : str
        The media type to answer in.
    reasons : int
        Reasons to give for each alarm.
    id_column : str, optional
        The column of identifiers.
    """

    task: str
    body: bytes
    body_type: str
    answer_type: str
    reasons: int = 0
    id_column: str | None = None

    @property
    def may_share(self) -> bool:
        """Whether it may be scored together with others."""
        return (
            self.task == "score"
            and self.body_type == self.answer_type == JSON
            and not self.reasons
            and self.id_column is None
        )


class Answer(NamedTuple):
    """The body of an answer, the model that made it, and what was noted of the rows."""

    content: bytes
    media_type: str
    model: str
    notes: tuple[str, ...] = ()
