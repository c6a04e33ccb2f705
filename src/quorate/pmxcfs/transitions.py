"""The state machine's transitions as data: mode x message type -> action (core 6.4). Nothing else.

``docs/state-machine.md`` is generated from these tables; a test holds them together.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from quorate.pmxcfs.effects import Mode
from quorate.pmxcfs.wire import MessageType


class Action(enum.Enum):
    """What the machine does with a message; the value is the sentence used in the documentation."""

    __hash__ = object.__hash__  # Enum's own is a Python function, and these are keys on the hot path

    DELIVER = "apply it now, whoever sent it (core 6.4 step 5)"
    QUEUE = "put it into the message queue, ordered by count (core 6.5)"
    KEEP = "put it into the sync queue, in order of arrival, whoever sent it (W7)"
    ANSWER = "adopt its epoch and multicast the own state (6.4a)"
    STORE = "keep the state; when all members have one, choose the leader (6.4b)"
    DECREE = "go on without the members whose state is missing (decision 0006)"
    COLLECT = "append it to the updates"
    TAKE_OVER = "commit the leader's state, then apply both queues (6.4c)"
    FINISH = "everybody is synced: apply the message queue (6.4d)"
    CHECKSUM = "compute the checksum here; the requester multicasts its own (6.7)"
    COMPARE = "compare checksums, leave if they differ (6.7)"
    IGNORE = "ignore it"
    IGNORE_LATE = "ignore it if the sender was left out of this round, else leave the group"
    LEAVE = "leave the group and come back through a full synchronisation (6.8)"


TRANSITIONS: Mapping[tuple[Mode, MessageType], Action] = {
    (Mode.START, MessageType.NORMAL): Action.QUEUE,
    (Mode.START_SYNC, MessageType.NORMAL): Action.QUEUE,
    (Mode.START_SYNC, MessageType.SYNC_START): Action.ANSWER,
    (Mode.START_SYNC, MessageType.STATE): Action.STORE,
    (Mode.START_SYNC, MessageType.UPDATE_COMPLETE): Action.DECREE,
    (Mode.START_SYNC, MessageType.VERIFY_REQUEST): Action.IGNORE,
    (Mode.START_SYNC, MessageType.VERIFY): Action.IGNORE,
    (Mode.UPDATE, MessageType.NORMAL): Action.KEEP,
    (Mode.UPDATE, MessageType.SYNC_START): Action.IGNORE_LATE,
    (Mode.UPDATE, MessageType.STATE): Action.IGNORE_LATE,
    (Mode.UPDATE, MessageType.UPDATE): Action.COLLECT,
    (Mode.UPDATE, MessageType.UPDATE_COMPLETE): Action.TAKE_OVER,
    (Mode.UPDATE, MessageType.VERIFY_REQUEST): Action.IGNORE,
    (Mode.UPDATE, MessageType.VERIFY): Action.IGNORE,
    (Mode.SYNCED, MessageType.NORMAL): Action.DELIVER,
    (Mode.SYNCED, MessageType.SYNC_START): Action.IGNORE,
    (Mode.SYNCED, MessageType.STATE): Action.IGNORE,
    (Mode.SYNCED, MessageType.UPDATE): Action.IGNORE,
    (Mode.SYNCED, MessageType.UPDATE_COMPLETE): Action.FINISH,
    (Mode.SYNCED, MessageType.VERIFY_REQUEST): Action.CHECKSUM,
    (Mode.SYNCED, MessageType.VERIFY): Action.COMPARE,
}
"""Everything that is not in here is :data:`OTHERWISE`."""

OTHERWISE: Mapping[Mode, Action] = {
    Mode.START: Action.LEAVE,
    Mode.START_SYNC: Action.LEAVE,
    Mode.UPDATE: Action.LEAVE,
    Mode.SYNCED: Action.IGNORE,
    Mode.LEAVE: Action.IGNORE,
    Mode.VERSION_ERROR: Action.IGNORE,
    Mode.ERROR: Action.IGNORE,
}
"""The row's default, also for message types nobody knows."""


_BY_NUMBER: Mapping[tuple[int, int], Action] = {
    (int(mode), int(kind)): action for (mode, kind), action in TRANSITIONS.items()
}
"""The same with plain numbers: what comes in a message may be no MessageType at all."""


def action_for(mode: Mode, message_type: int) -> Action:
    """The action for a message that passed the checks of core 6.4 steps 1-4 and 6."""
    action = _BY_NUMBER.get((mode, message_type))
    return OTHERWISE[mode] if action is None else action


MODE_CHANGES: tuple[tuple[Mode, str, Mode], ...] = (
    (Mode.START, "configuration with others", Mode.START_SYNC),
    (Mode.START, "configuration with this node alone", Mode.SYNCED),
    (Mode.START_SYNC, "last state, identical to the leader's", Mode.SYNCED),
    (Mode.START_SYNC, "last state, differs from the leader's", Mode.UPDATE),
    (Mode.START_SYNC, "decree", Mode.SYNCED),
    (Mode.START_SYNC, "decree, differs from the leader's", Mode.UPDATE),
    (Mode.UPDATE, "UPDATE_COMPLETE, commit succeeds", Mode.SYNCED),
    (Mode.UPDATE, "configuration change", Mode.START_SYNC),
    (Mode.SYNCED, "configuration change", Mode.START_SYNC),
    (Mode.START_SYNC, "bad message, failed send", Mode.LEAVE),
    (Mode.UPDATE, "commit fails, no progress, bad message", Mode.LEAVE),
    (Mode.SYNCED, "no quorum on delivery, other checksum, bad message", Mode.LEAVE),
    (Mode.LEAVE, "left the group, delay over", Mode.START),
    (Mode.SYNCED, "newer protocol version", Mode.VERSION_ERROR),
    (Mode.SYNCED, "error flag", Mode.ERROR),
    (Mode.ERROR, "reloaded from the database", Mode.START),
)
"""The picture's arrows: from, why, to."""
