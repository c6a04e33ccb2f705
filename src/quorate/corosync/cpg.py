"""Closed process groups: join, totally ordered multicast, membership (libcpg).

Transport only: what the messages mean is the business of the caller. A message longer than libcpg sends
at once is cut and put together again by libcpg; the receiver sees one message (core 5.5).
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from ._ffi import ffi
from ._service import Service
from .address import Address
from .errors import (
    CS_ERR_TRY_AGAIN,
    CS_OK,
    BadHandleError,
    ExistError,
    InvalidParamError,
    NotExistError,
    SendResult,
    TooBigError,
    error_for,
)

CPG_TYPE_AGREED: Final = 2
MAX_NAME: Final = 128
MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Largest message sent: an index of 1.6 million entries, far above what the file system can hold."""

SO_SNDBUFFORCE: Final = 32
WAKE_BUFFER: Final = 8 * 1024 * 1024
"""The library sends one byte per message, which the kernel counts as some 800. Poll says "writable" up to a
quarter of the buffer: 8 MiB are some 5000 messages, about what fits into its shared memory."""


Deliver = Callable[[Address, bytes], None]
ConfigurationChange = Callable[[Sequence[Address], Sequence[Address], Sequence[Address]], None]


class Cpg(Service):
    """One connection to the group service; it is a member of at most one group, once.

    To come back, close it and make a new one (after ``leave``, or without: Corosync then tells the others).
    Corosync 3.1.7 answers CS_ERR_EXIST for ever when a connection that has left joins the same group
    again, and not at all when it joins another one: so ``join`` refuses that by itself.

    ``deliver(sender, message)`` is called for every message of the group, own ones included;
    ``confchg(members, left, joined)`` for every change of membership. Both from ``dispatch()`` only.
    Raises LibraryError when Corosync does not run, TryAgainError while it starts.
    """

    def __init__(self, *, deliver: Deliver, confchg: ConfigurationChange) -> None:
        super().__init__("libcpg.so.4", "cpg")
        self._deliver = deliver
        self._confchg = confchg
        self._group: Any = None
        self._left = False
        self._iovec = ffi.new("struct iovec *")
        self._mcast: Any = self._lib.cpg_mcast_joined
        self._addresses: dict[tuple[int, int], Address] = {}
        self._callbacks = ffi.new("cpg_callbacks_t *")
        self._c_deliver = self._callback("cpg_deliver_fn_t", self._on_deliver)
        self._c_confchg = self._callback("cpg_confchg_fn_t", self._on_confchg)
        self._callbacks.deliver = self._c_deliver
        self._callbacks.confchg = self._c_confchg
        handle = ffi.new("uint64_t *")
        code = self._lib.cpg_initialize(handle, self._callbacks)
        if code != CS_OK:
            raise error_for("cpg_initialize", code)
        self._open(int(handle[0]))
        _enlarge(self._fd)
        self._writable = select.poll()
        self._writable.register(self._fd, select.POLLOUT)
        size = ffi.new("uint32_t *")
        self._call("max_atomic_msgsize_get", size)
        self.max_atomic_size = int(size[0])
        """Longest message that libcpg sends unfragmented (1 047 552 bytes with Corosync 3.1)."""

    def local_nodeid(self) -> int:
        """The node id under which this node's members appear."""
        self._call("local_get", self._out)
        return int(self._out[0])

    def join(self, group: bytes) -> SendResult:
        """Join ``group`` (1-128 bytes; every byte counts, a NUL too). A confchg follows.

        Raises ExistError when this connection is a member of a group or has been, or when another
        connection of this process is a member of this group (one that was closed just now counts too, for
        a moment).
        """
        if not 0 < len(group) <= MAX_NAME:
            raise InvalidParamError(
                "cpg_join", detail=f"group name of {len(group)} bytes, 1-{MAX_NAME} allowed"
            )
        if self._left:
            raise ExistError(
                "cpg_join", detail=f"{group!r}: this connection has left its group; make a new one"
            )
        name = ffi.new("struct cpg_name *")
        name.length = len(group)
        ffi.buffer(name.value)[0 : len(group)] = group
        result = self._try("join", name, detail=repr(group))
        if result is SendResult.SENT:
            self._group = name
        return result

    def leave(self) -> SendResult:
        """Leave the group; a confchg with this member in ``left`` follows. Raises NotExistError."""
        if self._group is None:
            raise NotExistError("cpg_leave")
        result = self._try("leave", self._group)
        if result is SendResult.SENT:
            self._group = None
            self._left = True
        return result

    def mcast(self, parts: Sequence[bytes]) -> SendResult:
        """Send ``parts``, put together, as one message to all members (agreed order, own copy included).

        TRY_AGAIN: flow control, nothing was sent. Raises NotExistError when not joined (Corosync itself
        would drop the message silently), InterruptError when the membership changed between the
        fragments of a long message, LibraryError when Corosync is gone, TooBigError.
        """
        if self._closed:
            raise BadHandleError("cpg_mcast_joined")
        if self._group is None:
            raise NotExistError("cpg_mcast_joined")
        if not self._writable.poll(0):  # Corosync hangs or is far behind: the library would wait for it
            return SendResult.TRY_AGAIN
        message = parts[0] if len(parts) == 1 else b"".join(parts)
        size = len(message)
        if size > self.max_atomic_size:
            if size > MAX_MESSAGE:
                raise TooBigError("cpg_mcast_joined", detail=f"{size} bytes, limit {MAX_MESSAGE}")
            if self._flow_controlled():  # libcpg would sleep up to 1 s for each fragment
                return SendResult.TRY_AGAIN
        iovec = self._iovec
        buffer = ffi.from_buffer(message)  # held until the call has copied it
        iovec.iov_base = buffer
        iovec.iov_len = size
        code = self._mcast(self._handle, CPG_TYPE_AGREED, iovec, 1)
        if code == CS_OK:
            return SendResult.SENT
        if code == CS_ERR_TRY_AGAIN:
            return SendResult.TRY_AGAIN
        raise self._failure("cpg_mcast_joined", int(code), f"{size} bytes")

    def _flow_controlled(self) -> bool:
        enabled = ffi.new("int *")
        self._call("flow_control_state_get", enabled)
        return bool(enabled[0])

    def _try(self, name: str, *arguments: Any, detail: str = "") -> SendResult:
        call = f"cpg_{name}"
        if self._closed:
            raise BadHandleError(call, detail=detail)
        code = int(getattr(self._lib, call)(self._handle, *arguments))
        if code == CS_OK:
            return SendResult.SENT
        if code == CS_ERR_TRY_AGAIN:
            return SendResult.TRY_AGAIN
        raise self._failure(call, code, detail)

    def _on_deliver(self, _handle: int, _group: Any, nodeid: int, pid: int, message: Any, size: int) -> None:
        if self._closed:
            return
        address = self._addresses.get((nodeid, pid)) or Address(nodeid, pid)
        self._deliver(address, ffi.buffer(message, size)[:] if size else b"")

    def _on_confchg(
        self,
        _handle: int,
        _group: Any,
        members: Any,
        member_count: int,
        left: Any,
        left_count: int,
        joined: Any,
        joined_count: int,
    ) -> None:
        if self._closed:
            return
        present = _addresses(members, member_count)
        self._addresses = {(address.nodeid, address.pid): address for address in present}
        self._confchg(present, _addresses(left, left_count), _addresses(joined, joined_count))


def _enlarge(fd: int) -> None:
    """Room on the socket for as many messages as the library's shared memory holds."""
    with socket.socket(fileno=os.dup(fd)) as own:
        try:
            own.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, WAKE_BUFFER)
        except PermissionError:  # not root: as much as the system allows
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WAKE_BUFFER)


def _addresses(array: Any, count: int) -> tuple[Address, ...]:
    return tuple(Address(array[i].nodeid, array[i].pid) for i in range(count))
