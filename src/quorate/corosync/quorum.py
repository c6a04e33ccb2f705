"""Is this partition quorate? Tracking of Corosync's quorum service (libquorum)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ._ffi import ffi
from ._service import Service
from .errors import CS_OK, error_for

QUORUM_SET: Final = 1
CS_TRACK_CHANGES: Final = 2

Notify = Callable[[bool, int], None]


class NoQuorumProviderError(Exception):
    """Corosync runs without a quorum provider; core 8.1 requires one."""

    def __init__(self) -> None:
        super().__init__(
            "corosync runs without a quorum provider: "
            "set 'provider: corosync_votequorum' in the section quorum of corosync.conf and restart corosync"
        )


class Quorum(Service):
    """Tracks the quorum state. ``notify(quorate, ring_seq)`` is called from ``dispatch()``.

    The current state is reported at once, then every change of quorum or membership (core 8.1).
    Raises LibraryError when Corosync does not run, TryAgainError while it starts,
    NoQuorumProviderError.
    """

    def __init__(self, notify: Notify) -> None:
        super().__init__("libquorum.so.5", "quorum")
        self._notify = notify
        self.members: frozenset[int] = frozenset()
        """Node ids of the partition, as of the latest notification; set before ``notify`` is called."""
        self._callbacks = ffi.new("quorum_callbacks_t *")
        self._c_notify = self._callback("quorum_notification_fn_t", self._on_notify)
        self._callbacks.notify = self._c_notify
        handle, kind = ffi.new("uint64_t *"), ffi.new("uint32_t *")
        code = self._lib.quorum_initialize(handle, self._callbacks, kind)
        if code != CS_OK:
            raise error_for("quorum_initialize", code)
        self._open(int(handle[0]))
        try:
            if int(kind[0]) != QUORUM_SET:
                raise NoQuorumProviderError
            self._call("trackstart", CS_TRACK_CHANGES)
        except BaseException:
            self.close()
            raise

    def quorate(self) -> bool:
        """Ask now (a round trip to Corosync) instead of waiting for the notification."""
        answer = ffi.new("int *")
        self._call("getquorate", answer)
        return bool(answer[0])

    def _on_notify(self, _handle: int, quorate: int, ring_seq: int, entries: int, view: Any) -> None:
        if not self._closed:
            self.members = frozenset(view[index] for index in range(entries))
            self._notify(bool(quorate), int(ring_seq))
