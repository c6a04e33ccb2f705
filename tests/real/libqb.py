"""The real libqb client library, by cffi: what unmodified clients of the service use."""

from __future__ import annotations

import errno
from types import TracebackType
from typing import Any, Final, Self

from cffi import FFI

from quorate.ipc import codec

BUFFER: Final = 1 << 20
"""Receive buffer of the existing clients."""

ffi: Final[Any] = FFI()
ffi.cdef(
    """
struct iovec { void *iov_base; size_t iov_len; };
typedef struct qb_ipcc_connection qb_ipcc_connection_t;
qb_ipcc_connection_t *qb_ipcc_connect(const char *name, size_t max_msg_size);
void qb_ipcc_disconnect(qb_ipcc_connection_t *c);
ssize_t qb_ipcc_sendv_recv(qb_ipcc_connection_t *c, const struct iovec *iov, uint32_t iov_len,
    void *res_msg, size_t res_len, int32_t ms_timeout);
ssize_t qb_ipcc_send(qb_ipcc_connection_t *c, const void *msg, size_t len);
ssize_t qb_ipcc_recv(qb_ipcc_connection_t *c, void *msg, size_t len, int32_t ms_timeout);
int32_t qb_ipcc_is_connected(qb_ipcc_connection_t *c);
int32_t qb_ipcc_get_buffer_size(qb_ipcc_connection_t *c);
"""
)
_libqb: Any = None


class QbError(OSError):
    """A call of libqb failed."""


class QbClient:
    """One connection, used as the existing clients do."""

    def __init__(self, service: str = codec.SERVICE, max_message: int = codec.MAX_MESSAGE) -> None:
        global _libqb
        if _libqb is None:
            _libqb = ffi.dlopen("libqb.so.100")
        self._connection = _libqb.qb_ipcc_connect(service.encode(), max_message)
        if self._connection == ffi.NULL:
            raise QbError(ffi.errno, f"connect: {errno.errorcode.get(ffi.errno, ffi.errno)}")
        self._buffer = ffi.new("char[]", BUFFER)

    def call(self, request: bytes, timeout: float = -1) -> bytes:
        """A whole request for a whole response; raises QbError."""
        data = ffi.from_buffer(request)
        vector = ffi.new("struct iovec *", {"iov_base": ffi.cast("void *", data), "iov_len": len(request)})
        wait = -1 if timeout < 0 else int(timeout * 1000)
        result = _libqb.qb_ipcc_sendv_recv(self._connection, vector, 1, self._buffer, BUFFER, wait)
        if result < 0:
            raise QbError(-result, f"call: {errno.errorcode.get(-result, result)}")
        return bytes(ffi.buffer(self._buffer, result))

    def send(self, request: bytes) -> int:
        """Only send; the result as it comes."""
        return int(_libqb.qb_ipcc_send(self._connection, request, len(request)))

    def receive(self, timeout: float = -1) -> bytes:
        wait = -1 if timeout < 0 else int(timeout * 1000)
        result = _libqb.qb_ipcc_recv(self._connection, self._buffer, BUFFER, wait)
        if result < 0:
            raise QbError(-result, f"receive: {errno.errorcode.get(-result, result)}")
        return bytes(ffi.buffer(self._buffer, result))

    @property
    def connected(self) -> bool:
        return bool(_libqb.qb_ipcc_is_connected(self._connection))

    def close(self) -> None:
        if self._connection is not None:
            _libqb.qb_ipcc_disconnect(self._connection)
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
