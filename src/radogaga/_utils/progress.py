"""Lines that say how far a training is, as scikit-learn's ``verbose`` has them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

_SECONDS = 5.0


def print_steps(total: int) -> Callable[[int], None]:
    """Return a function of steps done since its last call that prints a line every few seconds, on the error stream.

    Examples
    --------
    >>> from radogaga._utils.progress import print_steps
    >>> print_steps(total=10)(10)
    """
    start = last = time.monotonic()
    done = 0

    def advance(steps: int) -> None:
        nonlocal done, last
        done, now = done + steps, time.monotonic()
        if now - last >= _SECONDS:
            last, left = now, (now - start) / done * (total - done)
            print(f"training: step {done:,} of {total:,}, at most {left:.0f} s left", file=sys.stderr)

    return advance
