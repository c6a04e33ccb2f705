"""What goes into the replicated state machine and what comes out of it: values only.

The adapter (``group``) turns effects into calls of Corosync, the store and the kernel, in the order in
which they were returned. No behaviour lives here. The values of every single message are not frozen, though
nobody changes them: freezing costs three times the making of one.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from quorate.corosync.address import Address
from quorate.pmxcfs.sync import LostEntry
from quorate.pmxcfs.wire import MessageType


class Clock(NamedTuple):
    """The time of an event, read once by the adapter."""

    wall: int
    """Seconds since the epoch, goes into message headers (u32)."""
    mono: float
    """Seconds of a clock that never jumps; all deadlines use it."""


class Mode(enum.IntEnum):
    """Where a group's state machine stands (core 6.1). Values from 128 up mean: out of the group."""

    START = 0
    START_SYNC = 1
    SYNCED = 2
    UPDATE = 3
    LEAVE = 253
    VERSION_ERROR = 254
    ERROR = 255

    @property
    def outside(self) -> bool:
        """Whether the machine has left, or is leaving, the group."""
        return self >= 128


class Level(enum.Enum):
    """Severity of a log line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(slots=True)
class Send:
    """Multicast one logical message, after all earlier ``Send`` of the same machine.

    The adapter retries "try again" by itself, for at most 10 s and without blocking. What it could not send
    it hands back with :meth:`Machine.send_failed`; it never reorders.
    """

    parts: tuple[bytes, ...]
    type: MessageType
    count: int = 0
    """The count of a normal message, 0 otherwise."""

    @property
    def data(self) -> bytes:
        """The message in one piece."""
        return b"".join(self.parts)


@dataclass(frozen=True, slots=True)
class LeaveGroup:
    """Call ``cpg_leave`` after dropping every ``Send`` that was not handed to Corosync yet.

    "Not exist" counts as success. The configuration change without this node must still be dispatched.
    """


@dataclass(frozen=True, slots=True)
class Rejoin:
    """After ``delay`` seconds: join the group (again), then call :meth:`Machine.connected`.

    ``fresh``: close the CPG handle first and connect anew, because Corosync did not answer in time.
    A later ``Rejoin`` replaces an earlier one; a later ``connected`` cancels it.
    """

    delay: float
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Reload:
    """The tree in memory can't be trusted any more (error flag, core 1.17).

    After ``delay`` seconds load it from the database anew (or restart the store), give the result to the
    application, then call :meth:`Machine.reloaded`. Until then show the mount as without quorum.
    """

    delay: float


@dataclass(slots=True)
class Reply:
    """The answer to the submission with this token: a result (>= 0) or a negated errno (core 7.6)."""

    token: object
    result: int


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """The machine went from one mode to another."""

    old: Mode
    new: Mode


@dataclass(frozen=True, slots=True)
class Committed:
    """A foreign state was taken over as a whole (core 4.5).

    For the configuration database ``adopted`` is the pair (old tree, new tree): store the difference in one
    transaction, drop everything the kernel has cached.
    """

    adopted: object


@dataclass(frozen=True, slots=True)
class LostEntries:
    """What this node loses by taking over a foreign state (W24); comes before its ``Committed``.

    ``diverged`` is proven when both sides used the same version number for different entries: then changes
    of this node that were accepted once are gone and the administrator must be warned. Otherwise this is
    most likely an old copy catching up. Either way write the entries to the backup directory.
    """

    entries: tuple[LostEntry, ...]
    diverged: bool


@dataclass(frozen=True, slots=True)
class Propagate:
    """Bring ``corosync.conf`` from the tree to the host (core 8.3); ``notify``: have Corosync reload it."""

    notify: bool


@dataclass(frozen=True, slots=True)
class Log:
    """One line for the log."""

    level: Level
    text: str


Effect = Send | LeaveGroup | Rejoin | Reload | Reply | ModeChanged | Committed | LostEntries | Propagate | Log


class Message(NamedTuple):
    """An application's message that is to be sent: subtype and payload parts."""

    subtype: int
    payload: Sequence[bytes]


class Outcome(enum.Enum):
    """What an application says about a delivered message."""

    APPLIED = "applied"
    REFUSE = "refuse"
    """Malformed or unknown: leave the group and synchronise anew."""
    BROKEN = "broken"
    """The error flag is set: this node can't go on before a reload."""


@dataclass(slots=True)
class Delivery:
    """The application's answer to one delivered message."""

    result: int | None = None
    """For the caller if the message is ours; None becomes -EPERM (core 6.9)."""
    outcome: Outcome = Outcome.APPLIED
    reason: str = ""
    effects: tuple[Effect, ...] = ()
    sends: tuple[Message, ...] = ()
    """Asynchronous messages to send now."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The outcome of comparing all states (core 4.3). ``leader`` None: nobody sends updates."""

    leader: Address | None
    synced: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Commit:
    """What taking over a foreign state did."""

    adopted: object
    effects: tuple[Effect, ...] = ()
    """Emitted before ``Committed`` (what is lost) ..."""
    after: tuple[Effect, ...] = ()
    """... and behind it (propagation)."""


class StateError(Exception):
    """A received state is malformed; the text says whose and how. Fatal for every receiver (core 4.3)."""


class TakeOverError(Exception):
    """A foreign state could not be taken over; the own one is unchanged. The text says why."""
