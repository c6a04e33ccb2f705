"""The replicated state machine of one CPG group: events in, effects out (core 5, 6). No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from quorate.pmxcfs.effects import (
    Address,
    Choice,
    Clock,
    Commit,
    Delivery,
    Effect,
    Message,
    Mode,
    Send,
)


class Application(Protocol):
    """What is replicated: the configuration database or the status store."""

    def state(self) -> bytes: ...
    def choose(self, states: Mapping[Address, bytes]) -> Choice: ...
    def updates(self, states: Mapping[Address, bytes]) -> Sequence[bytes]: ...
    def commit(self, own: bytes, leader: bytes, updates: Sequence[bytes], clock: Clock) -> Commit: ...
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
    ) -> Delivery: ...
    def checksum(self) -> bytes: ...
    def synced(self, clock: Clock) -> Sequence[Message]: ...
    def members_changed(self, members: Sequence[Address], clock: Clock) -> None: ...


class Machine:
    """One group's state machine. Every event returns the effects to carry out, in order."""

    def __init__(
        self,
        app: Application,
        *,
        nodeid: int,
        pid: int,
        protocol_version: int,
        has_updates: bool,
        verifies: bool,
        checks_quorum: bool,
    ) -> None: ...

    mode: Mode
    members: tuple[Address, ...]
    synced: bool
    lowest: bool

    def connected(self, clock: Clock, *, nodeid: int | None = None, pid: int | None = None) -> list[Effect]:
        """The adapter has asked Corosync to join the group (``cpg_join`` succeeded)."""
        raise NotImplementedError

    def disconnected(self, clock: Clock) -> list[Effect]:
        """The connection to Corosync is gone; the adapter reconnects by itself and calls ``connected``."""
        raise NotImplementedError

    def confchg(
        self,
        members: Sequence[tuple[int, int]],
        left: Sequence[tuple[int, int]],
        joined: Sequence[tuple[int, int]],
        clock: Clock,
    ) -> list[Effect]:
        """A configuration change was dispatched."""
        raise NotImplementedError

    def message(self, sender: tuple[int, int], data: bytes, clock: Clock) -> list[Effect]:
        """A message was dispatched. Never raises, whatever the bytes."""
        raise NotImplementedError

    def submit(
        self, subtype: int, payload: Sequence[bytes], token: object | None, clock: Clock
    ) -> list[Effect]:
        """Send an application message; ``token`` None: asynchronous, no ``Reply``."""
        raise NotImplementedError

    def send_failed(self, clock: Clock, failed: Sequence[Send] = ()) -> list[Effect]:
        """These messages could not be multicast and never will be; empty: unknown which."""
        raise NotImplementedError

    def quorum(
        self, quorate: bool, clock: Clock, *, nodes: frozenset[int] | None = None, expected: int | None = None
    ) -> list[Effect]:
        """The quorum service spoke. ``nodes``: its member list, if known; ``expected``: number of configured nodes."""
        raise NotImplementedError

    def tick(self, clock: Clock) -> list[Effect]:
        """Time passes; call about four times a second. All deadlines live here."""
        raise NotImplementedError

    def reloaded(self, clock: Clock) -> list[Effect]:
        """The application has a trustworthy state again (answer to ``Reload``)."""
        raise NotImplementedError

    def stop(self, clock: Clock) -> list[Effect]:
        """Regular end: every waiting caller gets its answer, the group is left."""
        raise NotImplementedError
