"""What became of own requests that were under way when this node lost its group (W5). Pure.

A request is answered with success only if the tree proves it: the entry it would have made is there, was
changed after this node was cut off, by this node, at the very time that stands in the request's header. When
two own requests could explain the same entry, neither is answered with success: two processes that raced for
a lock directory must not both win. Everything else stays "busy": it may or may not have happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from quorate.pmxcfs.entry import DIRECTORY, REGULAR
from quorate.pmxcfs.requests import Request
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.wire import FsMessage, FsOp, WireError


def resolve(tree: Tree, requests: Sequence[Request], since: int, nodeid: int) -> list[int | None]:
    """For each request its result, None if unknown. ``since``: the own version when the group was lost."""
    messages = [_parse(request) for request in requests]
    claims = Counter(_claimed(message) for message in messages if message is not None)
    return [
        _result(tree, message, request.time, since, nodeid)
        if message is not None and claims[_claimed(message)] == 1
        else None
        for request, message in zip(requests, messages, strict=True)
    ]


def _parse(request: Request) -> FsMessage | None:
    if request.subtype in (FsOp.UNLOCK_REQUEST, FsOp.UNLOCK):
        return None
    try:
        return FsMessage.unpack(request.subtype, b"".join(request.payload))
    except WireError:
        return None


def _claimed(message: FsMessage) -> bytes | None:
    """The path at which the request would have left its trace."""
    return message.to if message.op is FsOp.RENAME else message.path


def _result(tree: Tree, message: FsMessage, time: int, since: int, nodeid: int) -> int | None:
    path = _claimed(message)
    entry = None if path is None else tree.lookup(path)
    mtime = message.offset if message.op is FsOp.MTIME else time
    if entry is None or entry.version <= since or (entry.writer, entry.mtime) != (nodeid, mtime):
        return None
    if message.op is FsOp.MKDIR:
        return 0 if entry.type == DIRECTORY and entry.inode == entry.version else None
    if message.op is FsOp.CREATE:
        return 0 if entry.type == REGULAR and entry.inode == entry.version else None
    if message.op is FsOp.MTIME:
        return 0
    if message.op is FsOp.RENAME:
        moved = message.path is not None and tree.lookup(message.path) is None and entry.inode <= since
        return 0 if moved else None
    if message.op is FsOp.WRITE:
        end = message.offset + len(message.data)
        written = entry.content()[message.offset : end] == message.data
        ends = not message.truncate or entry.size == end
        return len(message.data) if written and ends and entry.size >= end else None
    return None
