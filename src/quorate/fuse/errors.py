"""The exceptions of the FUSE room, in one small tree. Errno values for the kernel are plain integers."""

from __future__ import annotations

import errno as _errno


class FuseError(Exception):
    """Base of everything this package raises."""


class ProtocolError(FuseError):
    """The kernel sent bytes that are no valid request.

    ``unique`` is the request to refuse (0 when not even the header could be read, then there is nobody
    to answer); ``errno`` is the answer.
    """

    def __init__(self, text: str, *, unique: int = 0, errno: int = _errno.EIO) -> None:
        super().__init__(text)
        self.unique = unique
        self.errno = errno


class UnknownOpcodeError(ProtocolError):
    """An operation newer than this code. The answer ENOSYS makes the kernel fall back or stop asking."""


class NameTooLongError(ProtocolError):
    """A name beyond NAME_MAX: well formed, but refused here (kernels since 6.13 pass up to 4095 bytes)."""


class NegotiationError(FuseError):
    """The kernel's protocol version or its first message cannot be used."""


class ReplyRefusedError(FuseError):
    """The kernel found our answer malformed (EINVAL): a fault of the caller, for example too many bytes."""


class NotificationOverflowError(FuseError):
    """More invalidations wait than MAX_QUEUED: the kernel's caches can no longer be trusted.

    What to do: end the session (unmount, close) and mount anew.
    """


class MountError(FuseError):
    """Mounting or unmounting failed; the text says what was tried, why it failed and what to do."""


class SessionEnded(FuseError):
    """The file system was unmounted or the connection aborted: no request will come any more."""
