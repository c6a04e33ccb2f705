"""The kernel's FUSE protocol spoken directly over /dev/fuse. Knows nothing of the cluster file system.

Public surface: Session, Operations, clear_dead_mount, the request tuples (requests), the packers of answers
(replies), numbers (abi) and errors.
"""

from quorate.fuse import abi, replies, requests
from quorate.fuse.abi import Fattr, Fopen, Opcode
from quorate.fuse.errors import (
    FuseError,
    MountError,
    NameTooLongError,
    NegotiationError,
    NotificationOverflowError,
    ProtocolError,
    ReplyRefusedError,
    SessionEnded,
    UnknownOpcodeError,
)
from quorate.fuse.mountpoint import clear_dead_mount
from quorate.fuse.negotiation import InitOptions, Negotiated
from quorate.fuse.operations import Operations, Reply
from quorate.fuse.requests import Request
from quorate.fuse.session import Session

__all__ = [
    "Fattr",
    "Fopen",
    "FuseError",
    "InitOptions",
    "MountError",
    "NameTooLongError",
    "Negotiated",
    "NegotiationError",
    "NotificationOverflowError",
    "Opcode",
    "Operations",
    "ProtocolError",
    "Reply",
    "ReplyRefusedError",
    "Request",
    "Session",
    "SessionEnded",
    "UnknownOpcodeError",
    "abi",
    "clear_dead_mount",
    "replies",
    "requests",
]
