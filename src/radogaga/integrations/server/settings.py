"""What a service is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """The model of a service and the limits on what it is asked.

    Attributes
    ----------
    folder : Path
        A saved model.
    token : str, optional
        What requests have to carry as ``Authorization: Bearer TOKEN``; without one, only requests to this machine's
        own names are answered.
    max_rows : int
        Rows of a request at most.
    max_bytes : int
        Bytes of a request's body at most. All bodies together take eight times as much at most.
    timeout : float
        Seconds that a body may take to come, and an answer to be made.
    watch : bool
        Whether to load the model anew when its folder changes.
    threads : int
        Threads that score a request of thousands of rows.
    """

    folder: Path
    token: str | None = None
    max_rows: int = 100_000
    max_bytes: int = 32 * 2**20
    timeout: float = 30.0
    watch: bool = False
    threads: int = 1

    @property
    def max_bytes_in_all(self) -> int:
        """Bytes of all bodies at most."""
        return 8 * self.max_bytes


MAX_EXPLAINED_ROWS = 100
"""Rows of a request to explain at most: an explanation takes some hundred times as long as a score."""
MAX_REASONS = 100
"""Reasons for an alarm at most, as on the command line."""
