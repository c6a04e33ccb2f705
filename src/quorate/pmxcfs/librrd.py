"""librrd by cffi: create, update and read files. Blocks on the disk; for worker threads only.

The reentrant functions are used, whose errors belong to the calling thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from cffi import FFI

SONAME: Final = "librrd.so.8"
PACKAGE: Final = "librrd8"

_ffi: Final[Any] = FFI()
_ffi.cdef(
    """
typedef long time_t;
int rrd_create_r(const char *filename, unsigned long step, time_t start, int argc, const char **argv);
int rrd_update_r(const char *filename, const char *template, int argc, const char **argv);
int rrd_fetch_r(const char *filename, const char *cf, time_t *start, time_t *end, unsigned long *step,
                unsigned long *ds_cnt, char ***ds_namv, double **data);
void rrd_freemem(void *mem);
char *rrd_get_error(void);
void rrd_clear_error(void);
"""
)
_library: Any = None


class LibrrdError(Exception):
    """librrd is missing, or a call of it failed; the text is librrd's."""


class LibrrdMissingError(LibrrdError):
    """The library is not installed."""


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


class Rows(NamedTuple):
    """What an archive holds: a row of values per ``step`` seconds, the first one ends at ``start + step``."""

    start: int
    step: int
    sources: list[str]
    rows: list[list[float]]
    """NaN where nothing is known."""


def fetch(path: str, function: str, start: int, end: int, step: int) -> Rows:
    """Values of the archive (``AVERAGE``, ``MAX``) that fits best; raises LibrrdError."""
    library = _load()
    begin, stop = _ffi.new("time_t *", start), _ffi.new("time_t *", end)
    width, count = _ffi.new("unsigned long *", step), _ffi.new("unsigned long *")
    names, data = _ffi.new("char ***"), _ffi.new("double **")
    library.rrd_clear_error()
    if library.rrd_fetch_r(path.encode(), function.encode(), begin, stop, width, count, names, data) != 0:
        raise LibrrdError(f"RRD fetch error {path}: {_error(library)}")
    try:
        sources = [_ffi.string(names[0][index]).decode("ascii", "replace") for index in range(count[0])]
        total = (stop[0] - begin[0]) // width[0]
        values = _ffi.unpack(data[0], total * count[0]) if total > 0 else []
    finally:
        for index in range(count[0]):
            library.rrd_freemem(names[0][index])
        library.rrd_freemem(names[0])
        library.rrd_freemem(data[0])
    rows = [values[at : at + count[0]] for at in range(0, len(values), count[0])]
    return Rows(int(begin[0]), int(width[0]), sources, rows)


def _load() -> Any:
    global _library
    if _library is None:
        try:
            _library = _ffi.dlopen(SONAME)
        except OSError as error:
            raise LibrrdMissingError(f"cannot load {SONAME} (package {PACKAGE}): {error}") from error
    return _library


def _strings(arguments: Sequence[str]) -> tuple[Any, list[Any]]:
    kept = [_ffi.new("char[]", argument.encode()) for argument in arguments]
    return _ffi.new("const char *[]", kept), kept


def _error(library: Any) -> str:
    text = library.rrd_get_error()
    return _ffi.string(text).decode("utf-8", "replace") if text != _ffi.NULL else "no reason given"
