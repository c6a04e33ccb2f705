"""What fails at present: a failure is logged when it begins and when it ends, not in every round."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

_log = logging.getLogger(__name__)

MAX_TEXT: Final = 500
"""Characters of a reason: another program's words may be many."""


class Failures:
    def __init__(self) -> None:
        self._present: set[str] = set()

    def began(self, what: str, why: object, *, warn: bool = True) -> None:
        """``what`` completes "unable to". Without ``warn`` it is nothing that somebody must look at."""
        if what in self._present:
            return
        self._present.add(what)
        level = logging.WARNING if warn else logging.INFO
        text = " ".join(str(why).split())[:MAX_TEXT]
        _log.log(level, "unable to %s: %s; trying on", what, text)

    def ended(self, what: str) -> None:
        if what in self._present:
            self._present.remove(what)
            _log.info("able to %s again", what)

    def forget_others(self, whats: Iterable[str]) -> None:
        """Nobody tries the others any longer."""
        self._present &= set(whats)
