"""One mount: /dev/fuse read and written. Decoding and packing are in requests and replies."""

from __future__ import annotations

import errno as e
import logging
import os
import select
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
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
from quorate.fuse.figures import RequestCounter
from quorate.fuse.mountpoint import MountEntry, mount_fuse, mounts_at, unmount_lazily
from quorate.fuse.negotiation import InitOptions, Negotiated, negotiate
from quorate.fuse.notifier import Notifier
from quorate.fuse.operations import Handler, Operations
from quorate.fuse.requests import InitIn, InterruptIn, Request, decode

log = logging.getLogger(__name__)

SOURCE: Final = "/dev/fuse"
"""Shown as the source in the mount table (core 1.5)."""
MOUNT_OPTIONS: Final = ("default_permissions", "allow_other")

MAX_IN_FLIGHT: Final = 4096
"""Requests waiting for their answer at once. That many processes stuck here mean that nothing moves:
further ones are told EBUSY."""
INIT_SECONDS: Final = 10.0
"""The kernel queues INIT while it mounts; it is there at once."""
CLOSE_SECONDS: Final = 2.0
"""How long close() waits for the notification threads, twice: before and after it aborts the connection."""
UNMOUNT_SECONDS: Final = 2.0
"""How long unmounting may keep the caller; the path is out of the tree at once."""
MAX_INTERNAL: Final = 64
"""Requests the session itself answers (INTERRUPT, malformed ones) within one receive()."""

MAX_IN_VAIN: Final = 4
"""So many looks in a row find nothing: then most are left out."""
LOOK_EVERY: Final = 17
"""A prime: the looks that are made fall on all requests of a program that repeats itself."""

_IN_PASSING: Final = frozenset(
    map(int, (Opcode.RELEASE, Opcode.RELEASEDIR, Opcode.FORGET, Opcode.BATCH_FORGET))
)
"""What nobody waits for: the next request of the same process is often there already."""
_NEVER_REFUSED: Final = frozenset({Opcode.RELEASE, Opcode.RELEASEDIR, Opcode.FLUSH, Opcode.DESTROY})
_NO_REPLY: Final = frozenset(int(opcode) for opcode in NO_REPLY)
_SPECIAL: Final = _NO_REPLY | {int(Opcode.INIT), int(Opcode.INTERRUPT)}
"""All but these are answered by the operations; one look tells, for nearly all requests."""
_GONE: Final = frozenset({e.ENODEV, e.ENOTCONN, e.ECONNABORTED, e.EPERM, e.EBADF})


def pages_of(nodeid: int) -> int:
    """Names the lock on a file's pages (a node id alone names the lock on the directory or file itself)."""
    return -nodeid


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
        self._operations: Operations | None = None
        self._table: dict[int, Handler] = {}
        self.counter = RequestCounter()
        """Of requests taken by serve()."""
        self._late: dict[int, tuple[int, float]] = {}
        """Operation and arrival of those whose answer comes later."""
        self._in_vain = 0
        """Looks after an answer that found nothing, since the last that did."""
        self._left_out = 0
        self.malformed = 0
        """Requests refused because their bytes made no sense."""

    @classmethod
    def mount(
        cls,
        mountpoint: Path | str,
        *,
        source: str = SOURCE,
        options: tuple[str, ...] = MOUNT_OPTIONS,
        init: InitOptions | None = None,
    ) -> Self:
        """Mount at ``mountpoint`` (an existing directory, nothing mounted there) and agree with the kernel.

        No request is served yet: the caller must serve() or receive() soon, every access waits for it.
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
            words = (f"fd={fd}", f"rootmode={stat.S_IFDIR:o}", "user_id=0", "group_id=0")
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
        """/dev/fuse, for a level-triggered selector: readable when a request waits or the session ended."""
        return self._fd

    # Requests

    def receive(self) -> Request | None:
        """The next request, or None when none waits now. Never blocks.

        INIT, INTERRUPT and malformed requests are dealt with inside. Raises SessionEnded after unmount.
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
            if opcode not in _SPECIAL:
                if len(self._waiting) >= MAX_IN_FLIGHT and opcode not in _NEVER_REFUSED:
                    self._send(replies.error(request.unique, e.EBUSY))
                    continue
                self._waiting[request.unique] = request
            elif opcode == Opcode.INTERRUPT:
                self._interrupt(request)
                continue
            elif opcode == Opcode.INIT:
                self._init(request)
                continue
            return request
        return None

    def serve(self, operations: Operations, limit: int = 16, *, answered: bool = False) -> int:
        """Take and dispatch up to ``limit`` requests; how many there were. Never blocks. Raises SessionEnded.

        ``answered``: not because the selector says so, but since a caller was given his answer just now.

        Looking once more after an answer is cheaper than asking the selector where several clients ask at
        once, or where the one that got the answer runs beside us. Where it needs our processor to go on, each
        look is in vain, so most are left out while they are. The limit leaves the other file descriptors of
        the loop their turn.
        """
        if operations is not self._operations:
            self._operations = operations
            self._table = operations.table()
        table = self._table
        waiting = self._waiting
        counted = self.counter.answered
        done = 0
        asked = answered  # the process behind the last request goes on with its answer
        while done < limit:
            if asked and self._in_vain >= MAX_IN_VAIN:
                self._left_out += 1
                if self._left_out % LOOK_EVERY:
                    break
            request = self.receive()
            if request is None:
                if asked:
                    self._in_vain += 1
                break
            if asked:
                self._in_vain = 0
            done += 1
            opcode, unique = request.opcode, request.unique
            asked = opcode not in _IN_PASSING
            came = perf_counter()
            result = table[opcode](request, request.body)
            if result is None:
                if unique in waiting:
                    self._late[unique] = (opcode, came)
                continue
            if waiting.pop(unique, None) is None:
                continue
            if isinstance(result, int):
                self._send(OUT_HEADER.pack(OUT_HEADER_SIZE, -result, unique))
                counted(opcode, perf_counter() - came, True)
            else:
                self._send(OUT_HEADER.pack(OUT_HEADER_SIZE + len(result), 0, unique) + result)
                counted(opcode, perf_counter() - came)
        return done

    def reply(self, unique: int, *parts: bytes) -> bool:
        """Answer with success. False when nobody waits any more (interrupted, unmounted): not an error.

        Raises ReplyRefusedError when the kernel finds the answer malformed.
        """
        if self._waiting.pop(unique, None) is None:
            return False
        size = OUT_HEADER_SIZE
        for part in parts:
            size += len(part)
        sent = self._send(OUT_HEADER.pack(size, 0, unique) + b"".join(parts))
        self._count_late(unique, refused=False)
        return sent

    def error(self, unique: int, errno: int) -> bool:
        """Answer with a refusal (positive errno). Returns and raises as reply()."""
        if self._waiting.pop(unique, None) is None:
            return False
        sent = self._send(OUT_HEADER.pack(OUT_HEADER_SIZE, -errno, unique))
        self._count_late(unique, refused=True)
        return sent

    def fail_waiting(self, errno: int) -> int:
        """Refuse everything that waits for an answer (at the end, or when a result can't come); how many."""
        waiting = list(self._waiting)
        for unique in waiting:
            self.error(unique, errno)
        return len(waiting)

    # Notifications: queued, sent by helper threads, never block. Send them after the state has changed.
    # They raise NotificationOverflowError; the kernel not knowing the node or name is no error.

    def notify_inval_inode(self, nodeid: int, offset: int = 0, length: int = 0) -> None:
        """Forget attributes and data (of a directory: the listing).

        ``length`` 0: to the end; offset -1: attributes only.
        """
        self._notifier.inodes.put(replies.inval_inode(nodeid, offset, length), (pages_of(nodeid),))

    def notify_inval_attr(self, nodeid: int) -> None:
        """Forget attributes only (of a directory: not the listing)."""
        self._notifier.inodes.put(replies.inval_inode(nodeid, -1, 0))

    def notify_inval_entry(self, parent: int, name: bytes) -> None:
        """Forget a name, or its remembered absence.

        Only when the kernel holds that name does this drop the parent's attributes and listing too: after a
        change of a directory send notify_inval_inode(parent) as well.
        """
        self._notifier.names.put(replies.inval_entry(parent, name), (parent,))

    def notify_delete(self, parent: int, child: int, name: bytes) -> None:
        """The name is gone: as notify_inval_entry, and inotify watchers see it."""
        self._notifier.names.put(replies.delete(parent, child, name), (parent, child))

    def notify_epoch(self) -> bool:
        """Every remembered name is looked up anew at its next use. False when the kernel is before 6.16."""
        if not self.negotiated.has_epoch:
            return False
        self._notifier.names.put(replies.inc_epoch())
        return True

    # A notification takes kernel locks: of the directory and the removed child (``nodeid``), of a file's
    # pages (``pages_of(nodeid)``). A request that waits for its answer may hold them. So who holds back an
    # answer until the notifications so far were taken must ask before whether they need one of its locks.

    @property
    def notifications_taken(self) -> bool:
        """Whether all notifications so far were taken."""
        return self._notifier.idle

    def notifications_need(self, locks: Iterable[int]) -> bool:
        """Whether one that was not taken yet needs one of these locks."""
        return self._notifier.needs_any(locks)

    def after_notifications(self, callback: Callable[[], None]) -> None:
        """Call, from a helper thread, when all notifications so far were taken; never if the session ends."""
        self._notifier.mark(callback)

    def notifications_done(self, seconds: float) -> bool:
        """Wait until all notifications so far were taken. Never from the thread that answers requests."""
        return self._notifier.wait_idle(seconds)

    # The end

    def unmount(self) -> None:
        """Take the mount out of the tree (lazily: open files go on while the session is served). Repeatable.

        Does nothing when somebody else unmounted it already. Raises MountError.
        """
        self._unmount(force=False)

    def close(self) -> None:
        """Unmount, refuse what waits (ENOTCONN), stop the threads, close /dev/fuse. Bounded; repeatable."""
        if self._closed:
            return
        self._closed = True
        self.fail_waiting(e.ENOTCONN)
        self._notifier.stop()
        try:
            self._unmount(force=True)
        except MountError as fault:
            log.warning("%s", fault)
        if not self._notifier.join(CLOSE_SECONDS):
            # A notification hangs on a kernel lock, and the mount left the tree before: force could not
            # reach it.
            self._abort()
            if not self._notifier.join(CLOSE_SECONDS):
                log.warning("a cache invalidation still hangs in the kernel; closing %s without it", SOURCE)
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Helpers

    def _handshake(self) -> None:
        """Answer INIT, which the kernel sends before anything else."""
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        if not poller.poll(INIT_SECONDS * 1000):
            raise NegotiationError(f"the kernel sent nothing within {INIT_SECONDS:.0f} s after mounting")
        request = decode(self._view, os.readv(self._fd, self._buffers))
        if request.opcode != Opcode.INIT:
            raise NegotiationError(f"the kernel began with operation {request.opcode} instead of INIT")
        self._init(request)

    def _init(self, request: Request) -> None:
        body = request.body
        assert isinstance(body, InitIn)
        try:
            if self._negotiated is not None:
                raise NegotiationError("the kernel sent INIT twice")
            self._negotiated, answer = negotiate(body, self._options)
        except NegotiationError:
            self._send(replies.error(request.unique, e.EPROTO))
            raise
        self._send(replies.reply(request.unique, answer))

    def _interrupt(self, request: Request) -> None:
        """Unanswered, as the kernel allows.

        A target that is not waiting was answered already. It is never yet to come: the kernel queues
        INTERRUPT only after the request was read, and one thread reads.
        """
        body = request.body
        assert isinstance(body, InterruptIn)
        target = self._waiting.get(body.target)
        if target is None or self._operations is None:
            return
        result = self._operations.interrupted(target)
        if isinstance(result, int):
            self.error(body.target, result)
        elif result is not None:
            self.reply(body.target, result)

    def _count_late(self, unique: int, *, refused: bool) -> None:
        late = self._late.pop(unique, None)
        if late is not None:
            self.counter.answered(late[0], perf_counter() - late[1], refused)

    def _refuse(self, fault: ProtocolError) -> None:
        if not isinstance(fault, UnknownOpcodeError | NameTooLongError):
            self.malformed += 1
            log.warning("refused a malformed request of the kernel: %s", fault)
        if fault.unique:
            self._send(replies.error(fault.unique, fault.errno))

    def _send(self, message: bytes) -> bool:
        try:
            os.write(self._fd, message)
        except OSError as fault:
            code = fault.errno
            if code == e.ENOENT or code in _GONE:
                return False  # interrupted before it was read, or the mount is gone: receive() tells
            if code == e.EINVAL:
                raise ReplyRefusedError(
                    f"the kernel refused an answer of {len(message)} bytes: size or errno do not fit"
                ) from fault
            raise
        return True

    def _end_reason(self, code: int) -> str:
        if code == e.ECONNABORTED:
            return f"the connection of {self._mountpoint} was aborted"
        return f"{self._mountpoint} was unmounted"

    def _unmount(self, *, force: bool) -> None:
        if not self._mounted or self._entry is None:
            return
        self._mounted = False
        top = mounts_at(self._mountpoint)
        if not top or top[-1].device != self._entry.device:
            return
        faults: list[MountError] = []

        def detach() -> None:
            try:
                unmount_lazily(self._mountpoint, force=force)
            except MountError as fault:
                faults.append(fault)

        # Not in this thread: taking the file system down may wait for pages that a READ has locked, and the
        # answer to that READ is ours. The path leaves the tree at once; the rest ends when we serve or close.
        thread = threading.Thread(target=detach, name="fuse-unmount", daemon=True)
        thread.start()
        thread.join(UNMOUNT_SECONDS)
        if faults:
            self._mounted = True
            raise faults[0]

    def _abort(self) -> None:
        """End the connection by the control file system, where that is mounted."""
        if self._entry is None:
            return
        minor = self._entry.device.partition(":")[2]
        try:
            Path(f"/sys/fs/fuse/connections/{minor}/abort").write_bytes(b"1")
        except OSError as fault:
            log.debug("no abort by the control file system: %s", fault)
