"""librrd by cffi: create, update, read and draw files. Blocks on the disk; for worker threads only.

The reentrant functions are used where there are some, whose errors belong to the calling thread.
"""

from __future__ import annotations

import time
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
typedef struct { unsigned long size; unsigned char *ptr; } rrd_blob_t;
typedef union {
    unsigned long u_cnt; double u_val; char *u_str; int u_int; rrd_blob_t u_blo;
} rrd_infoval_t;
typedef struct rrd_info_t { char *key; int type; rrd_infoval_t value; struct rrd_info_t *next; } rrd_info_t;
rrd_info_t *rrd_graph_v(int argc, const char **argv);
void rrd_info_free(rrd_info_t *info);
int rrd_fetch_r(const char *filename, const char *cf, time_t *start, time_t *end, unsigned long *step,
                unsigned long *ds_cnt, char ***ds_namv, double **data);
void rrd_freemem(void *mem);
char *rrd_get_error(void);
void rrd_clear_error(void);
"""
)
_BLOB: Final = 4
"""Type of an entry that holds bytes (RD_I_BLO)."""
MISSING_SECONDS: Final = 60.0
"""For so long a library that was not there is not looked for again: cffi starts three processes for that."""
_library: Any = None
_missing: tuple[float, str] | None = None
"""Until when (monotonic), and why."""


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


def graph(arguments: Sequence[str]) -> bytes:
    """A graph as an image, by the arguments of ``rrdtool graph`` behind the file's name.

    Raises LibrrdError. Not reentrant: for processes that do nothing else meanwhile.
    """
    library = _load()
    words = ["graphv", "-", *arguments]
    argv, _kept = _strings(words)
    library.rrd_clear_error()
    info = library.rrd_graph_v(len(words), argv)
    if info == _ffi.NULL:
        raise LibrrdError(f"RRD graph error: {_error(library)}")
    try:
        entry = info
        while entry != _ffi.NULL:
            if entry.type == _BLOB and _ffi.string(entry.key) == b"image":
                return bytes(_ffi.buffer(entry.value.u_blo.ptr, entry.value.u_blo.size))
            entry = entry.next
    finally:
        library.rrd_info_free(info)
    raise LibrrdError("RRD graph error: no image came of it")


def _load() -> Any:
    global _library, _missing
    if _library is None:
        if _missing is not None and time.monotonic() < _missing[0]:
            raise LibrrdMissingError(_missing[1])
        try:
            _library = _ffi.dlopen(SONAME)
        except OSError as error:
            text = f"cannot load {SONAME} (package {PACKAGE}): {error}"
            _missing = time.monotonic() + MISSING_SECONDS, text
            raise LibrrdMissingError(text) from error
    return _library


def _strings(arguments: Sequence[str]) -> tuple[Any, list[Any]]:
    kept = [_ffi.new("char[]", argument.encode()) for argument in arguments]
    return _ffi.new("const char *[]", kept), kept


def _error(library: Any) -> str:
    text = library.rrd_get_error()
    return _ffi.string(text).decode("utf-8", "replace") if text != _ffi.NULL else "no reason given"
