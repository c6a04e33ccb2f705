"""Waiting for states, never for seconds: at high load a step of 50 ms can take five seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lab.errors import LabError

T = TypeVar("T")
PERIOD = 0.1
"""Seconds between two looks: short beside what is waited for, long beside what a look costs."""


class WaitTimeoutError(LabError):
    """A state that was waited for did not come in time."""


def wait_for(
    look: Callable[[], T],
    *,
    timeout: float,
    what: str,
    period: float = PERIOD,
    seen: Callable[[], object] | None = None,
) -> T:
    """Call ``look`` until it returns something true, and return that.

    ``timeout`` is the limit in seconds, ``what`` completes "waited for ..." in the error, ``seen`` fetches
    what the error should show besides (a status, a log). Raises WaitTimeoutError.
    """
    deadline = time.monotonic() + timeout
    while True:
        result = look()
        if result:
            return result
        if time.monotonic() >= deadline:
            break
        time.sleep(period)
    shown = f" Seen instead:\n{seen()}" if seen else f" Last seen: {result!r}"
    raise WaitTimeoutError(f"Waited {timeout:g} s for {what}, in vain.{shown}")
