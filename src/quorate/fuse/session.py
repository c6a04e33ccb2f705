"""One mount: /dev/fuse read and written. Decoding and packing are in requests and replies, rules in operations."""

from __future__ import annotations

import errno as e
import logging
import os
import select
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from quorate.fuse import replies
from quorate.fuse.abi import BUFFER_SIZE, MAX_WRITE, NO_REPLY, OUT_HEADER, OUT_HEADER_SIZE, PAGE_SIZE, Opcode
from quorate.fuse.errors import (
    MountError,
    NameTooLongError,
    NegotiationError,
    ProtocolError,
    ReplyRefusedError,
    SessionEnded,
    UnknownOpcodeError,
)
from quorate.fuse.mountpoint import MountEntry, mount_fuse, mounts_at, unmount_lazily
from quorate.fuse.negotiation import InitOptions, Negotiated, negotiate
from quorate.fuse.notifier import Notifier
from quorate.fuse.operations import Operations
from quorate.fuse.requests import InitIn, InterruptIn, Request, decode

log = logging.getLogger(__name__)

SOURCE: Final = "/dev/fuse"
"""Shown as the source in the mount table (core 1.5)."""
MOUNT_OPTIONS: Final = ("default_permissions", "allow_other")

MAX_IN_FLIGHT: Final = 4096
"""Requests waiting for their answer at once. More than this many processes stuck here gain nothing by waiting:
further ones are told EBUSY."""
INIT_SECONDS: Final = 10.0
"""The kernel queues INIT while it mounts; it is there at once."""
CLOSE_SECONDS: Final = 2.0
"""How long close() waits for the notification threads, twice: before and after it aborts the connection."""
MAX_INTERNAL: Final = 64
"""Requests the session itself answers (INTERRUPT, malformed ones) within one receive()."""

_NEVER_REFUSED: Final = frozenset({Opcode.RELEASE, Opcode.RELEASEDIR, Opcode.FLUSH, Opcode.DESTROY})
_NO_REPLY: Final = frozenset(int(opcode) for opcode in NO_REPLY)
_GONE: Final = frozenset({e.ENODEV, e.ENOTCONN, e.ECONNABORTED, e.EPERM, e.EBADF})


class Session:
    """A mounted file system. Use it from one thread; notify_* may be called from any.

    Either let serve() drive an Operations object, or take requests by receive() and answer each exactly once
    by reply() or error(), at any later time and in any order.
    """

    def __init__(self, fd: int, mountpoint: Path, entry: MountEntry | None, options: InitOptions) -> None:
        """For an open /dev/fuse that is mounted already; everyone else uses Session.mount."""
        self._fd = fd
        self._mountpoint = mountpoint
        self._entry = entry
        self._options = options
        self._buffer = bytearray(BUFFER_SIZE - MAX_WRITE + max(options.max_write, 2 * PAGE_SIZE))
        self._view = memoryview(self._buffer)
        self._buffers = [self._buffer]
        self._waiting: dict[int, Request] = {}
        self._negotiated: Negotiated | None = None
        self._mounted = entry is not None
        self._closed = False
        self._notifier = Notifier(fd)
        self.malformed = 0
        """Requests refused because their bytes made no sense."""

    @classmethod
    def mount(
        cls,
        mountpoint: Path | str,
        *,
        root_mode: int = stat.S_IFDIR | 0o755,
        source: str = SOURCE,
        options: tuple[str, ...] = MOUNT_OPTIONS,
        init: InitOptions | None = None,
    ) -> Self:
        """Mount at ``mountpoint`` (an existing directory, nothing mounted there) and agree with the kernel.

        No request is served yet: the caller must start to serve() or receive() soon, every access waits for it.
        Raises MountError, NegotiationError.
        """
        # Resolved now: later this would ask the mount, that is ourselves.
        path = Path(os.path.realpath(mountpoint))
        if mounts_at(path):
            raise MountError(f"{path} already is a mount point; unmount it first, or use clear_dead_mount")
        try:
            fd = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as fault:
            raise MountError(
                f"cannot open /dev/fuse to mount {path}: {fault.strerror}; "
                "it needs root and the kernel module (modprobe fuse)"
            ) from fault
        try:
            words = (f"fd={fd}", f"rootmode={root_mode & stat.S_IFMT(0o170000):o}", "user_id=0", "group_id=0")
            entry = mount_fuse(fd, path, source, ",".join((*words, *options)))
        except MountError:
            os.close(fd)
            raise
        session = cls(fd, path, entry, init or InitOptions())
        try:
            session._handshake()
        except (NegotiationError, SessionEnded, ProtocolError, OSError):
            session.close()
            raise
        return session

    # What is known

    @property
    def mountpoint(self) -> Path:
        """Resolved at mount."""
        return self._mountpoint

    @property
    def negotiated(self) -> Negotiated:
        """What INIT agreed on."""
        assert self._negotiated is not None, "no INIT yet"
        return self._negotiated

    @property
    def in_flight(self) -> int:
        """Requests received and not yet answered."""
        return len(self._waiting)

    def waits(self, unique: int) -> bool:
        """Whether that request still wants an answer."""
        return unique in self._waiting

    def fileno(self) -> int:
        """/dev/fuse: readable when a request waits, error when the session ended. For a level-triggered selector."""
        return self._fd

    # Requests

    def receive(self) -> Request | None:
        """The next request, or None when none waits now. Never blocks.

        INIT, INTERRUPT and malformed requests are dealt with inside. Raises SessionEnded after unmount or abort.
        """
        for _ in range(MAX_INTERNAL):
            try:
                length = os.readv(self._fd, self._buffers)
            except BlockingIOError:
                return None
            except OSError as fault:
                if fault.errno == e.ENOENT:  # taken back by its process before we got it
                    continue
                if fault.errno in _GONE:
                    raise SessionEnded(self._end_reason(fault.errno)) from None
                raise
            try:
                request = decode(self._view, length)
            except ProtocolError as fault:
                self._refuse(fault)
                continue
            opcode = request.opcode
            if opcode == Opcode.INTERRUPT:
                self._interrupt(request)
                continue
            if opcode == Opcode.INIT:
                self._init(request)
                continue
            if opcode not in _NO_REPLY:
                if len(self._waiting) >= MAX_IN_FLIGHT and opcode not in _NEVER_REFUSED:
                    self._send(replies.error(request.unique, e.EBUSY))
                    continue
                self._waiting[request.unique] = request
            return request
        return None

    def serve(self, operations: Operations, limit: int = 1) -> int:
        """Take and dispatch up to ``limit`` requests; how many there were. Never blocks. Raises SessionEnded.

        With a level-triggered selector a limit of 1 costs the fewest system calls for one client.
        """
        raise NotImplementedError

    def reply(self, unique: int, *parts: bytes) -> bool:
        """Answer with success. False when nobody waits any more (interrupted, unmounted): not an error.

        Raises ReplyRefusedError when the kernel finds the answer malformed.
        """
        if self._waiting.pop(unique, None) is None:
            return False
        size = OUT_HEADER_SIZE
        for part in parts:
            size += len(part)
        return self._send(OUT_HEADER.pack(size, 0, unique) + b"".join(parts))

    def error(self, unique: int, errno: int) -> bool:
        """Answer with a refusal (positive errno). Returns and raises as reply()."""
        if self._waiting.pop(unique, None) is None:
            return False
        return self._send(OUT_HEADER.pack(OUT_HEADER_SIZE, -errno, unique))

    def fail_waiting(self, errno: int) -> int:
        """Refuse everything that waits for an answer (at the end, or when a result can't come); how many."""
        waiting = list(self._waiting)
        for unique in waiting:
            self.error(unique, errno)
        return len(waiting)

    # Notifications: queued, sent by helper threads, never block. Send them after the state has changed.
    # They raise NotificationOverflowError; the kernel not knowing the node or name is no error.

    def notify_inval_inode(self, nodeid: int, offset: int = 0, length: int = 0) -> None:
        """Forget attributes and data (of a directory: the listing). ``length`` 0: to the end; offset -1: attributes only."""
        self._notifier.inodes.put(replies.inval_inode(nodeid, offset, length))

    def notify_inval_attr(self, nodeid: int) -> None:
        """Forget attributes only."""
        self._notifier.inodes.put(replies.inval_inode(nodeid, -1, 0))

    def notify_inval_entry(self, parent: int, name: bytes) -> None:
        """Forget a name (or its remembered absence), and the parent's attributes and listing."""
        self._notifier.names.put(replies.inval_entry(parent, name))

    def notify_delete(self, parent: int, child: int, name: bytes) -> None:
        """The name is gone: as notify_inval_entry, and inotify watchers see it."""
        self._notifier.names.put(replies.delete(parent, child, name))

    def notify_epoch(self) -> bool:
        """Every remembered name is looked up anew at its next use. False when this kernel can't (before 6.16)."""
        if not self.negotiated.has_epoch:
            return False
        self._notifier.names.put(replies.inc_epoch())
        return True

    def notifications_done(self, seconds: float) -> bool:
        """Wait until all notifications so far were taken. Never from the thread that answers requests."""
        return self._notifier.wait_idle(seconds)

    # The end

    def unmount(self) -> None:
        """Take the mount out of the tree (lazily: open files go on while the session is served). Repeatable.

        Does nothing when somebody else unmounted it already. Raises MountError.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Unmount, refuse what waits (ENOTCONN), stop the threads, close /dev/fuse. Bounded; repeatable."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
