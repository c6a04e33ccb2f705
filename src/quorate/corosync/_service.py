"""What the connections to Corosync's services have in common: handle, descriptor, dispatch, close.

A connection lives in one thread. It ends for good when it is closed, or when any call reports that
Corosync is gone; then a new object is made.

Only ``dispatch`` and ``Cpg.mcast`` never wait. Every other call is a round trip to Corosync without a limit
of its own: it ends at once when Corosync dies, but not while Corosync hangs.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

from ._ffi import ffi, library
from .errors import CS_ERR_TRY_AGAIN, CS_OK, BadHandleError, CsError, LibraryError, error_for

DISPATCH_ONE_NONBLOCKING: Final = 4


class Service:
    """One connection to one service of the local Corosync.

    Subclasses name their library and the prefix of its functions and call ``_open`` once.
    """

    def __init__(self, soname: str, prefix: str) -> None:
        self._lib: Any = library(soname)
        self._prefix = prefix
        self._handle = 0
        self._fd = -1
        self._closed = True
        self._finalized = True
        self._dispatching = False
        self._raised: BaseException | None = None
        self._dispatch_function: Any = getattr(self._lib, f"{prefix}_dispatch")
        self._out = ffi.new("unsigned int *")

    # What an event loop needs

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to dispatch; -1 once closed."""
        return self._fd

    @property
    def closed(self) -> bool:
        return self._closed

    def dispatch(self) -> bool:
        """Handle at most one event, without waiting: calls at most one callback.

        True: an event was taken (call again while the descriptor is readable). False: there was none.
        What a callback raises comes out of here, after the library's own state is in order again; the
        connection stays usable. Raises LibraryError when Corosync is gone: the connection is closed then.
        """
        if self._closed:
            raise BadHandleError(f"{self._prefix}_dispatch")
        if self._dispatching:
            raise RuntimeError(f"{self._prefix}_dispatch called from within one of its own callbacks")
        self._dispatching = True
        try:
            code = int(self._dispatch_function(self._handle, DISPATCH_ONE_NONBLOCKING))
        finally:
            self._dispatching = False
            closed = self._finalize_closed()
        failure = None
        if code not in (CS_OK, CS_ERR_TRY_AGAIN) and not closed:
            failure = self._failure(f"{self._prefix}_dispatch", code)
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised from failure
        if failure is not None:
            raise failure
        return code == CS_OK

    def close(self) -> None:
        """End the connection. No callback is called afterwards, not even when called from within one."""
        if self._closed:
            return
        self._closed = True
        self._fd = -1
        self._finalize_closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # For subclasses

    def _open(self, handle: int) -> None:
        """Take over the initialised ``handle``."""
        self._handle = handle
        self._closed = self._finalized = False
        fd = ffi.new("int *")
        try:
            self._call("fd_get", fd)
        except CsError:
            self.close()
            raise
        self._fd = int(fd[0])

    def _call(self, name: str, *arguments: Any, detail: str = "") -> None:
        """Call PREFIX_name(handle, ...); raises the typed error for any other code than CS_OK."""
        call = f"{self._prefix}_{name}"
        if self._closed:
            raise BadHandleError(call, detail=detail)
        code = int(getattr(self._lib, call)(self._handle, *arguments))
        if code != CS_OK:
            raise self._failure(call, code, detail)

    def _failure(self, call: str, code: int, detail: str = "") -> CsError:
        """The error for ``code``; a lost connection is closed on the way."""
        error = error_for(call, code, detail)
        if isinstance(error, LibraryError | BadHandleError):
            self.close()
        return error

    def _callback(self, signature: str, function: Any) -> Any:
        """A C callback for ``function``; the caller keeps it alive. Its exceptions go to dispatch()."""

        def keep(_kind: object, error: BaseException, _trace: object) -> None:
            if self._raised is None:
                self._raised = error
            else:  # the library called two callbacks in one dispatch
                self._raised.add_note(f"then another callback raised {error!r}")

        return ffi.callback(signature, function, onerror=keep)

    def _finalize_closed(self) -> bool:
        """Give the handle back, once, if closed: but not while the library is in one of our callbacks."""
        if self._closed and not self._dispatching and not self._finalized:
            self._finalized = True
            getattr(self._lib, f"{self._prefix}_finalize")(self._handle)
        return self._closed
