"""librrd by cffi: create and update files. Blocks on the disk; for worker threads only.

The reentrant functions are used, whose errors belong to the calling thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cffi import FFI

SONAME: Final = "librrd.so.8"
PACKAGE: Final = "librrd8"

_ffi: Final[Any] = FFI()
_ffi.cdef(
    """
typedef long time_t;
int rrd_create_r(const char *filename, unsigned long step, time_t start, int argc, const char **argv);
int rrd_update_r(const char *filename, const char *template, int argc, const char **argv);
char *rrd_get_error(void);
void rrd_clear_error(void);
"""
)
_library: Any = None


class LibrrdError(Exception):
    """librrd is missing, or a call of it failed; the text is librrd's."""


def create(path: str, step: int, start: int, arguments: Sequence[str]) -> None:
    """Make the file ``path``; raises LibrrdError."""
    library = _load()
    argv, _kept = _strings(arguments)
    library.rrd_clear_error()
    if library.rrd_create_r(path.encode(), step, start, len(arguments), argv) != 0:
        raise LibrrdError(f"RRD create error {path}: {_error(library)}")


def update(path: str, text: str) -> None:
    """Write one value; raises LibrrdError."""
    library = _load()
    argv, _kept = _strings([text])
    library.rrd_clear_error()
    if library.rrd_update_r(path.encode(), _ffi.NULL, 1, argv) != 0:
        raise LibrrdError(f"RRD update error {path}: {_error(library)}")


def _load() -> Any:
    global _library
    if _library is None:
        try:
            _library = _ffi.dlopen(SONAME)
        except OSError as error:
            raise LibrrdError(f"cannot load {SONAME} (package {PACKAGE}): {error}") from error
    return _library


def _strings(arguments: Sequence[str]) -> tuple[Any, list[Any]]:
    kept = [_ffi.new("char[]", argument.encode()) for argument in arguments]
    return _ffi.new("const char *[]", kept), kept


def _error(library: Any) -> str:
    text = library.rrd_get_error()
    return _ffi.string(text).decode("utf-8", "replace") if text != _ffi.NULL else "no reason given"
