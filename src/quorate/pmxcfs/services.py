"""The connections to Corosync and their care: quorum, cluster info, and the groups (core 1.6, 8.1, 8.2).

Each is tried when the daemon starts and again every second while it is missing. Nothing here knows what is
replicated.
"""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable
from typing import Final

from quorate.corosync.cmap import Cmap
from quorate.corosync.errors import CsError, MissingLibraryError
from quorate.corosync.quorum import NoQuorumProviderError, Quorum
from quorate.pmxcfs import clinfo
from quorate.pmxcfs.clinfo import ClusterInfo, ClusterInfoError
from quorate.pmxcfs.group import Group
from quorate.pmxcfs.loop import RANK_CMAP, RANK_QUORUM, Loop

FIRST_ATTEMPT: Final = 0.01
CHECK_PERIOD: Final = 1.0
RETRY_AFTER: Final = 0.5
"""Seconds since the last attempt before the next one: every second while Corosync is missing. The original
lets 5 s pass (core 1.6), which only makes a boot slower."""

TICK: Final = 0.25
"""Seconds between two looks of the machines at their deadlines."""

MAX_EVENTS: Final = 64

STOP_SECONDS: Final = 2.0
"""For leaving Corosync at the end. It answers within milliseconds; systemd allows 10 s for everything."""

_ABSENT: Final = (CsError, MissingLibraryError, NoQuorumProviderError)


class QuorumService:
    """Whether this partition is quorate; False without a connection."""

    def __init__(
        self,
        loop: Loop,
        log: logging.Logger,
        *,
        changed: Callable[[], None],
        notified: Callable[[], None],
    ) -> None:
        """``changed``: quorum came or went; ``notified``: after that, and whenever the partition changed."""
        self._loop = loop
        self._log = log
        self._changed = changed
        self._tell = notified
        self._quorum: Quorum | None = None
        self._fd = -1
        self._poll = select.poll()
        self._quiet = False
        self.quorate = False
        self.members: frozenset[int] | None = None
        """Node ids of the partition; None without a connection."""

    @property
    def connected(self) -> bool:
        return self._quorum is not None

    def connect(self) -> None:
        try:
            self._quorum = Quorum(self._notified)
        except _ABSENT as error:
            if not self._quiet:
                self._log.info("waiting for corosync: %s", error)
            self._quiet = True
            return
        self._quiet = False
        self._fd = self._quorum.fileno()
        self._poll.register(self._fd, select.POLLIN)
        self._loop.add_reader(self._fd, self._dispatch, RANK_QUORUM)

    def drain(self) -> None:
        """Take what is there, so that quorum is known before a group's message is judged (W6)."""
        if self._quorum is not None and self._poll.poll(0):
            self._dispatch()

    def stop(self) -> None:
        """The flag goes without a word: the node did not lose anything, it ends."""
        self._close()
        self.quorate = False

    def _dispatch(self) -> None:
        for _ in range(MAX_EVENTS):
            if self._quorum is None:
                return
            try:
                if not self._quorum.dispatch():
                    return
            except CsError as error:
                self._log.info("connection to corosync lost: %s", error)
                self._close()
                self._set(False)

    def _notified(self, quorate: bool, ring: int) -> None:
        if self._quorum is not None:
            self.members = self._quorum.members
        self._set(quorate)

    def _set(self, quorate: bool) -> None:
        if quorate != self.quorate:
            self.quorate = quorate
            self._log.info("node has quorum" if quorate else "node lost quorum")
            self._changed()
        self._tell()

    def _close(self) -> None:
        if self._quorum is not None:
            self._poll.unregister(self._fd)
            self._loop.remove_reader(self._fd)
            self._quorum.close()
            self._quorum = None
            self.members = None


class ConfigurationService:
    """The cluster's node list from Corosync, read at connect and whenever it changes (core 8.2)."""

    def __init__(self, loop: Loop, log: logging.Logger, read: Callable[[ClusterInfo], None]) -> None:
        self._loop = loop
        self._log = log
        self._read = read
        self._cmap: Cmap | None = None
        self._fd = -1
        self._dirty = False
        self._quiet = False

    @property
    def connected(self) -> bool:
        return self._cmap is not None

    def connect(self) -> None:
        try:
            cmap = Cmap()
            self._cmap = cmap
            cmap.track("nodelist.node.", lambda change: self._mark(), prefix=True)
            cmap.track("totem.config_version", lambda change: self._mark())
        except _ABSENT as error:
            if not self._quiet:
                self._log.info("waiting for corosync: %s", error)
            self._quiet = True
            self._close()
            return
        self._quiet = False
        self._fd = cmap.fileno()
        self._loop.add_reader(self._fd, self._dispatch, RANK_CMAP)
        self._reread()

    def stop(self) -> None:
        self._close()

    def _mark(self) -> None:
        self._dirty = True

    def _dispatch(self) -> None:
        try:
            for _ in range(MAX_EVENTS):
                if self._cmap is None or not self._cmap.dispatch():
                    break
        except CsError as error:
            self._log.info("connection to corosync lost: %s", error)
            self._close()
            return
        if self._dirty:
            self._dirty = False
            self._reread()

    def _reread(self) -> None:
        if self._cmap is None:
            return
        try:
            info = clinfo.read(self._cmap)
        except ClusterInfoError as error:
            self._log.info("%s", error)
            return
        except CsError as error:
            self._log.info("cannot read the cluster's configuration: %s", error)
            self._close()
            return
        self._log.info("cluster %s, configuration version %d", info.name, info.version)
        self._read(info)

    def _close(self) -> None:
        if self._cmap is not None:
            if self._fd >= 0:
                self._loop.remove_reader(self._fd)
            self._fd = -1
            self._cmap.close()
            self._cmap = None


class Services:
    """All connections to Corosync together."""

    def __init__(
        self, loop: Loop, quorum: QuorumService, configuration: ConfigurationService, groups: list[Group]
    ) -> None:
        self._loop = loop
        self.quorum = quorum
        self.configuration = configuration
        self.groups = groups
        self._attempts: dict[object, float] = {}
        self._stopped = False

    def start(self) -> None:
        """Begin soon; nobody waits for Corosync."""
        self._loop.call_later(FIRST_ATTEMPT, self._check)
        self._loop.call_every(CHECK_PERIOD, self._check)
        self._loop.call_every(TICK, self._tick)

    def stop(self, limit: float = STOP_SECONDS) -> bool:
        """Leave everything; False when Corosync did not answer in time.

        Its libraries wait for the answer to a leave for ever. So that is done in a thread, while nothing else
        uses the connections; Corosync notices the end of the process by itself.
        """
        self._stopped = True
        thread = threading.Thread(target=self._leave, name="leave", daemon=True)
        thread.start()
        thread.join(limit)
        return not thread.is_alive()

    def _leave(self) -> None:
        for group in self.groups:
            group.stop()
        self.configuration.stop()
        self.quorum.stop()

    def _check(self) -> None:
        if self._stopped:
            return
        for service in (self.quorum, self.configuration):
            if not service.connected and self._due(service):
                service.connect()
        for group in self.groups:
            if not group.connected and self._due(group):
                group.connect()

    def _due(self, service: object) -> bool:
        now = self._loop.clock()
        last = self._attempts.get(service)
        if last is not None and now - last <= RETRY_AFTER:
            return False
        self._attempts[service] = now
        return True

    def _tick(self) -> None:
        if not self._stopped:
            for group in self.groups:
                group.tick()
