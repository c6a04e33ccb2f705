"""The web interface's files: read from their directory once, served from memory (pvecm 6.1).

Beside a file, ``FILE.br`` and ``FILE.gz`` are the same compressed. Blocking: call it off the event loop.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quorate.api.protocol import Answer, Request

_log = logging.getLogger(__name__)

MAX_FILE: Final = 8 << 20
MAX_TOTAL: Final = 64 << 20
"""Far above any build of the interface; a wrong directory must not fill the memory."""
MAX_FILES: Final = 2000
INDEX: Final = "index.html"

_HASHED: Final = re.compile(r"assets/.*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_FOREVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_ENCODINGS: Final = ((".br", "br"), (".gz", "gzip"))
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'self'"
)
"""Scripts come from files of ours alone; style attributes are set by the widgets, hence 'unsafe-inline'."""

_WELCOME: Final = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>quorate</title></head>
<body><h1>quorate</h1><p>The web interface is not installed on this node. The API is at
<a href="/api2/html/">/api2/html</a> for people and at <code>/api2/json</code> for programs.</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    etag: str
    compressed: Mapping[str, bytes]


class WebFiles:
    """The files below one directory; read again when the index page was replaced."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, _File] = {}
        self._stamp: object = None
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer | None:
        """The file that the request asks for; None when there is none, or for another method than GET."""
        if request.method != "GET":
            return None
        self._refresh()
        name = request.path.lstrip("/") or INDEX
        file = self._files.get(name)
        if file is None:
            return _page(_WELCOME) if name == INDEX else None
        kind = _TYPES.get(Path(name).suffix, "application/octet-stream")
        headers = {
            "Cache-Control": _FOREVER if _HASHED.match(name) else _ASK_AGAIN,
            "ETag": file.etag,
            "Vary": "Accept-Encoding",
        }
        if kind.startswith("text/html"):
            headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        if file.etag in request.headers.get("if-none-match", ""):
            return Answer(304, "Not Modified", b"", kind, headers)
        accepted = {part.partition(";")[0].strip() for part in _accepted(request).split(",")}
        for encoding, content in file.compressed.items():
            if encoding in accepted:
                headers["Content-Encoding"] = encoding
                return Answer(200, "OK", content, kind, headers)
        return Answer(200, "OK", file.content, kind, headers)

    def _refresh(self) -> None:
        try:
            found = os.stat(self._directory / INDEX)  # noqa: PTH116 - one call, no objects
            stamp: object = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            stamp = None
        if stamp == self._stamp:
            return
        with self._lock:
            if stamp != self._stamp:
                self._files = _read(self._directory) if stamp is not None else {}
                self._stamp = stamp


def _accepted(request: Request) -> str:
    return request.headers.get("accept-encoding", "").lower()


def _page(content: bytes) -> Answer:
    headers = {"Cache-Control": _ASK_AGAIN, "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Answer(200, "OK", content, _TYPES[".html"], headers)


def _read(directory: Path) -> dict[str, _File]:
    """All plain files below the directory, without links, hidden files and what is beyond the limits."""
    contents: dict[str, bytes] = {}
    total = 0
    for place, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            try:
                found = path.lstat()
                if name.startswith(".") or not stat.S_ISREG(found.st_mode):
                    continue
                if (
                    found.st_size > MAX_FILE
                    or total + found.st_size > MAX_TOTAL
                    or len(contents) >= MAX_FILES
                ):
                    _log.warning(
                        "'%s' is not served: the web interface's files are too many or too large", path
                    )
                    continue
                contents[path.relative_to(directory).as_posix()] = path.read_bytes()
            except OSError as err:
                _log.warning("unable to read '%s': %s", path, err.strerror)
                continue
            total += found.st_size
    return {name: _file(name, contents) for name in contents if not name.endswith((".br", ".gz"))}


def _file(name: str, contents: Mapping[str, bytes]) -> _File:
    content = contents[name]
    compressed = {
        encoding: contents[name + suffix] for suffix, encoding in _ENCODINGS if name + suffix in contents
    }
    return _File(content, f'"{hashlib.sha256(content).hexdigest()[:20]}"', compressed)
