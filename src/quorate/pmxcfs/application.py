"""What the replicated state machine asks of the thing that it replicates. An interface, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from quorate.corosync.address import Address
from quorate.pmxcfs.effects import Choice, Clock, Commit, Delivery, Message
from quorate.pmxcfs.requests import Request


class Application(Protocol):
    """The configuration database or the status store.

    All of it is deterministic: the same calls give the same results on every node. ``clock`` is the local
    one and may only be used for what is not replicated (lock timers).
    """

    def state(self) -> bytes:
        """This node's state, for the others to compare (core 4.1)."""

    def choose(self, states: Mapping[Address, bytes]) -> Choice:
        """Compare the states of all members. Raises ``StateError`` for a malformed one (core 4.3)."""

    def updates(self, states: Mapping[Address, bytes]) -> Sequence[tuple[bytes, ...]]:
        """As leader: the payloads of all UPDATE messages, each in pieces (core 4.4)."""

    def commit(self, own: bytes, leader: bytes, updates: Sequence[bytes], clock: Clock) -> Commit:
        """Become identical to the leader (core 4.5). Raises ``TakeOverError``, with nothing changed."""

    def deliver(
        self,
        sender: Address,
        subtype: int,
        time: int,
        payload: bytes,
        clock: Clock,
        *,
        own: bool,
        lowest: bool,
    ) -> Delivery:
        """Apply one message, in total order (core 7.4). Never raises for bad bytes.

        ``own``: this process sent it. ``lowest``: this node is the one that serves expired locks.
        """

    def checksum(self) -> bytes:
        """The full checksum for verification (core 4.2)."""

    def synced(self, clock: Clock) -> Sequence[Message]:
        """Data is up to date now; returns what to send (the status group announces itself)."""

    def members_changed(self, members: Sequence[Address], clock: Clock) -> None:
        """The group has these members now (core 6.3 step 10)."""

    def mark(self) -> object:
        """A point in the own history, taken when this node is cut off from its group ..."""

    def resolve(self, requests: Sequence[Request], mark: object, nodeid: int) -> Sequence[int | None]:
        """... and what became of requests that were under way then: a result only if it is certain (W5)."""
