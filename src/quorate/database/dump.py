"""The text form of a database (core 3.9): gzipped SQL, as the ``sqlite3`` program writes and reads it.

Any value of any type survives, file names that are not UTF-8 included. Files and names are in ``backups``.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

TABLE: Final = "tree"
MAX_STATEMENT: Final = 64 << 20
"""Bytes of one SQL statement read back: a file of the maximum size, 1 MiB, takes 2 MiB in hexadecimal."""
COMPRESSION: Final = 6

_MANTISSA_BITS: Final = 53
_EXACT: Final = 1 << _MANTISSA_BITS
"""Whole numbers below it have a REAL each."""
_STEP_BITS: Final = 62
"""The largest power of two that SQL can write as an integer is 2 to this."""

_STRING: Final = re.compile(rb"'(?:[^']|'')*'")
_PLAIN: Final = re.compile(rb"[^\x00-\x1f\x7f]*")

Value = int | float | bytes | None
"""What a column can hold; text is a ``Text``, a blob plain bytes."""


class Text(bytes):
    """A value stored as TEXT: its bytes, whether UTF-8 or not."""

    __slots__ = ()


class DumpError(Exception):
    """A database cannot be dumped, or a dump cannot be read; the text says which and why."""


class Summary(NamedTuple):
    """What identifies the content of a table."""

    rows: int
    digest: str
    """SHA-256 over all rows in order of their inodes, types included."""


def open_reader(database: Path) -> sqlite3.Connection:
    """A connection that changes nothing, neither the file nor its log. Raises sqlite3.Error."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.text_factory = Text
    return connection


def rows_of(connection: sqlite3.Connection) -> Iterator[tuple[Value, ...]]:
    """All rows by inode, whatever the columns. The connection's text factory must be ``Text``."""
    yield from connection.execute(f"SELECT * FROM {TABLE} ORDER BY rowid")


def summarise(connection: sqlite3.Connection) -> Summary:
    """Raises sqlite3.Error."""
    summary = _Summariser()
    for row in rows_of(connection):
        summary.add(_statement(row))
    return summary.result()


def write_dump(connection: sqlite3.Connection, out: BinaryIO) -> Summary:
    """Write one consistent state of the table to ``out``, gzipped. Raises OSError or sqlite3.Error.

    It is one read transaction: a daemon that writes meanwhile is neither hindered nor half seen.
    """
    summary = _Summariser()
    connection.execute("BEGIN")
    try:
        schema = connection.execute("SELECT sql FROM sqlite_master WHERE type='table' AND name=?", (TABLE,))
        found = schema.fetchone()
        if found is None:
            raise DumpError(f"there is no table '{TABLE}': this is no database of the cluster file system")
        with gzip.GzipFile(fileobj=out, mode="wb", filename="", compresslevel=COMPRESSION) as packed:
            packed.write(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n" + found[0] + b";\n")
            for row in rows_of(connection):
                statement = _statement(row)
                summary.add(statement)
                packed.write(statement)
            packed.write(b"COMMIT;\n")
    finally:
        connection.execute("ROLLBACK")
    return summary.result()


def load_dump(path: Path, target: str | Path = ":memory:") -> sqlite3.Connection:
    """A database with the dump's content, in memory or in a new file. Raises DumpError.

    Reads our own dumps and those of the ``sqlite3`` program. A dump that breaks off is refused.
    """
    connection = sqlite3.connect(target, isolation_level=None)
    connection.text_factory = Text
    try:
        # Newer versions of sqlite3 write control characters so.
        connection.create_function("unistr", 1, _unistr, deterministic=True)
        connection.set_authorizer(_authorise)
        begun = False
        for statement in _statements(path):
            begun = begun or statement.lstrip().upper().startswith("BEGIN")
            connection.execute(statement)
        if not begun or connection.in_transaction:
            raise DumpError(f"'{path}' is not complete: it has no BEGIN or no COMMIT")
        connection.set_authorizer(None)
        summarise(connection)  # that there is the right table in it
    except (OSError, EOFError, zlib.error, sqlite3.Error, sqlite3.Warning, UnicodeDecodeError) as error:
        connection.close()
        raise DumpError(f"unable to read the dump '{path}': {error}") from error
    except DumpError:
        connection.close()
        raise
    return connection


def read_summary(path: Path) -> Summary:
    """Of a dump on disk. Raises DumpError."""
    with closing(load_dump(path)) as connection:
        return summarise(connection)


class _Summariser:
    def __init__(self) -> None:
        self._rows = 0
        self._digest = hashlib.sha256()

    def add(self, statement: bytes) -> None:
        self._rows += 1
        self._digest.update(statement)

    def result(self) -> Summary:
        return Summary(self._rows, self._digest.hexdigest())


def _statement(row: tuple[Value, ...]) -> bytes:
    return b"INSERT INTO tree VALUES(" + b",".join(map(_literal, row)) + b");\n"


def _literal(value: Value) -> bytes:
    if value is None:
        return b"NULL"
    if isinstance(value, Text):
        return _text_literal(value)
    if isinstance(value, bytes):
        return b"X'" + value.hex().encode() + b"'"
    return (_real_literal(value) if isinstance(value, float) else str(value)).encode()


def _real_literal(value: float) -> str:
    """SQL that SQLite evaluates to exactly this number.

    Digits behind the point do not do: some versions read them with an error in the last bit. Whole numbers
    are exact, and so is the product with a power of two that has room for all bits. With an odd mantissa
    every number on the way has room for them, since the value has, subnormal or not.
    """
    if math.isinf(value):  # SQL has no word for infinity, but a number that is too large is one
        return "9e999" if value > 0 else "-9e999"
    if value.is_integer() and abs(value) < _EXACT:
        return repr(value)
    fraction, exponent = math.frexp(value)
    mantissa = int(fraction * _EXACT)
    zeros = (mantissa & -mantissa).bit_length() - 1
    exponent += zeros - _MANTISSA_BITS
    steps, rest = divmod(abs(exponent), _STEP_BITS)
    operator = "*" if exponent > 0 else "/"
    powers = [_STEP_BITS] * steps + [rest] * (rest > 0)
    factors = "".join(f"{operator}CAST({1 << power} AS REAL)" for power in powers)
    return f"CAST({mantissa >> zeros} AS REAL){factors}"


def _text_literal(value: bytes) -> bytes:
    if _PLAIN.fullmatch(value) is not None and _is_utf8(value):
        return b"'" + value.replace(b"'", b"''") + b"'"
    # NUL, line ends and bytes that are not UTF-8 do not pass through every program that reads SQL.
    return b"CAST(X'" + value.hex().encode() + b"' AS TEXT)"


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _statements(path: Path) -> Iterator[str]:
    """One statement after the other; a name may hold line ends and semicolons."""
    with gzip.open(path) as packed:
        pending = b""
        while line := packed.readline(MAX_STATEMENT):
            pending += line
            if len(pending) > MAX_STATEMENT:
                raise DumpError(f"'{path}' has a statement of more than {MAX_STATEMENT} bytes")
            if not line.endswith(b";\n"):
                continue
            statement = _STRING.sub(_readable, pending).decode()
            if sqlite3.complete_statement(statement):
                yield statement
                pending = b""
        if pending.strip():
            raise DumpError(f"'{path}' breaks off in the middle of a statement")


def _readable(match: re.Match[bytes]) -> bytes:
    """A string of ``sqlite3``'s own dumps with bytes that are not UTF-8, as SQL that is."""
    literal = match[0]
    return literal if _is_utf8(literal) else _text_literal(literal[1:-1].replace(b"''", b"'"))


def _authorise(action: int, first: str | None, *_: str | None) -> int:
    """A dump may fill the database at hand, and do nothing to other files."""
    return (
        sqlite3.SQLITE_DENY if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) else sqlite3.SQLITE_OK
    )


def _unistr(text: object) -> str:
    source = text.decode() if isinstance(text, bytes) else str(text)
    return re.sub(
        r"\\(?:(\\)|u([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|U([0-9a-fA-F]{8}))",
        lambda found: found[1] or chr(int(found[2] or found[3] or found[4], 16)),
        source,
    )
