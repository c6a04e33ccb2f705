"""Corosync's return codes as typed errors, and the one result that is not an error.

Every code of ``corotypes.h`` has its own class, so that a caller names what it can handle. Nothing here
loads a library.
"""

from __future__ import annotations

import enum
from typing import ClassVar, Final

CS_OK: Final = 1
CS_ERR_TRY_AGAIN: Final = 6


class SendResult(enum.Enum):
    """What became of a multicast, a join or a leave that did not fail."""

    SENT = "sent"
    TRY_AGAIN = "try again"
    """Flow control: nothing was sent. The caller waits (core 5.6: 100 ms) and tries again, bounded."""


class MissingLibraryError(Exception):
    """A client library of Corosync cannot be loaded on this host; the text names the Debian package."""


class CsError(Exception):
    """A call into a client library returned something else than CS_OK.

    ``call`` is the C function, ``code`` the number, ``name`` its symbol in ``corotypes.h``.
    """

    CODE: ClassVar[int] = 0
    NAME: ClassVar[str] = ""
    HINT: ClassVar[str] = "look for messages of corosync in the journal"

    def __init__(self, call: str, code: int | None = None, detail: str = "") -> None:
        self.call = call
        self.code = self.CODE if code is None else code
        self.name = self.NAME or f"CS_ERR_{self.code}"
        about = f" ({detail})" if detail else ""
        super().__init__(f"{call}{about} failed with {self.name} ({self.code}): {self.HINT}")


class LibraryError(CsError):
    CODE, NAME = 2, "CS_ERR_LIBRARY"
    HINT = "corosync is not running or the connection to it was lost; connect again when it runs"


class VersionError(CsError):
    CODE, NAME = 3, "CS_ERR_VERSION"
    HINT = "the client library and corosync are of different versions; restart corosync after an upgrade"


class InitError(CsError):
    CODE, NAME = 4, "CS_ERR_INIT"


class TimedOutError(CsError):
    CODE, NAME = 5, "CS_ERR_TIMEOUT"


class TryAgainError(CsError):
    CODE, NAME = CS_ERR_TRY_AGAIN, "CS_ERR_TRY_AGAIN"
    HINT = "corosync is busy or still starting; try again in a moment"


class InvalidParamError(CsError):
    CODE, NAME = 7, "CS_ERR_INVALID_PARAM"
    HINT = "corosync refused an argument (for a reload: the configuration file has an error)"


class NoMemoryError(CsError):
    CODE, NAME = 8, "CS_ERR_NO_MEMORY"
    HINT = "out of memory, or no room in /dev/shm"


class BadHandleError(CsError):
    CODE, NAME = 9, "CS_ERR_BAD_HANDLE"
    HINT = "this connection is closed; make a new one"


class BusyError(CsError):
    CODE, NAME = 10, "CS_ERR_BUSY"


class AccessError(CsError):
    CODE, NAME = 11, "CS_ERR_ACCESS"
    HINT = "not permitted: run as root"


class NotExistError(CsError):
    CODE, NAME = 12, "CS_ERR_NOT_EXIST"
    HINT = "no such key, node or service, or the group was not joined"


class NameTooLongError(CsError):
    CODE, NAME = 13, "CS_ERR_NAME_TOO_LONG"


class ExistError(CsError):
    CODE, NAME = 14, "CS_ERR_EXIST"
    HINT = "it exists already (for a join: this process is a member of the group)"


class NoSpaceError(CsError):
    CODE, NAME = 15, "CS_ERR_NO_SPACE"
    HINT = "no room, most likely in /dev/shm"


class InterruptError(CsError):
    CODE, NAME = 16, "CS_ERR_INTERRUPT"
    HINT = "a change of membership came between the fragments of a long message; send it again"


class NameNotFoundError(CsError):
    CODE, NAME = 17, "CS_ERR_NAME_NOT_FOUND"


class NoResourcesError(CsError):
    CODE, NAME = 18, "CS_ERR_NO_RESOURCES"
    HINT = "no more shared memory or file descriptors"


class NotSupportedError(CsError):
    CODE, NAME = 19, "CS_ERR_NOT_SUPPORTED"


class BadOperationError(CsError):
    CODE, NAME = 20, "CS_ERR_BAD_OPERATION"


class FailedOperationError(CsError):
    CODE, NAME = 21, "CS_ERR_FAILED_OPERATION"


class MessageError(CsError):
    CODE, NAME = 22, "CS_ERR_MESSAGE_ERROR"


class QueueFullError(CsError):
    CODE, NAME = 23, "CS_ERR_QUEUE_FULL"


class QueueNotAvailableError(CsError):
    CODE, NAME = 24, "CS_ERR_QUEUE_NOT_AVAILABLE"


class BadFlagsError(CsError):
    CODE, NAME = 25, "CS_ERR_BAD_FLAGS"


class TooBigError(CsError):
    CODE, NAME = 26, "CS_ERR_TOO_BIG"
    HINT = "the message or value is larger than allowed"


class NoSectionsError(CsError):
    CODE, NAME = 27, "CS_ERR_NO_SECTIONS"


class ContextNotFoundError(CsError):
    CODE, NAME = 28, "CS_ERR_CONTEXT_NOT_FOUND"


class TooManyGroupsError(CsError):
    CODE, NAME = 30, "CS_ERR_TOO_MANY_GROUPS"


class SecurityError(CsError):
    CODE, NAME = 100, "CS_ERR_SECURITY"


ERRORS: Final[dict[int, type[CsError]]] = {kind.CODE: kind for kind in CsError.__subclasses__()}
"""Return code → class, for every code of corotypes.h but CS_OK."""


def error_for(call: str, code: int, detail: str = "") -> CsError:
    """The typed error for ``code``, which C function ``call`` returned; unknown codes give a CsError."""
    return ERRORS.get(code, CsError)(call, code, detail)
