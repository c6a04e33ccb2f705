"""Reads the cluster log's text. It looks like JSON, but its texts are put in raw (status 2.8).

A JSON parser would take a backslash that a program logged for an escape, or refuse the whole of it.
"""

from __future__ import annotations

import re
from typing import Any, Final

_HEAD: Final = '{\n"data": [\n'
_ENTRY: Final = re.compile(
    r'^\{"uid": (\d+), "time": (\d+), "pri": (\d+), "tag": "([^"]*)", "pid": (\d+), '
    r'"node": "([^"]*)", "user": "([^"]*)", "msg": "([^\n]*)"\},?$',
    re.MULTILINE,
)
_ESCAPED: Final = re.compile(r'\\(?:(")|u([0-9a-f]{4}))')
"""In messages only quotes and what is not ASCII are escaped (status 2.3)."""


def parse(text: str) -> list[dict[str, Any]]:
    """The entries, newest first; raises ValueError if this is no such text. What is no entry is left out."""
    if not text.startswith(_HEAD):
        raise ValueError(f"the cluster log begins with {text[:20]!r}")
    entries = []
    for uid, time, priority, tag, pid, node, user, message in _ENTRY.findall(text):
        entries.append(
            {
                "uid": int(uid),
                "time": int(time),
                "pri": int(priority),
                "tag": tag,
                "pid": int(pid),
                "node": node,
                "user": user,
                "msg": _ESCAPED.sub(lambda found: found[1] or chr(int(found[2], 16)), message),
            }
        )
    return entries
