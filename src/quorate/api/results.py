"""What a handler may return beside plain data: a page of a longer list, a text, an image, encoded data."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass

_ENDINGS = {"json": b"}", "extjs": b',"success":1}'}


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list, and how many entries there are in all (``total`` in the envelope, unless 0).

    ``changes``: the text of changes that wait for being applied, for the envelope as well.
    """

    data: object
    total: int
    changes: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """A text that is sent as it is, without an envelope."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A PNG image: by itself in the format ``png``, else as the path of the node's file that holds it."""

    filename: str
    content: bytes


class Encoded:
    """A large result as JSON, kept and given to many: envelope and compression are made once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._bodies: dict[str, tuple[bytes, bytes]] = {}

    def value(self) -> object:
        """As plain data, for whoever does not send it on."""
        return json.loads(self.data)

    def bodies(self, form: str) -> tuple[bytes, bytes]:
        """The body of the answer in a format, and the same compressed."""
        found = self._bodies.get(form)
        if found is None:
            body = b'{"data":' + self.data + _ENDINGS[form]
            found = self._bodies[form] = (body, gzip.compress(body, 1, mtime=0))
        return found
