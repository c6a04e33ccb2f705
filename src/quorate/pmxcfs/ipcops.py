"""The operations of the service ``pve2``: checks, permissions, answers (status 6.4, 7.3).

No sockets. The order of the checks is the original's, since clients see which error comes first; what it does
wrong with unterminated log messages and doubled slashes is not done here.
"""

from __future__ import annotations

import errno
import hmac
import re
import struct
from collections.abc import Callable, Sequence
from typing import Final

from quorate.ipc.codec import REQUEST_BYTES
from quorate.ipc.operations import KEY_FIELD, Op, parse_statuses
from quorate.pmxcfs.effects import Message
from quorate.pmxcfs.guestscan import GuestScan
from quorate.pmxcfs.ipcconnection import Answer, Peer, Work
from quorate.pmxcfs.paths import is_private
from quorate.pmxcfs.status import Status
from quorate.pmxcfs.tree import Tree

TOKEN_FILE: Final = b"priv/token.cfg"
FIRST_GUEST: Final = 100

_VALUE: Final = REQUEST_BYTES + KEY_FIELD
_NODE: Final = _VALUE
_NODE_END: Final = _NODE + KEY_FIELD
_LOG_PARTS: Final = 19
_LOG_USER: Final = 32
_PROPERTY: Final = 20
_PROPERTIES: Final = 21
_SLASHES: Final = re.compile(rb"/+")

_INVALID: Final[Answer] = (-errno.EINVAL, b"")
_FORBIDDEN: Final[Answer] = (-errno.EPERM, b"")
_MISSING: Final[Answer] = (-errno.ENOENT, b"")
_UNKNOWN: Final[Answer] = (-errno.ECHRNG, b"")


class Operations:
    """Answers requests. Calling it is an ``ipcserver.Handler``."""

    def __init__(
        self,
        status: Status,
        tree: Callable[[], Tree],
        broadcast: Callable[[Message], None],
        figures: Callable[[], bytes] = lambda: b"{}",
    ) -> None:
        """``tree`` returns the present one; ``broadcast`` tells the other nodes (nothing in local mode);
        ``figures``: what the daemon counts."""
        self._status = status
        self._tree = tree
        self._broadcast = broadcast
        self._scan = GuestScan()
        self._table: dict[int, Callable[[Peer, bytes], Answer | Work]] = {
            Op.GET_FS_VERSION: self._text(status.version),
            Op.GET_CLUSTER_INFO: self._text(status.members),
            Op.GET_GUEST_LIST: self._text(status.vmlist),
            Op.SET_STATUS: self._set_status,
            Op.GET_STATUS: self._get_status,
            Op.GET_CONFIG: self._get_config,
            Op.LOG_CLUSTER_MSG: self._log,
            Op.GET_CLUSTER_LOG: self._get_log,
            Op.GET_RRD_DUMP: self._text(status.rrd_answer),
            Op.GET_GUEST_CONFIG_PROPERTY: self._guest_property,
            Op.VERIFY_TOKEN: self._verify_token,
            Op.GET_GUEST_CONFIG_PROPERTIES: self._guest_properties,
            Op.GET_FIGURES: self._text(figures),
            Op.SET_STATUSES: self._set_statuses,
        }

    def __call__(self, peer: Peer, message: bytes) -> Answer | Work:
        """``message``: a whole request with its header."""
        operation = self._table.get(int.from_bytes(message[:4], "little", signed=True))
        return _UNKNOWN if operation is None else operation(peer, message)

    @staticmethod
    def _text(produce: Callable[[], bytes]) -> Callable[[Peer, bytes], Answer]:
        def answer(peer: Peer, message: bytes) -> Answer:
            return (0, produce()) if len(message) == REQUEST_BYTES else _INVALID

        return answer

    def _set_status(self, peer: Peer, message: bytes) -> Answer:
        if peer.read_only:
            return _FORBIDDEN
        if len(message) < _VALUE:
            return _INVALID
        key = _field(message[REQUEST_BYTES:_VALUE])
        result, update = self._status.set_value(key, message[_VALUE:])
        if update is not None:
            self._broadcast(update)
        return result, b""

    def _set_statuses(self, peer: Peer, message: bytes) -> Answer | Work:
        if peer.read_only:
            return _FORBIDDEN
        values = parse_statuses(message[REQUEST_BYTES:])
        return _INVALID if values is None else self._set_all(values)

    def _set_all(self, values: Sequence[tuple[bytes, bytes]]) -> Work:
        """One that is refused hinders no other; the answer is the first refusal."""
        refused = 0
        for key, value in values:
            result, update = self._status.set_value(key, value)
            if update is not None:
                self._broadcast(update)
            refused = refused or result
            yield
        return refused, b""

    def _get_status(self, peer: Peer, message: bytes) -> Answer:
        if len(message) < _NODE_END:
            return _INVALID
        key, node = _field(message[REQUEST_BYTES:_NODE]), _field(message[_NODE:_NODE_END])
        value = self._status.get_value(key, node.decode("utf-8", "surrogateescape"))
        return _MISSING if value is None else (0, value)

    def _get_config(self, peer: Peer, message: bytes) -> Answer:
        if len(message) <= REQUEST_BYTES:
            return _INVALID
        # The original looks at the text as it came: "nodes/x//priv/key" then is not private, and is found.
        path = _SLASHES.sub(b"/", _terminated(message[REQUEST_BYTES:])).lstrip(b"/")
        if peer.read_only and is_private(path):
            return _FORBIDDEN
        entry = self._tree().lookup(path)
        if entry is None or entry.children is not None:
            return _MISSING
        return 0, entry.content()

    def _log(self, peer: Peer, message: bytes) -> Answer:
        if peer.read_only:
            return _FORBIDDEN
        if len(message) < _LOG_PARTS:
            return _INVALID
        priority, ident_length, tag_length = message[REQUEST_BYTES:_LOG_PARTS]
        tag_at = _LOG_PARTS + ident_length
        text_at = tag_at + tag_length
        if not ident_length or not tag_length or len(message) <= text_at:
            return _INVALID
        if message[tag_at - 1] or message[text_at - 1]:
            return _INVALID
        entry = self._status.log(
            ident=_string(message[_LOG_PARTS:tag_at]),
            tag=_string(message[tag_at:text_at]),
            pid=peer.pid,
            priority=priority,
            message=_string(message[text_at:]),
        )
        if entry is not None:
            self._broadcast(entry)
        return 0, b""

    def _get_log(self, peer: Peer, message: bytes) -> Answer:
        if len(message) <= _LOG_USER:
            return _INVALID
        maximum = int.from_bytes(message[REQUEST_BYTES : REQUEST_BYTES + 4], "little")
        return 0, self._status.clusterlog_answer(_terminated(message[_LOG_USER:]), maximum)

    def _guest_property(self, peer: Peer, message: bytes) -> Answer | Work:
        if len(message) < _PROPERTY:
            return _INVALID
        vmid, refused = self._guest(message)
        if refused is not None:
            return refused
        if len(message) <= _PROPERTY:
            return _INVALID
        return self._scan.work(self._tree(), vmid, [_terminated(message[_PROPERTY:])])

    def _guest_properties(self, peer: Peer, message: bytes) -> Answer | Work:
        if len(message) < _PROPERTIES:
            return _INVALID
        vmid, refused = self._guest(message)
        if refused is not None:
            return refused
        names = _names(message[_PROPERTIES - 1], message[_PROPERTIES:])
        return _INVALID if names is None else self._scan.work(self._tree(), vmid, names)

    def _guest(self, message: bytes) -> tuple[int, Answer | None]:
        (vmid,) = struct.unpack_from("<I", message, REQUEST_BYTES)
        if 0 < vmid < FIRST_GUEST:
            return vmid, _INVALID
        if vmid and self._tree().guests.get(vmid) is None:
            return vmid, _MISSING
        return vmid, None

    def _verify_token(self, peer: Peer, message: bytes) -> Answer:
        token, end = message[REQUEST_BYTES:-1], message[-1:]
        if len(message) <= REQUEST_BYTES or not token or end != b"\0" or b"\n" in token or b"\0" in token:
            return _INVALID
        entry = self._tree().lookup(TOKEN_FILE)
        if entry is None or entry.children is not None:
            return _MISSING
        found = False
        for line in entry.content().split(b"\n"):
            found |= hmac.compare_digest(line, token)  # all of them: the time tells nothing
        return (0, b"") if found else _MISSING


def _names(count: int, data: bytes) -> list[bytes] | None:
    """``count`` NUL-terminated property names and nothing else; None if it is not that."""
    if not count or len(data) <= 1 or data[-1]:
        return None
    names = data[:-1].split(b"\0")
    if len(names) != count or not all(b"a" <= name[:1] <= b"z" for name in names):
        return None
    return names


def _string(data: bytes) -> bytes:
    """Up to the first NUL, or all."""
    return data.split(b"\0", 1)[0]


def _field(data: bytes) -> bytes:
    """A field whose last byte counts as NUL."""
    return _string(data[:-1])


_terminated = _field
