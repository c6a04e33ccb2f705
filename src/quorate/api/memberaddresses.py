"""The addresses of the cluster's members, for the question whom to believe. Read off the request's way."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import Final

from quorate.cfs import Cfs, CfsError

_log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 10.0
"""A member that joins is believed so much later; one that left, so much longer."""


class MemberAddresses:
    """``known`` is what the file system said last; empty before it was asked, and without a cluster."""

    def __init__(self, cfs: Cfs) -> None:
        self._cfs = cfs
        self.known: frozenset[str] = frozenset()

    async def follow(self) -> None:
        """Keep it up to date; ends by cancellation. A file system that hangs holds up this alone."""
        while True:
            await asyncio.to_thread(self.read)
            await asyncio.sleep(PERIOD_SECONDS)

    def read(self) -> None:
        """Blocking. What was known stays when nothing can be read."""
        try:
            members = self._cfs.members().nodes.values()
            self.known = frozenset(str(ipaddress.ip_address(each.ip)) for each in members if each.ip)
        except (CfsError, ValueError) as err:
            _log.debug("the members are not known: %s", err)
