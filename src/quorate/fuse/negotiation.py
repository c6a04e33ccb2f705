"""The first exchange, INIT: which version and capabilities are used, and why. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.fuse.abi import INIT_OUT, MAJOR, MAX_WRITE, MINOR, OLDEST_MINOR, PAGE_SIZE, Init
from quorate.fuse.errors import NegotiationError
from quorate.fuse.requests import InitIn

WANTED: Final = (
    Init.ASYNC_READ  # several READs of one file at a time
    | Init.ATOMIC_O_TRUNC  # O_TRUNC comes with OPEN instead of a SETATTR after it
    | Init.BIG_WRITES
    | Init.MAX_PAGES  # requests beyond 128 KiB
    | Init.PARALLEL_DIROPS  # lookups in one directory do not wait for each other
    | Init.HANDLE_KILLPRIV  # modes are computed, nobody can set suid: no GETXATTR or GETATTR per write
    | Init.HANDLE_KILLPRIV_V2
    | Init.ABORT_ERROR  # an aborted connection says so (ECONNABORTED) instead of looking unmounted
    | Init.CACHE_SYMLINKS
    | Init.NO_OPENDIR_SUPPORT  # OPENDIR may be refused with ENOSYS once and for all
    | Init.EXPLICIT_INVAL_DATA  # cached pages go only when we say so
    | Init.DO_READDIRPLUS
    | Init.READDIRPLUS_AUTO
    | Init.HAS_EXPIRE_ONLY
    | Init.INIT_EXT
)
"""Not wanted, on purpose: WRITEBACK_CACHE (hides sizes, delays errors), POSIX_LOCKS and FLOCK_LOCKS (locks
stay local to the kernel, core 1.5), AUTO_INVAL_DATA (drops pages when times
differ), POSIX_ACL, SETXATTR_EXT."""

REQUIRED: Final = Init.BIG_WRITES | Init.MAX_PAGES | Init.ATOMIC_O_TRUNC | Init.EXPLICIT_INVAL_DATA


class InitOptions(NamedTuple):
    """What a file system may choose."""

    max_write: int = MAX_WRITE
    max_readahead: int = MAX_WRITE
    time_granularity: int = 1_000_000_000
    """In nanoseconds; times of the cluster file system are whole seconds."""
    max_background: int = 64
    """Requests without a waiting process (read-ahead, releases) that the kernel queues at most."""
    readdirplus: bool = True
    """Offer READDIRPLUS (the kernel chooses READDIR or READDIRPLUS by itself)."""


class Negotiated(NamedTuple):
    minor: int
    """The smaller of the kernel's and ours."""
    kernel_minor: int
    flags: Init
    max_write: int

    @property
    def has_epoch(self) -> bool:
        """Whether the notification INC_EPOCH exists (protocol 7.44)."""
        return self.kernel_minor >= 44


def negotiate(init: InitIn, options: InitOptions) -> tuple[Negotiated, bytes]:
    """What is agreed and the answer to send. Raises NegotiationError for a kernel that is too old."""
    if init.major != MAJOR or init.minor < OLDEST_MINOR:
        raise NegotiationError(
            f"the kernel speaks FUSE {init.major}.{init.minor}; {MAJOR}.{OLDEST_MINOR} or later "
            "(Linux 5.4 and later) is needed"
        )
    wanted = WANTED
    if not options.readdirplus:
        wanted &= ~(Init.DO_READDIRPLUS | Init.READDIRPLUS_AUTO)
    flags = Init(wanted & init.flags)
    if REQUIRED & ~flags:
        raise NegotiationError(f"the kernel lacks {Init(REQUIRED & ~flags)!r}; Linux 5.4 or later is needed")
    minor = min(init.minor, MINOR)
    answer = INIT_OUT.pack(
        MAJOR,
        minor,
        min(init.max_readahead, options.max_readahead),
        flags & 0xFFFF_FFFF,
        options.max_background,
        options.max_background * 3 // 4,
        options.max_write,
        options.time_granularity,
        -(-options.max_write // PAGE_SIZE),
        0,
        flags >> 32,
    )
    return Negotiated(minor, init.minor, flags, options.max_write), answer
